//! Writing suppressions where findings are: a comment where the file can have one, an entry of the configuration otherwise.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::json;

use super::Date;
use super::cover::line_at;
use crate::baseline::{Known, recognise};
use crate::config::{self, Settings};
use crate::digest::{Binding, salt};
use crate::error::SetupError;
use crate::finding::Finding;
use crate::scan::{Progress, check, syntax_of};
use crate::source::{Source, Span};
use crate::survey::{Request, Survey};
use crate::syntax::{self, Syntax};
use crate::tree::Tree;

/// Which findings to silence, and why.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// Path from the root.
    pub(crate) path: String,
    /// 1-based line; none: every line.
    pub(crate) line: Option<u32>,
    /// Ids of rules; empty: every rule.
    pub(crate) rules: Vec<String>,
    /// Why the findings may stay; none where a suppression that is there says it.
    pub(crate) reason: Option<String>,
    /// The last day on which they may.
    pub(crate) until: Option<Date>,
}

/// A changed file.
#[derive(Clone, Debug)]
pub(crate) struct Edit {
    /// Path from the root.
    pub(crate) path: String,
    /// Its whole new text.
    pub(crate) text: String,
    /// The lines that are new or changed: 1-based number and text.
    pub(crate) added: Vec<(u32, String)>,
}

/// The change that silences findings; it is tried before it is given, and nothing is written.
pub(crate) fn write(tree: &Tree, wanted: &Wanted, settings: &Settings) -> Result<Edit, SetupError> {
    let mut settings = settings.clone();
    settings.bind = Some(salt::<4>().map_err(SetupError::new)?);
    let request = Request { paths: vec![wanted.path.clone()], no_ignore: true };
    let report = check(tree, &request, &settings, &Progress::default());
    let line_of = |finding: &Finding| {
        report.sources.get(&finding.location.path).map_or(1, |source| source.position(finding.location.span.start).line)
    };
    let mut known = BTreeSet::new();
    for name in &wanted.rules {
        let rules = settings.rules.find(name);
        if rules.is_empty() {
            return Err(SetupError::new(format!("there is no rule `{name}`")).help("`preflint rules` lists all rules"));
        }
        known.extend(rules.into_iter().map(|rule| Arc::clone(&rule.id)));
    }
    let here = |finding: &&Finding| {
        *finding.location.path == *wanted.path
            && !finding.rule.starts_with("scan/suppression")
            && (known.is_empty() || known.contains(&finding.rule))
    };
    let there: Vec<&Finding> = report.findings.iter().filter(here).collect();
    let meant: Vec<&Finding> = there.iter().copied().filter(|finding| wanted.line.is_none_or(|line| line == line_of(finding))).collect();
    if meant.is_empty() {
        let lines: BTreeSet<u32> = there.iter().map(|finding| line_of(finding)).collect();
        let place = wanted.line.map_or_else(|| wanted.path.clone(), |line| format!("{}:{line}", wanted.path));
        let error = SetupError::new(format!("no such finding counts at {place}"));
        let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
        return Err(if lines.is_empty() {
            error.help("`preflint check` shows what there is")
        } else {
            error.help(format!("there are findings in lines {}", lines.join(", ")))
        });
    }
    let bytes = tree.read(&wanted.path).map_err(|error| SetupError::new(format!("{} cannot be read: {error}", wanted.path)))?;
    let source = Source::decode(wanted.path.as_str().into(), bytes).map_err(|error| SetupError::new(error.to_string()))?;
    let bom = source.bom;
    let source = Arc::new(source);
    if let Some(text) = comments(tree, &request, &settings, &source, &meant, wanted)? {
        let added = changed_lines(&source.text, &text);
        let text = if bom { format!("\u{feff}{text}") } else { text };
        let changed = tree.clone().with(wanted.path.clone(), text.clone());
        let after = check(&changed, &request, &settings, &Progress::default());
        let known: Vec<Known> = meant.iter().map(|finding| Known::of(finding)).collect();
        let (_, left) = recognise(&known, &after.silenced.iter().collect::<Vec<_>>());
        if left.iter().all(|left| *left == 0) {
            // A line that grew may hold the secret.
            let masked: Vec<&str> = after.sources.get(&*wanted.path).map_or_else(Vec::new, |source| source.text().lines().collect());
            let shown = |line: u32| masked.get(line.saturating_sub(1) as usize).map_or_else(String::new, |line| (*line).to_owned());
            let added = added.into_iter().map(|(line, _)| (line, shown(line))).collect();
            return Ok(Edit { path: wanted.path.clone(), text, added });
        }
    }
    entries(tree, &meant, wanted)
}

fn reason(wanted: &Wanted) -> Result<&str, SetupError> {
    let given = wanted.reason.as_deref().map(str::trim).filter(|reason| !reason.is_empty());
    given.ok_or_else(|| SetupError::new("a suppression needs a reason").help("add `--reason` and why the finding may stay"))
}

/// The text with comments that cover the findings; none where the file can have no comments.
fn comments(
    tree: &Tree,
    request: &Request,
    settings: &Settings,
    source: &Arc<Source>,
    meant: &[&Finding],
    wanted: &Wanted,
) -> Result<Option<String>, SetupError> {
    let survey = Survey::new(tree, request, &settings.exclude, &settings.releases);
    let Some(entry) = survey.entries.iter().find(|entry| *entry.path == *wanted.path) else { return Ok(None) };
    let syntax = syntax_of(entry.sort);
    let parsed = syntax::parse(source, syntax);
    if syntax == Syntax::Json || parsed.documents.is_empty() {
        return Ok(None);
    }
    // What is put in, by offset; of several the later ones stand below.
    let mut inserts: BTreeMap<u32, String> = BTreeMap::new();
    // Rules by the line that they go above, and by the secret that they are about.
    let mut new: BTreeMap<(u32, Option<String>), BTreeSet<&str>> = BTreeMap::new();
    for finding in meant {
        if let (Some(span), Some(binding)) = (finding.unbound, finding.binding)
            && source.slice(span).starts_with("preflint:")
            && !inserts.contains_key(&span.end)
        {
            let mut text = format!("; value={binding}");
            if let Some(until) = wanted.until {
                let _ = write!(text, "; until={until}");
            }
            inserts.insert(span.end, text);
            continue;
        }
        let Some(line) = line_to_comment(source, &parsed, finding.location.span.start) else { return Ok(None) };
        new.entry((line.start, finding.binding.map(|binding| binding.to_string()))).or_default().insert(&finding.rule);
    }
    for ((start, binding), rules) in new {
        let line = source.slice(line_at(source, start));
        let indent = line.get(..line.len() - line.trim_start().len()).unwrap_or_default();
        let sign = if syntax == Syntax::Jsonc { "//" } else { "#" };
        let rules = rules.into_iter().collect::<Vec<_>>().join(", ");
        let line_break = if source.text.contains("\r\n") { "\r\n" } else { "\n" };
        let mut text = format!("{indent}{sign} preflint: ignore[{rules}] -- {}", reason(wanted)?.replace(['\n', '\r'], " "));
        for (key, value) in [("until", wanted.until.map(|until| until.to_string())), ("value", binding)] {
            if let Some(value) = value {
                let _ = write!(text, "; {key}={value}");
            }
        }
        inserts.entry(start).or_default().push_str(&(text + line_break));
    }
    let mut text = source.text.clone();
    for (offset, insert) in inserts.into_iter().rev() {
        text.insert_str(offset as usize, &insert);
    }
    Ok(Some(text))
}

/// The line on which the innermost node around an offset begins, where nothing else begins before it on that line.
fn line_to_comment(source: &Source, parsed: &syntax::Parsed, offset: u32) -> Option<Span> {
    let mut best: Option<Span> = None;
    for node in parsed.documents.iter().flat_map(syntax::Document::entries) {
        let start = node.key().unwrap_or(node).span().start;
        if start > offset || (node.span().end < offset && start != offset) {
            continue;
        }
        let line = line_at(source, start);
        let before = source.slice(Span { start: line.start, end: start });
        if before.trim_start_matches([' ', '\t', '-']).is_empty() && best.is_none_or(|best| line.start >= best.start) {
            best = Some(line);
        }
    }
    best
}

/// The configuration with entries that cover the findings.
fn entries(tree: &Tree, meant: &[&Finding], wanted: &Wanted) -> Result<Edit, SetupError> {
    let before = tree.read(config::FILE).ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
    let mut text = before.clone();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    let mut seen = BTreeSet::new();
    for finding in meant {
        let object = &finding.object;
        let mut entry =
            format!("[[suppressions]]\nrules = [{}]\npaths = [{}]\n", json!(*finding.rule), json!(globset::escape(&wanted.path)));
        for (key, value) in [("kind", &object.kind), ("name", &object.name), ("container", &object.container)] {
            if !value.is_empty() {
                let _ = writeln!(entry, "{key} = {}", json!(globset::escape(value)));
            }
        }
        let _ = writeln!(entry, "reason = {}", json!(reason(wanted)?));
        if let Some(until) = wanted.until {
            let _ = writeln!(entry, "until = \"{until}\"");
        }
        if let Some(binding) = finding.binding.as_ref().map(Binding::to_string) {
            let _ = writeln!(entry, "value = \"{binding}\"");
        }
        if seen.insert(entry.clone()) {
            text.push_str(if text.is_empty() { "" } else { "\n" });
            text.push_str(&entry);
        }
    }
    let added = changed_lines(&before, &text);
    Ok(Edit { path: config::FILE.to_owned(), text, added })
}

/// Lines of a text that another one, from which it was made by insertions, does not have at their place.
fn changed_lines(before: &str, after: &str) -> Vec<(u32, String)> {
    let mut old = before.lines().peekable();
    let mut changed = Vec::new();
    for (number, line) in (1..).zip(after.lines()) {
        match old.peek() {
            Some(known) if *known == line => {
                old.next();
            }
            // A line that grew takes the place of the old one.
            Some(known) if !known.is_empty() && line.starts_with(*known) => {
                old.next();
                changed.push((number, line.to_owned()));
            }
            _ => changed.push((number, line.to_owned())),
        }
    }
    changed
}
