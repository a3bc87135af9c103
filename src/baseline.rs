//! The baseline: findings that were there when a team began, by what they are and not by where their lines are.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::json;

use crate::digest::{from_hex, hex, salt};
use crate::error::SetupError;
use crate::finding::{Finding, Report};
use crate::rule::Reader;
use crate::source::{Source, Span};
use crate::syntax::{self, Syntax};

/// Name of the baseline, at the root, unless the configuration has another one.
pub(crate) const FILE: &str = "preflint-baseline.json";

/// A committed list of findings that do not count.
#[derive(Clone, Debug)]
pub struct Baseline {
    /// Path from the root.
    pub(crate) path: Arc<str>,
    /// Key of the digests.
    pub(crate) salt: Vec<u8>,
    pub(crate) entries: Vec<Known>,
    /// The file as read.
    pub(crate) text: String,
}

/// A finding as it is known again: by its rule, its path, what it is about, and the text it points at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Known {
    pub(crate) path: String,
    pub(crate) rule: String,
    pub(crate) object: String,
    /// Digest of the text, keyed with the salt.
    pub(crate) content: u32,
    /// How many equal findings there are.
    pub(crate) count: usize,
    /// Where the entry stands in the baseline's file.
    pub(crate) span: Span,
}

impl Known {
    pub(crate) fn of(finding: &Finding) -> Self {
        Self {
            path: finding.location.path.to_string(),
            rule: finding.rule.to_string(),
            object: finding.object.key(),
            content: finding.content,
            count: 1,
            span: Span::default(),
        }
    }

    fn same_place(&self) -> (&str, &str, &str, u32) {
        (&self.path, &self.rule, &self.object, self.content)
    }

    fn same_thing(&self) -> (&str, &str, u32) {
        (&self.rule, &self.object, self.content)
    }
}

/// Finds findings among known ones, each known one as often as it counts: first at the same path, then wherever
/// the same thing is now. Gives for every finding the index of the known one, and how often each known one is left.
pub(crate) fn recognise(known: &[Known], findings: &[&Finding]) -> (Vec<Option<usize>>, Vec<usize>) {
    let mut left: Vec<usize> = known.iter().map(|entry| entry.count).collect();
    let keys: Vec<Known> = findings.iter().map(|finding| Known::of(finding)).collect();
    let mut found = vec![None; keys.len()];
    let mut here: HashMap<(&str, &str, &str, u32), Vec<usize>> = HashMap::new();
    let mut anywhere: HashMap<(&str, &str, u32), Vec<usize>> = HashMap::new();
    for (index, entry) in known.iter().enumerate() {
        here.entry(entry.same_place()).or_default().push(index);
        anywhere.entry(entry.same_thing()).or_default().push(index);
    }
    let mut take = |candidates: Option<&Vec<usize>>| {
        let index = *candidates?.iter().find(|index| left.get(**index).is_some_and(|left| *left > 0))?;
        *left.get_mut(index)? -= 1;
        Some(index)
    };
    for (key, found) in keys.iter().zip(&mut found) {
        *found = take(here.get(&key.same_place()));
    }
    // What is about nothing and points at nothing could be anything in another file.
    for (key, found) in keys.iter().zip(&mut found).filter(|(key, found)| found.is_none() && (key.object != "///:" || key.content != 0)) {
        *found = take(anywhere.get(&key.same_thing()));
    }
    (found, left)
}

impl Baseline {
    /// A baseline without entries and with a new random salt.
    pub fn empty(path: &str) -> Result<Self, SetupError> {
        let salt = salt::<16>().map_err(SetupError::new)?.to_vec();
        Ok(Self { path: path.into(), salt, entries: Vec::new(), text: String::new() })
    }

    /// Reads a baseline's text; `path` is relative to the root.
    pub fn parse(path: &str, text: &str) -> Result<Self, SetupError> {
        let source = Arc::new(Source { path: path.into(), text: text.to_owned(), bom: false });
        let parsed = syntax::parse(&source, Syntax::Json);
        if let Some(error) = parsed.errors.first() {
            let help = "restore the file, or write it anew with `preflint baseline create --force`";
            return Err(SetupError::at(path, text, error.span, error.message.clone()).help(help));
        }
        let mut baseline = Self { path: path.into(), salt: Vec::new(), entries: Vec::new(), text: text.to_owned() };
        let Some(document) = parsed.documents.first() else { return Err(SetupError::new(format!("{path} is empty"))) };
        let root = Reader { node: document.root() };
        for (key, value) in root.pairs(&["version", "salt", "findings"])? {
            match key {
                "version" if value.node.as_int() == Some(1) => {}
                "version" => return Err(value.error("this version of the baseline is not known").help("update preflint")),
                "salt" => {
                    let salt = from_hex(value.text()?).filter(|salt| salt.len() >= 16);
                    baseline.salt = salt.ok_or_else(|| value.error("thirty-two hex digits are expected here"))?;
                }
                _ => baseline.entries = value.items()?.into_iter().map(entry).collect::<Result<_, _>>()?,
            }
        }
        if baseline.salt.is_empty() {
            return Err(root.error("the baseline has no `salt`"));
        }
        Ok(baseline)
    }

    /// The number of findings it holds.
    pub fn len(&self) -> usize {
        self.entries.iter().map(|entry| entry.count).sum()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The same with the findings of a report that was judged against it: those that count are added, those that moved
    /// get their new path. Where `prune`, what is gone goes, and nothing is added. Gives the numbers of findings added and removed.
    pub fn updated(&mut self, report: &Report, prune: bool) -> (usize, usize) {
        let before = self.len();
        let held: Vec<&Finding> = report.silenced.iter().filter(|finding| finding.status == crate::finding::Status::Baseline).collect();
        let (_, left) = recognise(&self.entries, &held);
        let mut entries: Vec<Known> = held.iter().map(|finding| Known::of(finding)).collect();
        let mut added = 0;
        if prune {
            let gone = before - entries.len();
            self.set(entries);
            return (0, gone);
        }
        for finding in report.findings.iter().filter(|finding| !finding.rule.starts_with("scan/")) {
            entries.push(Known::of(finding));
            added += 1;
        }
        let stale = self.entries.iter().zip(left).filter(|(_, left)| *left > 0);
        entries.extend(stale.map(|(entry, left)| Known { count: left, ..entry.clone() }));
        self.set(entries);
        (added, 0)
    }

    fn set(&mut self, mut entries: Vec<Known>) {
        for entry in &mut entries {
            entry.span = Span::default();
        }
        entries.sort_by(|a, b| a.same_place().cmp(&b.same_place()));
        entries.dedup_by(|later, first| {
            let same = later.same_place() == first.same_place();
            first.count += if same { later.count } else { 0 };
            same
        });
        self.entries = entries;
    }

    /// The text of the file: one entry a line, sorted, so that merges and reviews are easy.
    pub fn to_text(&self) -> String {
        let lines: Vec<String> = self
            .entries
            .iter()
            .map(|entry| {
                let mut line =
                    json!({"path": entry.path, "rule": entry.rule, "object": entry.object, "content": format!("{:08x}", entry.content)});
                if let (true, Some(map)) = (entry.count > 1, line.as_object_mut()) {
                    map.insert("count".to_owned(), json!(entry.count));
                }
                line.to_string()
            })
            .collect();
        let separator = if lines.is_empty() { "" } else { "\n" };
        format!("{{\"version\":1,\"salt\":\"{}\",\"findings\":[{separator}{}{separator}]}}\n", hex(&self.salt), lines.join(",\n"))
    }
}

fn entry(value: Reader<'_>) -> Result<Known, SetupError> {
    let mut entry =
        Known { path: String::new(), rule: String::new(), object: String::new(), content: 0, count: 1, span: value.node.span() };
    for (key, value) in value.pairs(&["path", "rule", "object", "content", "count"])? {
        match key {
            "path" => value.text()?.clone_into(&mut entry.path),
            "rule" => value.text()?.clone_into(&mut entry.rule),
            "object" => value.text()?.clone_into(&mut entry.object),
            "content" => {
                entry.content = u32::from_str_radix(value.text()?, 16).map_err(|_| value.error("eight hex digits are expected here"))?;
            }
            _ => {
                let count = value.node.as_int().and_then(|count| usize::try_from(count).ok()).filter(|count| *count > 0);
                entry.count = count.ok_or_else(|| value.error("a whole number from 1 is expected here"))?;
            }
        }
    }
    Ok(entry)
}
