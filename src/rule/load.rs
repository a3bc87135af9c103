//! The one loader for built-in and user rule files.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;

use super::{ArtifactKind, Data, Example, FixKind, Param, ParamType, ParamValue, Preset, Rule, RuleSet, Scope};
use crate::check::{ApiVersions, Check, WranglerFields};
use crate::error::SetupError;
use crate::finding::{Confidence, Severity};
use crate::redact::Secrets;
use crate::source::Source;
use crate::syntax::{self, Node, Syntax};

/// A file of `rules/`, with its nodes as `build.rs` writes them.
struct Builtin {
    path: &'static str,
    text: &'static str,
    nodes: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/builtin.rs"));

impl Builtin {
    fn document(&self) -> syntax::Document {
        let source = Arc::new(Source { path: self.path.into(), text: self.text.to_owned(), bom: false });
        syntax::compiled(&source, self.nodes)
    }

    /// Whether it is a table of data and no rule.
    fn is_table(&self) -> bool {
        self.path.matches('/').count() == 1
    }
}

/// A rule file's tree with errors that underline.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'d> {
    pub(crate) node: Node<'d>,
}

impl<'d> Reader<'d> {
    pub(crate) fn error(self, message: impl Into<String>) -> SetupError {
        let source = &self.node.doc.source;
        SetupError::at(&source.path, &source.text, self.node.place(), message)
    }

    pub(crate) fn text(self) -> Result<&'d str, SetupError> {
        self.node.text().ok_or_else(|| self.error("a text is expected here"))
    }

    pub(crate) fn bool(self) -> Result<bool, SetupError> {
        self.node.as_bool().ok_or_else(|| self.error("true or false is expected here"))
    }

    /// The items of a list.
    pub(crate) fn items(self) -> Result<Vec<Reader<'d>>, SetupError> {
        if !self.node.is_sequence() {
            return Err(self.error("a list is expected here"));
        }
        Ok(self.node.items().map(|node| Reader { node }).collect())
    }

    /// The pairs of a mapping, each key one of `known` (any key where that is empty).
    pub(crate) fn pairs(self, known: &[&str]) -> Result<Vec<(&'d str, Reader<'d>)>, SetupError> {
        if !self.node.is_mapping() {
            return Err(self.error("a mapping is expected here"));
        }
        let mut pairs = Vec::new();
        for (key, value) in self.node.pairs() {
            let name = key.text().unwrap_or_default();
            if !known.is_empty() && !known.contains(&name) {
                let reader = Reader { node: key };
                return Err(reader.error(format!("unknown key `{name}`")).suggest(name, known.iter().copied()));
            }
            pairs.push((name, Reader { node: value }));
        }
        Ok(pairs)
    }

    pub(crate) fn texts(self) -> Result<Vec<String>, SetupError> {
        self.items()?.into_iter().map(|item| item.text().map(str::to_owned)).collect()
    }

    /// One of an enumeration's words.
    pub(crate) fn word<T: Copy>(self, all: &[T], word: impl Fn(T) -> &'static str) -> Result<T, SetupError> {
        let text = self.text()?;
        all.iter()
            .copied()
            .find(|&value| word(value) == text)
            .ok_or_else(|| self.error(format!("`{text}` is not known here")).suggest(text, all.iter().map(|&value| word(value))))
    }
}

const KEYS: &[&str] = &[
    "name",
    "formerly",
    "artifacts",
    "scope",
    "preset",
    "severity",
    "confidence",
    "security",
    "rationale",
    "remediation",
    "references",
    "tags",
    "equivalents",
    "params",
    "precedence",
    "fix",
    "example",
    "check",
];

/// Reads one rule from its file.
fn read_rule(id: &str, root: Reader<'_>) -> Result<Rule, SetupError> {
    let mut rule = Rule {
        id: id.into(),
        name: String::new(),
        formerly: Vec::new(),
        artifacts: Vec::new(),
        scope: Scope::File,
        preset: Preset::Default,
        severity: Severity::Medium,
        confidence: Confidence::High,
        security: false,
        rationale: String::new(),
        remediation: String::new(),
        references: Vec::new(),
        tags: Vec::new(),
        equivalents: Vec::new(),
        params: Vec::new(),
        precedence: None,
        fix: FixKind::None,
        example: None,
        checks: Vec::new(),
    };
    let mut check = None;
    for (key, value) in root.pairs(KEYS)? {
        match key {
            "name" => value.text()?.clone_into(&mut rule.name),
            "formerly" => rule.formerly = value.texts()?,
            "artifacts" => {
                rule.artifacts =
                    value.items()?.into_iter().map(|item| item.word(ArtifactKind::ALL, ArtifactKind::word)).collect::<Result<_, _>>()?;
            }
            "scope" => rule.scope = value.word(Scope::ALL, Scope::word)?,
            "preset" => rule.preset = value.word(Preset::ALL, Preset::word)?,
            "severity" => rule.severity = value.word(&Severity::ALL, Severity::word)?,
            "confidence" => rule.confidence = value.word(&Confidence::ALL, Confidence::word)?,
            "security" => rule.security = value.bool()?,
            "rationale" => value.text()?.trim().clone_into(&mut rule.rationale),
            "remediation" => value.text()?.trim().clone_into(&mut rule.remediation),
            "references" => rule.references = value.texts()?,
            "tags" => rule.tags = value.texts()?,
            "equivalents" => rule.equivalents = value.texts()?,
            "params" => {
                rule.params = value.pairs(&[])?.into_iter().map(|(name, param)| read_param(name, param)).collect::<Result<_, _>>()?;
            }
            "precedence" => {
                let number = value.node.as_int().and_then(|number| u8::try_from(number).ok());
                rule.precedence = Some(number.ok_or_else(|| value.error("a number from 0 to 255 is expected here"))?);
            }
            "fix" => rule.fix = value.word(FixKind::ALL, FixKind::word)?,
            "example" => rule.example = Some(read_example(value)?),
            _ => check = Some(value),
        }
    }
    for (key, missing) in [
        ("name", rule.name.is_empty()),
        ("rationale", rule.rationale.is_empty()),
        ("remediation", rule.remediation.is_empty()),
        ("artifacts", rule.artifacts.is_empty() && !rule.is_scan()),
        ("check", check.is_none() && !rule.is_scan()),
    ] {
        if missing {
            return Err(root.error(format!("the rule has no `{key}`")));
        }
    }
    if let Some(check) = check {
        rule.checks = Check::read(check, &rule.params)?;
    }
    Ok(rule)
}

fn read_example(value: Reader<'_>) -> Result<Example, SetupError> {
    let mut example = Example::default();
    for (key, value) in value.pairs(&["file", "bad", "good", "beside"])? {
        if key == "beside" {
            for (path, text) in value.pairs(&[])? {
                example.beside.insert(path.to_owned(), text.text()?.to_owned());
            }
            continue;
        }
        let text = value.text()?.to_owned();
        match key {
            "file" => example.file = text,
            "bad" => example.bad = text,
            _ => example.good = text,
        }
    }
    Ok(example)
}

fn read_param(name: &str, value: Reader<'_>) -> Result<Param, SetupError> {
    let mut param = Param { name: name.to_owned(), kind: ParamType::String, one_of: Vec::new(), default: None, presets: BTreeMap::new() };
    let (mut default, mut presets) = (None, None);
    for (key, value) in value.pairs(&["type", "default", "presets", "one_of", "description"])? {
        match key {
            "type" => param.kind = value.word(ParamType::ALL, ParamType::word)?,
            "default" => default = Some(value),
            "presets" => presets = Some(value),
            "one_of" => param.one_of = value.texts()?,
            _ => {}
        }
    }
    param.default = default.map(|value| read_param_value(&param, value)).transpose()?;
    if let Some(presets) = presets {
        for (preset, value) in presets.pairs(&["default", "strict", "pedantic"])? {
            if let Some(preset) = Preset::from_word(preset) {
                let value = read_param_value(&param, value)?;
                param.presets.insert(preset, value);
            }
        }
    }
    Ok(param)
}

/// Reads a value for a parameter, from a rule file or a configuration.
pub(crate) fn read_param_value(param: &Param, value: Reader<'_>) -> Result<ParamValue, SetupError> {
    match param.kind {
        ParamType::Integer => value
            .node
            .text()
            .and_then(syntax::number)
            .filter(|number| number.fract() == 0.0)
            .map(ParamValue::Number)
            .ok_or_else(|| value.error(format!("`{}` takes a whole number", param.name))),
        ParamType::Number => value
            .node
            .text()
            .and_then(syntax::number)
            .map(ParamValue::Number)
            .ok_or_else(|| value.error(format!("`{}` takes a number", param.name))),
        ParamType::String => Ok(ParamValue::Text(value.text()?.to_owned())),
        ParamType::Strings => Ok(ParamValue::Texts(value.texts()?)),
        ParamType::Choice => {
            let text = value.text()?;
            if param.one_of.iter().any(|word| word == text) {
                Ok(ParamValue::Text(text.to_owned()))
            } else {
                Err(value
                    .error(format!("`{}` does not take `{text}`", param.name))
                    .help(format!("use one of: {}", param.one_of.join(", "))))
            }
        }
    }
}

/// A parsed rule file.
fn parse_file(path: &str, text: &str) -> Result<syntax::Document, SetupError> {
    let source = Arc::new(Source { path: path.into(), text: text.to_owned(), bom: false });
    let parsed = syntax::parse(&source, Syntax::Yaml);
    if let Some(error) = parsed.errors.first() {
        return Err(SetupError::at(path, text, error.span, error.message.clone()));
    }
    let mut documents = parsed.documents;
    if documents.len() > 1 {
        return Err(SetupError::new(format!("{path}: one document is expected, this file holds {}", documents.len())));
    }
    documents.pop().ok_or_else(|| SetupError::new(format!("{path}: the file is empty")))
}

fn load_rule(path: &str, document: &syntax::Document) -> Result<Rule, SetupError> {
    if let Some(&(key, _)) = document.duplicates.first() {
        return Err(Reader { node: document.node(key) }.error("this key stands here already"));
    }
    let stem = path.trim_end_matches(".yaml").trim_end_matches(".yml");
    let mut parts = stem.rsplit('/');
    let (name, pack) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let is_word =
        |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if !is_word(name) || !is_word(pack) {
        return Err(SetupError::new(format!("{path}: a rule file is `<pack>/<rule>.yaml`, both in lower case with hyphens")));
    }
    read_rule(&format!("{pack}/{name}"), Reader { node: document.root() })
}

impl RuleSet {
    /// The built-in rules, and those of `<pack>/<rule>.yaml` below each of `folders`.
    pub fn load(folders: &[&Path]) -> Result<Self, SetupError> {
        let files = BUILTIN.par_iter().filter(|file| !file.is_table());
        let mut rules = files.map(|file| load_rule(file.path, &file.document())).collect::<Result<Vec<_>, _>>()?;
        for folder in folders {
            load_folder(folder, &mut rules)?;
        }
        rules.sort_by(|a, b| a.id.cmp(&b.id));
        if let Some(pair) = rules.windows(2).find(|pair| matches!(pair, [a, b] if a.id == b.id)) {
            let id = pair.first().map(|rule| rule.id.to_string()).unwrap_or_default();
            return Err(SetupError::new(format!("the rule `{id}` is defined twice")).help("rename one of the two files"));
        }
        let table = |name: &'static str| {
            let file = BUILTIN.iter().find(|file| file.path == name);
            file.map(Builtin::document).ok_or_else(|| SetupError::new(format!("{name} is missing")))
        };
        let api_versions = ApiVersions::read(Reader { node: table("rules/kubernetes-versions.yaml")?.root() })?;
        let wrangler = WranglerFields::read(Reader { node: table("rules/wrangler-fields.yaml")?.root() })?;
        let secrets = Secrets::new(Reader { node: table("rules/credentials.yaml")?.root() }, &rules)?;
        if !folders.is_empty() {
            secrets.detector.check_patterns().map_err(SetupError::new)?;
        }
        Ok(Self { rules, data: Data { api_versions, secrets, wrangler } })
    }
}

/// Compiles every regular expression of a rule, which a scan does only at need.
fn check_patterns(document: &syntax::Document) -> Result<(), SetupError> {
    for node in document.root().get("check").into_iter().flat_map(Node::values).filter(|node| node.key_text() == Some("matches")) {
        let reader = Reader { node };
        regex::Regex::new(reader.text()?).map_err(|error| reader.error(format!("this regular expression does not compile: {error}")))?;
    }
    Ok(())
}

fn load_folder(folder: &Path, rules: &mut Vec<Rule>) -> Result<(), SetupError> {
    let shown = folder.display();
    let unreadable = |error: &dyn std::fmt::Display| {
        SetupError::new(format!("{shown}: {error}")).help("`--rules` takes a folder of `<pack>/<rule>.yaml` files")
    };
    if !folder.is_dir() {
        return Err(unreadable(&"no such folder"));
    }
    for entry in ignore::WalkBuilder::new(folder).standard_filters(false).max_depth(Some(2)).sort_by_file_name(Ord::cmp).build() {
        let entry = entry.map_err(|error| unreadable(&error))?;
        let is_rule = entry.depth() == 2 && entry.path().extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        if is_rule {
            let text = std::fs::read_to_string(entry.path()).map_err(|error| unreadable(&error))?;
            let path = entry.path().to_string_lossy().replace('\\', "/");
            let document = parse_file(&path, &text)?;
            rules.push(load_rule(&path, &document)?);
            check_patterns(&document)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_patterns_compile() {
        for file in BUILTIN.iter().filter(|file| !file.is_table()) {
            assert_eq!(check_patterns(&file.document()).map_err(|error| error.to_string()), Ok(()), "{}", file.path);
        }
    }

    #[test]
    fn what_is_built_in_reads_as_its_text() -> Result<(), SetupError> {
        for file in BUILTIN {
            let (built, parsed) = (file.document(), parse_file(file.path, file.text)?);
            let nodes = |document: &syntax::Document| -> Vec<String> {
                document.entries().map(|node| format!("{node:?} {:?} {:?} {:?}", node.path(), node.text(), node.style())).collect()
            };
            assert_eq!(nodes(&built), nodes(&parsed), "{}", file.path);
        }
        Ok(())
    }

    #[test]
    fn patterns_of_users_are_checked_at_once() {
        let text = "check: {target: object, deny: {path: kind, matches: '('}, message: m}\n";
        let document = parse_file("a/b.yaml", text);
        assert!(document.and_then(|document| check_patterns(&document)).is_err_and(|error| error.to_string().contains("does not compile")));
    }
}
