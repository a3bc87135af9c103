//! What `kustomize build` makes of a folder, with the place of every value.
//!
//! The order of things is that of kustomize 5: resources, generators, components, then the transformers of a
//! kustomization from patches to replacements; digests in names, references to names and variables come last, once for
//! the whole. Where kustomize would give up, the fault is kept and the rest is built all the same.

mod fields;
mod generators;
mod json_patch;
mod merge;
mod names;
mod object;
mod patches;
mod replacements;
mod schema;
mod select;
mod transformers;
mod variables;

#[cfg(test)]
mod tests;

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

use super::{Composed, Joined, Problem, ProblemKind, Scalar, Value};
use crate::artifact::{LineMap, is_remote};
use crate::source::{Source, Span};
use crate::survey::join;
use crate::syntax::{self, Builder, Syntax};
use crate::tree::Tree;

use fields::{Config, FieldSpec};
use object::{Object, made_key};
use variables::Variable;

/// The files that make a folder a kustomization.
const NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];
/// The keys of a kustomization that are of more than one word.
const KEYS: [&str; 14] = [
    "namePrefix",
    "nameSuffix",
    "commonLabels",
    "commonAnnotations",
    "patchesStrategicMerge",
    "patchesJson6902",
    "imageTags",
    "configMapGenerator",
    "secretGenerator",
    "generatorOptions",
    "helmCharts",
    "helmChartInflationGenerator",
    "buildMetadata",
    "sortOptions",
];
/// The deepest chain of kustomizations that is followed.
const MAX_DEPTH: usize = 40;
/// How much one build may read, copy and compare; about one for each value.
const BUDGET: usize = 4_000_000;
/// What a kustomization costs besides its values.
const FOLDER_COST: usize = 200;
/// What each value in a kustomization costs.
const ENTRY_COST: usize = 8;
/// Objects with this annotation are input for tools and never deployed.
const LOCAL: &str = "config.kubernetes.io/local-config";

/// What is missing where a path leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loss {
    /// Objects that are deployed.
    Objects,
    /// What would change objects, or a part of one.
    Changes,
}

/// A build has used up what it may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Spent;

/// What a build may still cost.
#[derive(Debug)]
struct Purse(usize);

impl Purse {
    fn pay(&mut self, cost: usize) -> Result<(), Spent> {
        self.0 = self.0.checked_sub(cost).ok_or(Spent)?;
        Ok(())
    }
}

/// A file, read once for a build.
#[derive(Debug)]
struct File {
    source: Arc<Source>,
    start: u32,
    documents: OnceCell<Result<Documents, String>>,
}

/// The documents of a file, and what they cost to copy.
#[derive(Clone, Debug)]
struct Documents {
    values: Rc<Vec<Value>>,
    weight: usize,
}

/// What a kustomization has gathered.
#[derive(Debug, Default)]
struct Gathered {
    objects: Vec<Object>,
    config: Rc<Config>,
    variables: Vec<Variable>,
}

/// One build of a folder.
struct Build<'t> {
    tree: &'t Tree,
    joined: Joined,
    files: HashMap<String, Result<Rc<File>, String>>,
    purse: Purse,
    /// The folders that are being built, outermost first.
    stack: Vec<String>,
    /// The definitions of an `OpenAPI` document, which stand in for the types that are known.
    definitions: Option<Rc<Value>>,
    not_evaluated: Vec<(Span, String)>,
    open: bool,
    problems: Vec<Problem>,
    in_component: bool,
}

/// The objects that a kustomization deploys; `folder` is relative to the root of the tree, which is empty.
pub(crate) fn build(tree: &Tree, folder: &str) -> Composed {
    let mut build = Build {
        tree,
        joined: Joined::default(),
        files: HashMap::new(),
        purse: Purse(BUDGET),
        stack: Vec::new(),
        definitions: None,
        not_evaluated: Vec::new(),
        open: false,
        problems: Vec::new(),
        in_component: false,
    };
    let objects = build.whole(folder).unwrap_or_else(|Spent| {
        build.lose(Loss::Objects, Span::default(), "it makes more of its files than can be looked at".to_owned());
        Vec::new()
    });
    let (source, origins) = build.joined.finish(&format!("{folder}/"));
    let incomplete = objects.iter().enumerate().filter(|(_, object)| object.partial).map(|(number, _)| number).collect();
    let documents = objects
        .iter()
        .map(|object| {
            let mut builder = Builder::new(&source, Syntax::Yaml, 64);
            object.value.write(&mut builder);
            builder.finish(object.value.span().end as usize)
        })
        .collect();
    let Build { mut not_evaluated, open, mut problems, .. } = build;
    // What seems to be meant for nothing may be meant for what is not seen.
    if open || !not_evaluated.is_empty() {
        problems.retain(|problem| matches!(problem.kind, ProblemKind::Path | ProblemKind::Field));
    }
    // What is used twice has its faults once.
    let mut seen = HashSet::new();
    not_evaluated.retain(|said| seen.insert(said.clone()));
    let mut seen = HashSet::new();
    problems.retain(|problem| seen.insert(problem.clone()));
    Composed { source, origins, documents, incomplete, not_evaluated, open, problems }
}

impl Build<'_> {
    /// The finished objects of a folder.
    fn whole(&mut self, folder: &str) -> Result<Vec<Object>, Spent> {
        let mut gathered = self.folder(folder, Span::default(), Gathered::default())?;
        let kustomization = self.kustomization(folder, Span::default())?;
        // A component is for objects of those who use it.
        self.open |= kustomization.as_ref().is_some_and(|kustomization| kustomization.text_of("kind") == Some("Component"));
        for object in gathered.objects.iter_mut().filter(|object| object.hashed) {
            object.remember();
            let name = format!("{}-{}", object.name(), generators::digest(&object.value));
            object.rename(name);
        }
        names::fix(&mut gathered, &mut self.purse)?;
        self.fill_in(&mut gathered)?;
        self.mark(kustomization.as_ref(), &mut gathered)?;
        gathered.objects.retain(|object| object.annotation(LOCAL).is_none_or(|value| value == "false"));
        for object in &mut gathered.objects {
            finish(&mut object.value);
        }
        Ok(gathered.objects)
    }

    /// Adds the label that says who manages the objects, where that is asked for.
    fn mark(&mut self, kustomization: Option<&Value>, gathered: &mut Gathered) -> Result<(), Spent> {
        let options = kustomization.map(|kustomization| kustomization.items_of("buildMetadata")).unwrap_or_default();
        let asked = options.iter().find(|item| item.text() == Some("managedByLabel"));
        if let Some(Value::Scalar(asked)) = asked {
            let mut pairs = Value::mapping(asked.span);
            // The version that stands behind it is that of the program.
            pairs.set(made_key("app.kubernetes.io/managed-by", asked.span), Value::Scalar(Scalar::plain("kustomize", asked.span)));
            self.set_pairs(Some(&pairs), &[FieldSpec::of_all("metadata/labels")], gathered)?;
        }
        Ok(())
    }

    /// What a kustomization makes of what was gathered before it: of nothing, or as a component of what its user has.
    /// Where there is no kustomization, that stays as it is.
    fn folder(&mut self, folder: &str, named: Span, before: Gathered) -> Result<Gathered, Spent> {
        self.purse.pay(FOLDER_COST)?;
        if self.stack.iter().any(|open| open == folder) {
            self.lose(Loss::Objects, named, "it leads back to a kustomization that it is part of".to_owned());
            return Ok(before);
        }
        if self.stack.len() >= MAX_DEPTH {
            self.lose(Loss::Objects, named, format!("more than {MAX_DEPTH} kustomizations within each other"));
            return Ok(before);
        }
        let Some(kustomization) = self.kustomization(folder, named)? else { return Ok(before) };
        // Every entry is looked at, and some are patterns to compile.
        self.purse.pay(ENTRY_COST * kustomization.weight())?;
        self.stack.push(folder.to_owned());
        let gathered = self.gather(folder, &kustomization, before);
        self.stack.pop();
        gathered
    }

    /// The kustomization of a folder.
    fn kustomization(&mut self, folder: &str, named: Span) -> Result<Option<Value>, Spent> {
        let Some(path) = NAMES.iter().filter_map(|name| join(folder, name)).find(|path| self.tree.is_file(path)) else {
            self.problem(ProblemKind::Path, named, folder);
            self.lose(Loss::Objects, named, format!("`{}` holds no kustomization", if folder.is_empty() { "." } else { folder }));
            return Ok(None);
        };
        match self.documents(&path)? {
            Ok(documents) => Ok(documents.values.first().cloned().map(canonical)),
            Err(fault) => {
                self.lose(Loss::Objects, named, format!("`{path}` {fault}"));
                Ok(None)
            }
        }
    }

    /// Does what a kustomization says, to the objects given and those that it adds.
    fn gather(&mut self, folder: &str, kustomization: &Value, before: Gathered) -> Result<Gathered, Spent> {
        let mut gathered = before;
        if let Some(path) = kustomization.get("openapi").and_then(|openapi| openapi.get("path")) {
            let documents = self.named_documents(folder, path)?;
            let first = documents.and_then(|documents| documents.values.first().and_then(|first| first.get("definitions").cloned()));
            self.definitions = first.map(Rc::new).or(self.definitions.take());
        }
        for resource in ["resources", "bases"].iter().flat_map(|key| kustomization.items_of(key)) {
            self.resource(folder, resource, &mut gathered)?;
        }
        let mut configurations = Vec::new();
        for (key, read) in [("configurations", Config::read as fn(&Value) -> Config), ("crds", Config::read_types)] {
            for path in kustomization.items_of(key) {
                let documents = self.named_documents(folder, path)?;
                for value in documents.iter().flat_map(|documents| documents.values.iter()) {
                    configurations.push(read(value));
                }
            }
        }
        gathered.config.merge(&Config::with(&configurations));
        self.generate(folder, kustomization, &mut gathered)?;
        for component in kustomization.items_of("components") {
            let Some(target) = self.target(folder, component, Loss::Objects) else { continue };
            gathered = self.folder(&target, component.span(), gathered)?;
        }
        self.in_component = kustomization.text_of("kind") == Some("Component");
        self.transform(folder, kustomization, &mut gathered)?;
        for variable in kustomization.items_of("vars") {
            self.purse.pay(gathered.objects.len())?;
            variables::declare(variable, &mut gathered);
        }
        Ok(gathered)
    }

    /// Adds a file or folder of `resources`.
    fn resource(&mut self, folder: &str, entry: &Value, gathered: &mut Gathered) -> Result<(), Spent> {
        let Some(path) = self.target(folder, entry, Loss::Objects) else { return Ok(()) };
        if self.tree.is_file(&path) {
            match self.documents(&path)? {
                Ok(documents) => {
                    self.purse.pay(documents.weight)?;
                    gathered.objects.extend(self.objects(&documents, entry.span()));
                }
                Err(fault) => self.lose(Loss::Objects, entry.span(), format!("`{path}` {fault}")),
            }
            return Ok(());
        }
        let made = self.folder(&path, entry.span(), Gathered::default())?;
        gathered.objects.extend(made.objects);
        gathered.config.merge(&made.config);
        gathered.variables.extend(made.variables);
        Ok(())
    }

    /// The path that an entry names; where it is not in the tree, that is said.
    fn target(&mut self, folder: &str, entry: &Value, loss: Loss) -> Option<String> {
        let named = entry.text().filter(|text| !text.is_empty())?;
        let Some(path) = join(folder, named) else {
            let remote = is_remote(named) || named.contains('?');
            let reason = if remote { "is remote" } else { "lies outside of what is checked" };
            self.lose(loss, entry.span(), format!("`{}` {reason}", shown(named)));
            return None;
        };
        if !self.tree.is_file(&path) && !self.tree.is_folder(&path) {
            if named.contains("//") || named.contains(".git/") || is_remote(named) {
                self.lose(loss, entry.span(), format!("`{}` is remote", shown(named)));
            } else {
                // What git ignores may be there where the build runs.
                if !self.tree.ignores(&path, false) && !self.tree.ignores(&path, true) {
                    self.problem(ProblemKind::Path, entry.span(), named);
                }
                self.lose(loss, entry.span(), format!("`{}` does not exist", shown(named)));
            }
            return None;
        }
        Some(path)
    }

    /// Says that something is not evaluated.
    fn lose(&mut self, loss: Loss, span: Span, mut reason: String) {
        self.open |= loss == Loss::Objects;
        let consequence = match loss {
            Loss::Objects => ", so the objects that it brings are not judged",
            Loss::Changes => ", so what it would add or change is not known",
        };
        reason.push_str(consequence);
        self.not_evaluated.push((span, reason));
    }

    fn problem(&mut self, kind: ProblemKind, span: Span, name: &str) {
        self.problems.push(Problem { kind, span, name: shown(name).to_owned() });
    }

    /// A file as text.
    fn file(&mut self, path: &str) -> Result<Rc<File>, String> {
        if let Some(file) = self.files.get(path) {
            return file.clone();
        }
        let read = self
            .joined
            .add(self.tree, path)
            .map(|(source, start)| Rc::new(File { source: Arc::new(source), start, documents: OnceCell::new() }));
        self.files.insert(path.to_owned(), read.clone());
        read
    }

    /// The documents of a file, or why there are none.
    fn documents(&mut self, path: &str) -> Result<Result<Documents, String>, Spent> {
        let file = match self.file(path) {
            Ok(file) => file,
            Err(fault) => return Ok(Err(fault)),
        };
        if let Some(documents) = file.documents.get() {
            return Ok(documents.clone());
        }
        let documents = self.parse(&file.source, file.start, if path.ends_with(".json") { Syntax::Json } else { Syntax::Yaml })?;
        Ok(file.documents.get_or_init(|| documents).clone())
    }

    /// The documents of a text that begins at `start` of the joined one.
    fn parse(&mut self, source: &Arc<Source>, start: u32, syntax: Syntax) -> Result<Result<Documents, String>, Spent> {
        self.purse.pay(source.text.len() / 64)?;
        let parsed = syntax::parse(source, syntax);
        if let Some(error) = parsed.errors.first() {
            return Ok(Err(format!("cannot be parsed: {}", error.message)));
        }
        let mut count = 0;
        let mut values = Vec::with_capacity(parsed.documents.len());
        for document in &parsed.documents {
            match Value::read_counted(document.root(), start, &mut count) {
                Ok(value) => values.push(value),
                Err(limit) => return Ok(Err(limit.to_string())),
            }
        }
        let weight = values.iter().map(Value::weight).sum();
        self.purse.pay(weight)?;
        Ok(Ok(Documents { values: Rc::new(values), weight }))
    }

    /// The documents of a file that an entry names; what is amiss is kept.
    fn named_documents(&mut self, folder: &str, entry: &Value) -> Result<Option<Documents>, Spent> {
        let Some(path) = self.target(folder, entry, Loss::Changes) else { return Ok(None) };
        Ok(match self.documents(&path)? {
            Ok(documents) => Some(documents),
            Err(fault) => {
                self.lose(Loss::Changes, entry.span(), format!("`{path}` {fault}"));
                None
            }
        })
    }

    /// The documents that stand in a scalar, each value at its place in the file.
    fn inline_documents(&mut self, scalar: &Scalar) -> Result<Option<Documents>, Spent> {
        let source = Arc::new(Source { path: "".into(), text: scalar.text.to_string(), bom: false });
        let map = LineMap::new(scalar.style, scalar.span, self.joined.slice(scalar.span), &scalar.text);
        Ok(match self.parse(&source, 0, Syntax::Yaml)? {
            Ok(mut documents) => {
                if let Some(values) = Rc::get_mut(&mut documents.values) {
                    for value in values {
                        value.relocate(&|span| map.outer(span));
                    }
                }
                Some(documents)
            }
            Err(fault) => {
                self.lose(Loss::Changes, scalar.span, format!("the text here {fault}"));
                None
            }
        })
    }

    /// The objects of documents, lists taken apart.
    fn objects(&mut self, documents: &Documents, named: Span) -> Vec<Object> {
        let mut found = Vec::new();
        let mut waiting: Vec<&Value> = documents.values.iter().rev().filter(|value| !value.is_null()).collect();
        while let Some(value) = waiting.pop() {
            let listed = value.text_of("kind").is_some_and(|kind| kind.ends_with("List"));
            if let Some(items) = value.get("items").filter(|_| listed) {
                waiting.extend(items.items().iter().rev().filter(|item| !item.is_null()));
            } else if listed || Object::is_object(value) {
                found.push(Object::new(value.clone()));
            } else {
                self.lose(Loss::Objects, named, "it holds something without `kind` or `metadata.name`".to_owned());
            }
        }
        found
    }
}

/// Gives the keys of a kustomization the case that they are looked for in; kustomize takes them in any.
fn canonical(mut kustomization: Value) -> Value {
    if let Value::Mapping { entries, .. } = &mut kustomization {
        for (key, _) in entries {
            if let Some(known) = KEYS.iter().find(|known| known.eq_ignore_ascii_case(&key.text)) {
                key.text = (*known).into();
            }
        }
    }
    kustomization
}

/// What kustomize does with every object that it writes: annotations are texts, and words that YAML 1.1 takes for
/// booleans are quoted.
fn finish(value: &mut Value) {
    if let Some(metadata) = value.get_mut("metadata") {
        if metadata.get("annotations").is_some_and(|annotations| annotations.entries().is_empty()) {
            metadata.remove("annotations");
        }
        if let Some(Value::Mapping { entries, .. }) = metadata.get_mut("annotations") {
            for (_, value) in entries {
                if let Value::Scalar(scalar) = value {
                    stringify(scalar);
                }
            }
        }
    }
    quote(value);
}

/// Makes a scalar a text, whatever it looks like.
fn stringify(scalar: &mut Scalar) {
    if scalar.style == syntax::Style::Plain {
        scalar.tag = Some("tag:yaml.org,2002:str".into());
    }
}

fn quote(value: &mut Value) {
    match value {
        Value::Scalar(scalar) => {
            let word = matches!(scalar.text.to_ascii_lowercase().as_str(), "y" | "n" | "yes" | "no" | "on" | "off");
            let sexagesimal =
                scalar.text.contains(':') && scalar.text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.'));
            if scalar.tag.is_none() && (word || sexagesimal) {
                stringify(scalar);
            }
        }
        Value::Sequence { items, .. } => items.iter_mut().for_each(quote),
        Value::Mapping { entries, .. } => entries.iter_mut().for_each(|(_, value)| quote(value)),
    }
}

/// A name without a user and password in it, for messages.
fn shown(name: &str) -> &str {
    match name.find("://").and_then(|at| name.get(at + 3..)) {
        Some(rest) => rest.split('/').next().and_then(|host| host.rfind('@')).map_or(name, |at| rest.get(at + 1..).unwrap_or_default()),
        None => name,
    }
}
