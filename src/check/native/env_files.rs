//! Native checks of pack dotenv that compare a file with what lies beside it: the index of git, its example, a schema.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use regex::Regex;

use super::dotenv::{file, shown};
use crate::artifact::{PathScope, Variable};
use crate::check::Run;
use crate::finding::{Confidence, Location, Related, Severity};
use crate::secret::Verdict;
use crate::source::Span;
use crate::survey::State;
use crate::syntax::{self, Document, Node, Syntax};

/// Words in names of files that show what a real one would hold.
const EXAMPLES: &[&str] = &["example", "examples", "sample", "template", "tmpl", "tpl", "dist", "default", "defaults", "schema", "dummy"];

fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

pub(super) fn is_example(path: &str) -> bool {
    name_of(path).to_ascii_lowercase().split(['.', '-', '_']).any(|word| EXAMPLES.contains(&word))
}

/// Whether a variable says nothing to a reader: empty, encrypted, or what the encryption itself keeps.
fn is_unreadable(variable: &Variable<'_>) -> bool {
    let (name, value) = (&*variable.name, variable.value.trim());
    value.is_empty()
        || value.starts_with("ENC[")
        || value.starts_with("encrypted:")
        || name.starts_with("sops_")
        || name.starts_with("DOTENV_PUBLIC_KEY")
}

/// Reports environment files that are committed, or about to be.
pub(crate) fn env_file_committed(run: &mut Run<'_, '_>) {
    let file_run = run.file;
    let Some(artifact) = file(run) else { return };
    let path = &*file_run.source.path;
    if file_run.state == State::Ignored || is_example(path) {
        return;
    }
    let readable: Vec<&Variable<'_>> = artifact.variables.iter().filter(|variable| !is_unreadable(variable)).collect();
    let Some(first) = readable.first() else { return };
    let verdict = |variable: &Variable<'_>| variable.verdict.get().copied().flatten();
    let tried_only = artifact.scope == PathScope::Development;
    let in_url = |variable: &Variable<'_>| {
        let mut urls = file_run.secrets.url_passwords.iter();
        let url = urls.find(|url| artifact.variables.get(url.at.1).is_some_and(|other| other.span == variable.span))?;
        // What a database for tests is opened with is no secret.
        let harmless = tried_only && (url.local || url.verdict == Verdict::Default);
        Some(if harmless { Verdict::Placeholder } else { url.verdict })
    };
    let own = |variable: &&&Variable<'_>| match verdict(variable).or_else(|| in_url(variable)) {
        Some(Verdict::Placeholder | Verdict::Default) => false,
        Some(_) => true,
        // A token or a key under any name.
        None => {
            let keys = file_run.secrets.private_keys.iter().copied();
            file_run.secrets.tokens.iter().map(|token| token.span).chain(keys).any(|span| span.overlaps(variable.span))
        }
    };
    let published = |variable: &&&Variable<'_>| verdict(variable).or_else(|| in_url(variable)) == Some(Verdict::Default);
    let credential = readable.iter().find(own);
    let default = readable.iter().find(published);
    // `web.env` is as often a list of settings that is meant to be deployed.
    let private = name_of(path).to_ascii_lowercase().starts_with(".env") || name_of(path).starts_with(".dev.vars");
    if credential.is_none() && !private {
        return;
    }
    let state = match file_run.state {
        State::Tracked => "git tracks this environment file",
        _ => "no ignore rule covers this environment file",
    };
    let (severity, holds) = match (credential, default) {
        (Some(_), _) => (run.rule.severity, ", which holds a credential"),
        (None, Some(_)) => (run.rule.severity.min(Severity::Medium), ", which holds a published default password"),
        // What serves tests and development is often committed on purpose.
        (None, None) if tried_only => (Severity::Info, ""),
        // Some frameworks want such a file committed.
        (None, None) => (run.rule.severity.min(Severity::Low), ""),
    };
    let at = credential.or(default).unwrap_or(first);
    let span = at.node.key().map_or(at.span, Node::span);
    let draft = run.report(span, artifact.object.clone(), format!("{state}{holds}"));
    draft.severity = severity;
    // Without a repository nobody knows whether the file will ever be in one.
    if file_run.state == State::Untracked && !file_run.tree.is_repository() {
        draft.confidence = draft.confidence.min(Confidence::Medium);
    }
}

/// The example that lies beside an environment file.
fn example_of(run: &Run<'_, '_>) -> Option<(Arc<str>, syntax::Parsed)> {
    let path = &*run.file.source.path;
    let found =
        ["example", "sample", "template", "dist"].iter().map(|word| format!("{path}.{word}")).find(|path| run.file.tree.is_file(path))?;
    let parsed = run.file.files.parsed(&found, Syntax::Dotenv)?;
    Some((found.into(), parsed))
}

/// Whether a comment behind a key or above it says that the key may be left out.
fn is_optional(document: &Document, key: Node<'_>) -> bool {
    let text = document.source.text.as_str();
    let says = |span: &Span| document.source.slice(*span).to_ascii_lowercase().contains("optional");
    let start = key.span().start as usize;
    let mut line = text.get(..start).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
    let end = text.get(start..).and_then(|rest| rest.find('\n')).map_or(text.len(), |at| start + at);
    if document.comments.iter().any(|comment| Span::new(line, end).contains(*comment) && says(comment)) {
        return true;
    }
    // The comments directly above.
    while let Some(above) = line.checked_sub(1) {
        let begin = text.get(..above).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
        let whole = text.get(begin..above).unwrap_or_default().trim();
        if !whole.starts_with('#') {
            return false;
        }
        if whole.to_ascii_lowercase().contains("optional") {
            return true;
        }
        line = begin;
    }
    false
}

/// The first five of several names in backquotes, and how many are left.
fn listed(names: &[String]) -> String {
    let mut parts: Vec<String> = names.iter().take(5).cloned().collect();
    if names.len() > parts.len() {
        parts.push(format!("{} more", names.len() - parts.len()));
    }
    let last = parts.pop().unwrap_or_default();
    if parts.is_empty() { last } else { format!("{} and {last}", parts.join(", ")) }
}

/// Reports environment files and examples that know different names, and values nobody has put in.
pub(crate) fn example_drift(run: &mut Run<'_, '_>) {
    let Some(artifact) = file(run).filter(|_| !is_example(&run.file.source.path)) else { return };
    let Some((example_path, example)) = example_of(run) else { return };
    let Some(example) = example.documents.first() else { return };
    let own = artifact.root.doc;
    let path = &*run.file.source.path;
    let example_name = name_of(&example_path);
    // What a machine of its own puts over the file is set all the same.
    let mut set = run.file.files.variables(path);
    set.extend(run.file.files.variables(&format!("{path}.local")));
    let described = run.file.files.variables(&example_path);
    let name = |key: Node<'_>| key.text().unwrap_or_default().to_owned();

    let lacking: Vec<Node<'_>> = example
        .root()
        .pairs()
        .map(|(key, _)| key)
        .filter(|key| !set.contains(key.text().unwrap_or_default()) && !is_optional(example, *key))
        .collect();
    if let (Some(first), Some((at, _))) = (lacking.first(), artifact.root.pairs().next()) {
        let names: Vec<String> = lacking.iter().map(|key| format!("`{}`", name(*key))).collect();
        let message = format!("this file does not set {}, which `{example_name}` lists", listed(&names));
        let location = Location { path: Arc::clone(&example_path), span: first.span() };
        let draft = run.report(at.span(), artifact.object.clone(), message);
        draft.related.push(Related { location, label: "listed here".to_owned() });
    }
    let extra: Vec<Node<'_>> = artifact
        .root
        .pairs()
        .map(|(key, _)| key)
        .filter(|key| !described.contains(key.text().unwrap_or_default()) && !is_optional(own, *key))
        .filter(|key| key.text().is_none_or(|name| !name.starts_with("sops_") && !name.starts_with("DOTENV_PUBLIC_KEY")))
        .collect();
    if let Some(first) = extra.first() {
        let names: Vec<String> = extra.iter().map(|key| shown(run, *key)).collect();
        let message = format!("`{example_name}` does not list {}", listed(&names));
        run.report(first.span(), artifact.object_at(*first, ""), message);
    }
    let examples: BTreeMap<&str, &str> = example.root().pairs().filter_map(|(key, value)| Some((key.text()?, value.text()?))).collect();
    for variable in &artifact.variables {
        let is_placeholder = variable.verdict.get().copied().flatten() == Some(Verdict::Placeholder) || is_stand_in(&variable.value);
        if is_placeholder && examples.get(&*variable.name).copied() == variable.node.text() {
            let message = format!("`{}` still has the placeholder of `{example_name}`", variable.name);
            run.report(variable.span, artifact.object_at(variable.node, ""), message);
        }
    }
}

/// Whether a text tells the reader to put a value there, whatever the name.
fn is_stand_in(value: &str) -> bool {
    let lower = value.trim().to_ascii_lowercase();
    let flat = lower.replace(['-', '_', ' '], "");
    (lower.len() > 2 && lower.starts_with('<') && lower.ends_with('>'))
        || flat.starts_with("your")
        || ["changeme", "replaceme", "fillin", "xxxx"].iter().any(|word| flat.contains(word))
}

/// One entry of a schema.
struct Expected {
    kind: String,
    required: bool,
    pattern: Option<Regex>,
}

/// A schema: what each variable takes, and whether others may be set.
struct Schema {
    entries: BTreeMap<String, Expected>,
    open: bool,
}

impl Schema {
    fn read(root: Node<'_>) -> Self {
        let flag = |node: Node<'_>, keys: &[&str]| keys.iter().find_map(|key| node.get(key)).and_then(Node::as_bool);
        let mut entries = BTreeMap::new();
        for (key, entry) in root.get("entries").into_iter().flat_map(Node::entries) {
            let Some(name) = key.text() else { continue };
            let pattern = entry.text_of("regex").or_else(|| entry.text_of("pattern"));
            let expected = Expected {
                kind: entry.text_of("type").unwrap_or("string").to_ascii_lowercase(),
                required: flag(entry, &["required"]).unwrap_or_default(),
                // The whole value has to fit.
                pattern: pattern.and_then(|pattern| Regex::new(&format!("^(?:{pattern})$")).ok()),
            };
            entries.insert(name.to_owned(), expected);
        }
        Self { entries, open: flag(root, &["allow-other-keys", "allow_other_keys"]).unwrap_or_default() }
    }
}

/// Whether a value is of a type.
fn is_of_type(kind: &str, value: &str) -> bool {
    let value = value.trim();
    match kind {
        "integer" | "int" => value.parse::<i128>().is_ok(),
        "float" | "number" => value.parse::<f64>().is_ok(),
        "boolean" | "bool" => matches!(value.to_ascii_lowercase().as_str(), "true" | "false" | "yes" | "no" | "on" | "off" | "1" | "0"),
        "port" => value.parse::<u16>().is_ok_and(|port| port > 0),
        "url" => super::helm::is_url(value),
        "email" => super::helm::is_email(value),
        _ => true,
    }
}

/// Reports what breaks the schema that the configuration names.
pub(crate) fn schema_violation(run: &mut Run<'_, '_>) {
    let Some(artifact) = file(run).filter(|_| !is_example(&run.file.source.path)) else { return };
    let Some(path) = run.active.text("schema").filter(|path| !path.is_empty()) else { return };
    let Some(parsed) = run.file.files.parsed(path.trim_start_matches("./"), Syntax::Yaml) else { return };
    let Some(schema) = parsed.documents.first().map(|document| Schema::read(document.root())) else { return };
    let mut set = BTreeSet::new();
    for variable in &artifact.variables {
        let Some(key) = variable.node.key() else { continue };
        set.insert(&*variable.name);
        if is_unreadable(variable) && !variable.value.trim().is_empty() {
            continue;
        }
        let subject = shown(run, key);
        let object = artifact.object_at(variable.node, "");
        let Some(expected) = schema.entries.get(&*variable.name) else {
            if !schema.open {
                run.report(key.span(), object, format!("{subject} is not in the schema"));
            }
            continue;
        };
        let place = if variable.value.is_empty() { key.span() } else { variable.span };
        if variable.value.trim().is_empty() {
            if expected.required {
                run.report(place, object, format!("{subject} is empty, and the schema requires it"));
            }
        } else if !is_of_type(&expected.kind, &variable.value) {
            run.report(place, object, format!("the value of {subject} is not of type `{}`", expected.kind));
        } else if expected.pattern.as_ref().is_some_and(|pattern| !pattern.is_match(&variable.value)) {
            run.report(place, object, format!("the value of {subject} does not fit the pattern of the schema"));
        }
    }
    let missing: Vec<String> = schema
        .entries
        .iter()
        .filter(|(name, expected)| expected.required && !set.contains(name.as_str()))
        .map(|(name, _)| format!("`{name}`"))
        .collect();
    if let Some((key, _)) = artifact.root.pairs().next().filter(|_| !missing.is_empty()) {
        run.report(key.span(), artifact.object.clone(), format!("this file does not set {}, which the schema requires", listed(&missing)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_are_known_by_a_word_of_their_name() {
        for path in [".env.example", "a/.env.sample", ".dev.vars.template", "example.env", ".env.dist", ".env.prod.example"] {
            assert!(is_example(path), "{path}");
        }
        for path in [".env", "examples/.env", ".env.production", ".dev.vars"] {
            assert!(!is_example(path), "{path}");
        }
    }

    #[test]
    fn values_are_of_types() {
        assert!(is_of_type("integer", "-12") && !is_of_type("integer", "1.5"));
        assert!(is_of_type("boolean", "TRUE") && !is_of_type("boolean", "maybe"));
        assert!(is_of_type("url", "https://example.com") && !is_of_type("url", "example.com"));
        assert!(is_of_type("port", "8080") && !is_of_type("port", "0"));
    }

    #[test]
    fn names_are_listed_in_a_sentence() {
        let names = |count: usize| (0..count).map(|number| format!("`{number}`")).collect::<Vec<_>>();
        assert_eq!(listed(&names(1)), "`0`");
        assert_eq!(listed(&names(2)), "`0` and `1`");
        assert_eq!(listed(&names(7)), "`0`, `1`, `2`, `3`, `4` and 2 more");
    }
}
