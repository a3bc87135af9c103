//! A Compose project as it runs: what it includes, what its services extend, and its files merged one over the other.

mod merge;
mod paths;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use self::merge::{Merger, Tag};
use super::{Composed, Joined, Value};
use crate::artifact::{interpolated, is_remote};
use crate::scan::is_templated;
use crate::source::Span;
use crate::survey::join;
use crate::syntax::{self, Builder, Document, Node, Style, Syntax};
use crate::tree::Tree;

/// The longest chain of services or files that name each other.
const MAX_CHAIN: usize = 100;

/// The top-level keys whose entries an included file brings.
const RESOURCES: &[&str] = &["services", "volumes", "networks", "secrets", "configs", "models"];

/// Composes the files of one environment, given in the order they are merged.
pub(crate) fn compose(tree: &Tree, files: &[&str]) -> Composed {
    let home = files.first().map_or("", |file| folder(file));
    let mut composer = Composer {
        tree,
        joined: Joined::default(),
        home: home.to_owned(),
        loaded: HashMap::new(),
        tags: HashMap::new(),
        bases: HashMap::new(),
        included: HashMap::new(),
        extended: HashMap::new(),
        documents: 0,
        not_evaluated: Vec::new(),
    };
    let mut value = Value::mapping(Span::default());
    for file in files {
        match composer.file(file, home, &mut vec![(*file).to_owned()]) {
            Ok(own) => value = composer.merge(&[], value, own),
            Err(why) => composer
                .not_evaluated
                .push((Span::default(), format!("`{file}`, a file of the project, {why}; what it brings was not judged"))),
        }
    }
    let value = composer.merger().settled(value);
    let open = !composer.not_evaluated.is_empty();
    let (source, origins) = composer.joined.finish(&name(files));
    let mut builder = Builder::new(&source, Syntax::Yaml, 64);
    value.write(&mut builder);
    let documents = vec![builder.finish(source.text.len())];
    Composed { source, origins, documents, not_evaluated: composer.not_evaluated, open, problems: Vec::new(), incomplete: Vec::new() }
}

/// Whether a Compose file says more than what stands in it, by services that extend others or by files that it includes.
pub(crate) fn is_composed(document: &Document) -> bool {
    let root = document.root();
    let services = root.get("services").map(Node::entries).unwrap_or_default();
    root.get("include").is_some() || services.iter().any(|(_, service)| service.get("extends").is_some())
}

/// The files that a document includes or whose services it extends, whether they exist or not.
pub(crate) fn named_files(document: &Document, folder: &str) -> (Vec<String>, Vec<String>) {
    let root = document.root();
    let included = root.get("include").into_iter().flat_map(Node::items).flat_map(|entry| {
        let path = if entry.is_mapping() { entry.get("path") } else { Some(entry) };
        path.into_iter().flat_map(|path| path.text().into_iter().chain(path.items().filter_map(Node::text)))
    });
    let services = root.get("services").map(Node::entries).unwrap_or_default();
    let extended = services.iter().filter_map(|(_, service)| service.at_path(&["extends", "file"])?.text());
    let local = |path: &str| local(folder, path).ok();
    (included.filter_map(local).collect(), extended.filter_map(local).collect())
}

/// What people read as the name of an environment: its first file, and the names of those merged over it.
fn name(files: &[&str]) -> String {
    let names = files.iter().enumerate().map(|(index, file)| match index {
        0 => file,
        _ => file.rsplit('/').next().unwrap_or(file),
    });
    names.collect::<Vec<_>>().join("+")
}

/// The files that the name of an environment stands for.
pub(crate) fn files_of(name: &str) -> impl Iterator<Item = String> {
    let mut names = name.split('+');
    let first = names.next().unwrap_or_default();
    let folder = first.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
    std::iter::once(first.to_owned()).chain(names.map(move |name| format!("{folder}{name}")))
}

fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// The file of the tree that a path names from a folder; the error completes a sentence about it.
fn local(folder: &str, path: &str) -> Result<String, String> {
    let (path, _) = interpolated(path, Span::default());
    if is_remote(&path) {
        return Err("stands in another repository".to_owned());
    }
    if path.contains('$') {
        return Err("has a name that a variable gives".to_owned());
    }
    join(folder, &path).ok_or_else(|| "lies outside of the folder that was scanned".to_owned())
}

/// The services that `extends` finds names in.
#[derive(Clone)]
struct Scope {
    /// The path of a file, or the number of a document that is merged.
    key: Rc<str>,
    /// The file, for messages; empty for the one that extends.
    file: Rc<str>,
    /// The folder that paths start from.
    folder: Rc<str>,
    services: Rc<HashMap<Box<str>, Value>>,
}

struct Composer<'t> {
    tree: &'t Tree,
    joined: Joined,
    /// The folder of the environment, from which the paths of the result start.
    home: String,
    loaded: HashMap<String, Rc<[Value]>>,
    /// Collections and scalars that are tagged, by their place.
    tags: HashMap<Span, Tag>,
    /// Files whose services are extended.
    bases: HashMap<String, Scope>,
    /// What was included, by its files and its folder.
    included: HashMap<(Vec<String>, String), Value>,
    /// Services whose `extends` is applied, by scope and name.
    extended: HashMap<(Rc<str>, String), Value>,
    /// How many documents were merged.
    documents: usize,
    not_evaluated: Vec<(Span, String)>,
}

impl Composer<'_> {
    fn merger(&self) -> Merger<'_> {
        Merger { joined: &self.joined, tags: &self.tags }
    }

    fn merge(&self, path: &[&str], base: Value, over: Value) -> Value {
        self.merger().merge(&mut path.iter().map(|&key| key.to_owned()).collect(), base, over)
    }

    /// The documents of a file.
    fn load(&mut self, path: &str) -> Result<Rc<[Value]>, String> {
        if let Some(known) = self.loaded.get(path) {
            return Ok(Rc::clone(known));
        }
        if !self.tree.is_file(path) {
            return Err("is not there".to_owned());
        }
        let (source, start) = self.joined.add(self.tree, path)?;
        let source = Arc::new(source);
        let parsed = syntax::parse(&source, Syntax::Yaml);
        if !parsed.errors.is_empty() && is_templated(&source.text, Syntax::Yaml) {
            return Err("is a template of another tool".to_owned());
        }
        if parsed.documents.is_empty() {
            return Err("is no YAML".to_owned());
        }
        let mut values = Vec::new();
        for root in parsed.documents.iter().map(Document::root).filter(|root| root.is_mapping()) {
            values.push(Value::read(root, start).map_err(|error| error.to_string())?);
            self.tags.extend(root.values().into_iter().filter_map(|node| Some((node.span().moved(start), Tag::of(node)?))));
        }
        let values: Rc<[Value]> = values.into();
        self.loaded.insert(path.to_owned(), Rc::clone(&values));
        Ok(values)
    }

    /// A file with all that it includes and extends. Its paths start from `folder`; `way` are the files that lead here.
    fn file(&mut self, path: &str, folder: &str, way: &mut Vec<String>) -> Result<Value, String> {
        let mut whole = None;
        for document in self.load(path)?.iter() {
            let mut own = document.clone();
            paths::rebase(&mut own, folder, &self.home);
            self.include(&mut own, folder, way);
            self.extend(&mut own, folder);
            whole = Some(match whole {
                Some(base) => self.merge(&[], base, own),
                None => own,
            });
        }
        whole.ok_or_else(|| "is empty".to_owned())
    }

    /// Puts what a file includes below what it says itself; entries that cannot be read stay.
    fn include(&mut self, own: &mut Value, folder: &str, way: &mut Vec<String>) {
        let Some((key, list)) = own.remove("include") else { return };
        let mut left = Vec::new();
        for entry in list.items() {
            match self.included(entry, folder, way) {
                Ok(included) => {
                    for &key in RESOURCES {
                        self.import(own, key, &included);
                    }
                }
                Err(why) => {
                    self.not_evaluated.push((entry.span(), format!("an included file {why}; what it brings was not judged")));
                    left.push(entry.clone());
                }
            }
        }
        if !left.is_empty() {
            let span = list.span();
            own.set(key, Value::Sequence { items: left, style: Style::Block, span });
        }
    }

    fn import(&self, own: &mut Value, key: &str, included: &Value) {
        let Some((name, resources)) = included.entries().iter().find(|(name, _)| &*name.text == key) else { return };
        let Some(mine) = own.get_mut(key) else {
            own.set(name.clone(), resources.clone());
            return;
        };
        for (name, resource) in resources.entries() {
            // What two ways lead to is the same thing.
            let merged = match mine.get(&name.text) {
                Some(known) if merge::same(known, resource) => continue,
                Some(known) => self.merge(&[key, &name.text], resource.clone(), known.clone()),
                None => resource.clone(),
            };
            match mine.get_mut(&name.text) {
                Some(known) => *known = merged,
                None => mine.set(name.clone(), merged),
            }
        }
    }

    /// What an entry of `include` brings.
    fn included(&mut self, entry: &Value, folder: &str, way: &mut Vec<String>) -> Result<Value, String> {
        let path = entry.get("path").unwrap_or(entry);
        let names: Vec<&str> = path.text().into_iter().chain(path.items().iter().filter_map(Value::text)).collect();
        let files = names.iter().map(|name| local(folder, name)).collect::<Result<Vec<String>, String>>()?;
        let first = files.first().ok_or("has no path")?;
        let own_folder = match entry.get("project_directory").and_then(Value::text) {
            Some(directory) => local(folder, directory)?,
            None => self::folder(first).to_owned(),
        };
        if files.iter().any(|file| way.contains(file)) {
            return Err("includes itself by a circle".to_owned());
        }
        if way.len() >= MAX_CHAIN {
            return Err("stands at the end of too long a chain".to_owned());
        }
        let id = (files, own_folder);
        if let Some(known) = self.included.get(&id) {
            return Ok(known.clone());
        }
        let (files, own_folder) = &id;
        let mut whole = None;
        for file in files {
            way.push(file.clone());
            let own = self.file(file, own_folder, way);
            way.pop();
            whole = Some(match whole {
                Some(base) => self.merge(&[], base, own?),
                None => own?,
            });
        }
        let mut whole = whole.ok_or("has no path")?;
        paths::state_contexts(&mut whole, own_folder, &self.home);
        self.included.insert(id, whole.clone());
        Ok(whole)
    }

    /// Applies `extends` to every service of a document.
    fn extend(&mut self, own: &mut Value, folder: &str) {
        let Some(services) = own.get_mut("services") else { return };
        if services.entries().iter().all(|(_, service)| service.get("extends").is_none()) {
            return;
        }
        self.documents += 1;
        let scope = Scope {
            key: format!("\0{}", self.documents).into(),
            file: "".into(),
            folder: folder.into(),
            services: Rc::new(by_name(services)),
        };
        let Value::Mapping { entries, .. } = services else { return };
        for (name, slot) in entries.iter_mut().filter(|(_, service)| service.get("extends").is_some()) {
            if let Some(service) = self.service(&scope, &name.text, &mut Vec::new()) {
                *slot = service;
            }
        }
    }

    /// A service with what it extends; where that cannot be read, `extends` stays.
    fn service(&mut self, scope: &Scope, name: &str, way: &mut Vec<(Rc<str>, String)>) -> Option<Value> {
        let id = (Rc::clone(&scope.key), name.to_owned());
        if let Some(known) = self.extended.get(&id) {
            return Some(known.clone());
        }
        let mut own = scope.services.get(name)?.clone();
        let Some((key, extends)) = own.remove("extends") else { return Some(own) };
        way.push(id.clone());
        let base = self.base(scope, &extends, way);
        way.pop();
        let service = match base {
            Ok(base) => {
                let place = own.span();
                let mut service = self.merge(&["services", name], base, own);
                if let Value::Mapping { span, .. } = &mut service {
                    *span = place;
                }
                service
            }
            Err(why) => {
                let place = extends.get("file").unwrap_or(&extends).span();
                self.not_evaluated.push((place, format!("service `{name}` extends one {why}; what is missing in it was not judged")));
                own.set(key, extends);
                own
            }
        };
        self.extended.insert(id, service.clone());
        Some(service)
    }

    /// The service that an `extends` names; the error completes a sentence about it.
    fn base(&mut self, scope: &Scope, extends: &Value, way: &mut Vec<(Rc<str>, String)>) -> Result<Value, String> {
        let name = extends.text().or_else(|| extends.get("service").and_then(Value::text)).ok_or("that it does not name")?;
        let scope = match extends.get("file").and_then(Value::text) {
            Some(file) => self.other_file(&scope.folder, file).map_err(|why| format!("of a file that {why}"))?,
            None => scope.clone(),
        };
        if way.contains(&(Rc::clone(&scope.key), name.to_owned())) {
            return Err("that extends it in turn".to_owned());
        }
        if way.len() >= MAX_CHAIN {
            return Err("at the end of too long a chain".to_owned());
        }
        self.service(&scope, name, way).ok_or_else(|| match &*scope.file {
            "" => "that the file does not have".to_owned(),
            file => format!("that `{file}` does not have"),
        })
    }

    /// The services of another file; its paths start where it stands.
    fn other_file(&mut self, folder: &str, file: &str) -> Result<Scope, String> {
        let path = local(folder, file)?;
        if let Some(known) = self.bases.get(&path) {
            return Ok(known.clone());
        }
        let own_folder = self::folder(&path);
        let mut whole = None;
        for document in self.load(&path)?.iter() {
            let mut own = document.clone();
            paths::rebase(&mut own, own_folder, &self.home);
            whole = Some(match whole {
                Some(base) => self.merge(&[], base, own),
                None => own,
            });
        }
        let services = whole.as_ref().and_then(|whole| whole.get("services")).map(by_name).ok_or("has no services")?;
        let scope = Scope { key: path.as_str().into(), file: path.as_str().into(), folder: own_folder.into(), services: Rc::new(services) };
        self.bases.insert(path, scope.clone());
        Ok(scope)
    }
}

fn by_name(services: &Value) -> HashMap<Box<str>, Value> {
    services.entries().iter().map(|(name, service)| (name.text.clone(), service.clone())).collect()
}
