//! Templates of charts: which values they read, and what guards the reading.

use std::collections::{BTreeSet, HashSet};

use crate::check::{Run, shorten};
use crate::finding::Object;
use crate::rule::{ArtifactKind, did_you_mean};
use crate::source::Span;
use crate::survey::join;
use crate::syntax::{Node, Syntax};
use crate::tree::parent;

/// A value that a template reads: its keys, and where that is said.
#[derive(Debug, PartialEq, Eq)]
struct Read<'t> {
    keys: Vec<&'t str>,
    span: Span,
}

/// Words of an action that give a value where there is none, or hand it to something that may.
const GUARDS: &[&str] = &[
    "default",
    "coalesce",
    "required",
    "hasKey",
    "dig",
    "get",
    "empty",
    "ternary",
    "kindIs",
    "typeIs",
    "typeOf",
    "kindOf",
    "fail",
    "lookup",
    "tpl",
    "include",
    "template",
    "dict",
    "list",
    "tuple",
    "merge",
    "mergeOverwrite",
    "set",
    "pluck",
    "index",
    "and",
    "or",
    "not",
    "eq",
    "ne",
    "concat",
    "compact",
    "without",
    "has",
    "deepCopy",
    "toYaml",
    "toJson",
    "join",
];

/// An open block of a template.
struct Block<'t> {
    /// The values that its condition names.
    guards: Vec<Vec<&'t str>>,
    /// Whether the dot means something else in it.
    moved: bool,
    /// Whether somebody else calls it.
    defined: bool,
}

/// The actions of a template: what stands between the braces, and where.
fn actions(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = text.get(at..).and_then(|rest| rest.find("{{")).map(|offset| at + offset + 2) {
        let rest = text.get(start..).unwrap_or_default();
        let comment = rest.trim_start_matches('-').trim_start().starts_with("/*");
        let end =
            if comment { rest.find("*/").and_then(|end| rest.get(end..)?.find("}}").map(|more| end + more)) } else { rest.find("}}") };
        let Some(end) = end else { break };
        if !comment {
            found.push((start, rest.get(..end).unwrap_or_default()));
        }
        at = start + end + 2;
    }
    found
}

/// The values that an action names; those of a moved dot only by `$`.
fn values_in(start: usize, action: &str, moved: bool) -> Vec<Read<'_>> {
    const NAME: &str = ".Values.";
    let mut found = Vec::new();
    for (at, _) in action.match_indices(NAME) {
        let before = action.get(..at).and_then(|before| before.chars().next_back());
        let by_root = before == Some('$');
        let begins = by_root || before.is_none_or(|before| before.is_whitespace() || matches!(before, '(' | '|' | '-'));
        if !begins || (moved && !by_root) {
            continue;
        }
        let rest = action.get(at + NAME.len()..).unwrap_or_default();
        let length = rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.')).count();
        let path = rest.get(..length).unwrap_or_default().trim_end_matches('.');
        let keys: Vec<&str> = path.split('.').collect();
        if keys.iter().all(|key| !key.is_empty()) {
            let from = start + at;
            found.push(Read { keys, span: Span::new(from, from + NAME.len() + path.len()) });
        }
    }
    found
}

/// The values that a template reads although nothing in it asks whether they are there.
fn unguarded(text: &str) -> Vec<Read<'_>> {
    let mut found = Vec::new();
    let mut blocks: Vec<Block<'_>> = Vec::new();
    for (start, action) in actions(text) {
        let body = action.trim_start_matches('-').trim_end_matches('-').trim();
        let word = body.split_whitespace().next().unwrap_or_default();
        let moved = blocks.iter().any(|block| block.moved);
        let named = || values_in(start, action, false).into_iter().map(|read| read.keys).collect::<Vec<_>>();
        match word {
            "if" => blocks.push(Block { guards: named(), moved: false, defined: false }),
            "with" | "range" => blocks.push(Block { guards: named(), moved: true, defined: false }),
            "define" | "block" => blocks.push(Block { guards: Vec::new(), moved: true, defined: true }),
            "else" => {
                // What an earlier condition names is not there, or is what this one asks about.
                if let Some(block) = blocks.last_mut() {
                    block.guards.extend(named());
                }
            }
            "end" => {
                blocks.pop();
            }
            _ => {
                let guarded = body.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| GUARDS.contains(&word));
                if guarded || body.contains(":=") || body.contains("= ") || blocks.iter().any(|block| block.defined) {
                    continue;
                }
                let asked = |read: &Read<'_>| {
                    blocks.iter().flat_map(|block| &block.guards).any(|guard| {
                        // A condition about what holds the value, or about the value, is about it.
                        guard.len() <= read.keys.len() && guard.iter().zip(&read.keys).all(|(one, other)| one == other)
                    })
                };
                found.extend(values_in(start, action, moved).into_iter().filter(|read| !asked(read)));
            }
        }
    }
    found
}

/// The chart that a template belongs to.
fn chart_of(run: &Run<'_, '_>) -> Option<String> {
    let path = &*run.file.source.path;
    let folders = std::iter::successors(parent(path), |folder| parent(folder));
    let mut charts = folders.filter(|folder| folder.rsplit('/').next() == Some("templates")).filter_map(parent);
    charts.find(|folder| join(folder, "Chart.yaml").is_some_and(|chart| run.file.tree.is_file(&chart))).map(str::to_owned)
}

/// Whether values define a path, or leave open what is below a part of it.
fn defines(root: Node<'_>, keys: &[&str]) -> bool {
    let mut node = root;
    for key in keys {
        let open = !node.is_mapping() || node.pairs().next().is_none();
        match node.get(key) {
            _ if open => return true,
            Some(next) => node = next,
            None => return false,
        }
    }
    true
}

/// Reports values that a template reads and that nothing defines, and values of an environment that no template reads.
pub(crate) fn value_undefined(run: &mut Run<'_, '_>) {
    unread(run);
    let path = &*run.file.source.path;
    let name = path.rsplit('/').next().unwrap_or_default();
    if !path.contains("templates/") || name.starts_with('_') || !run.file.artifacts.is_empty() || !run.file.source.text.contains(".Values.")
    {
        return;
    }
    let reads = unguarded(&run.file.source.text);
    let Some(folder) = chart_of(run).filter(|_| !reads.is_empty()) else { return };
    let files = run.file.files;
    let beside = |name: &str| join(&folder, name).unwrap_or_default();
    let chart = files.parsed(&beside("Chart.yaml"), Syntax::Yaml);
    let Some(chart) = chart.as_ref().and_then(|chart| chart.documents.first()).map(|document| document.root()) else { return };
    // The values of a library are those of the charts that use it.
    if chart.text_of("type") == Some("library") || !run.file.tree.is_file(&beside("values.yaml")) {
        return;
    }
    let mut foreign: BTreeSet<String> = BTreeSet::from(["global".to_owned()]);
    for dependency in chart.get("dependencies").into_iter().flat_map(Node::items) {
        foreign.extend(["name", "alias"].into_iter().filter_map(|key| dependency.text_of(key)).map(str::to_owned));
    }
    let values = files.values(&folder);
    // A schema describes what a chart takes without defining it.
    let schema = files.text(&beside("values.schema.json")).unwrap_or_default();
    let documents = || values.iter().flat_map(|parsed| &parsed.documents);
    let shown = |keys: &[&str]| {
        let key = keys.last().copied().unwrap_or_default();
        let (path, set, described) = (keys.join("."), format!("{key}:"), format!("\"{key}\""));
        let says = |text: &str| text.contains(&set) || text.contains(&path);
        documents().any(|document| document.comments.iter().any(|comment| says(document.source.slice(*comment))))
            || schema.contains(&described)
    };
    let mut seen = HashSet::new();
    let missing: Vec<(Span, String)> = reads
        .into_iter()
        .filter(|read| read.keys.first().is_none_or(|first| !foreign.contains(*first)))
        .filter(|read| !documents().any(|document| defines(document.root(), &read.keys)))
        .filter(|read| !shown(&read.keys))
        .map(|read| (read.span, read.keys.join(".")))
        .filter(|(_, path)| seen.insert(path.clone()))
        .collect();
    // A template may put other values in the place of those that are given.
    let templates = beside("templates");
    let mut texts = run.file.tree.names(&templates).into_iter().filter_map(|name| files.text(&join(&templates, &name)?));
    if missing.is_empty() || texts.any(|text| text.contains("\"Values\"")) {
        return;
    }
    for (span, path) in missing {
        let object = Object {
            kind: "Chart".to_owned(),
            name: chart.text_of("name").unwrap_or_default().to_owned(),
            path: path.clone(),
            ..Object::default()
        };
        run.report(
            span,
            object,
            format!("`.Values.{}` is read without a default, and no values file of the chart defines it", shorten(&path)),
        );
    }
}

/// Whether a text names a key as a whole word.
fn names(text: &str, key: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices(key).any(|(at, _)| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        let after = text.get(at + key.len()..).and_then(|after| after.chars().next());
        !before.is_some_and(part) && !after.is_some_and(part)
    })
}

/// Reports keys in the values of an environment that neither the chart's own values nor any template know.
fn unread(run: &mut Run<'_, '_>) {
    let files = run.file.files;
    let tree = run.file.tree;
    for artifact in run.file.artifacts.iter().filter(|artifact| artifact.kind == ArtifactKind::HelmValues) {
        let folder = parent(&run.file.source.path).unwrap_or_default();
        let (Some(base), Some(chart), Some(templates)) = (artifact.base, join(folder, "Chart.yaml"), join(folder, "templates")) else {
            continue;
        };
        let Some(chart) = files.parsed(&chart, Syntax::Yaml).filter(|_| tree.is_folder(&templates)) else { continue };
        // Its own charts, and libraries above all, read what they like.
        let alone = chart.documents.first().is_some_and(|chart| chart.root().get("dependencies").is_none());
        let mut strange: Vec<Node<'_>> = Vec::new();
        let mut stack: Vec<(Node<'_>, Node<'_>)> = vec![(artifact.root, base)];
        while let Some((own, known)) = stack.pop() {
            let open = known.pairs().next().is_none();
            for (key, value) in own.pairs().filter(|_| alone && !open) {
                match key.text().filter(|key| *key != "global").map(|key| known.get(key)) {
                    Some(Some(known)) => stack.push((value, known)),
                    Some(None) => strange.push(key),
                    None => {}
                }
            }
        }
        if strange.is_empty() {
            continue;
        }
        let texts: Vec<String> = tree.walk(&templates, true).files.iter().filter_map(|path| files.text(path)).collect();
        let known = [base.doc.source.text.clone(), files.text(&format!("{folder}/values.schema.json")).unwrap_or_default()];
        // Values that are handed on as a whole may be read under any name.
        let whole = |text: &String| {
            text.match_indices(".Values").any(|(at, name)| !text.get(at + name.len()..).is_some_and(|rest| rest.starts_with('.')))
                || text.contains("\"Values\"")
        };
        if texts.is_empty() || texts.iter().any(whole) {
            continue;
        }
        for key in strange {
            let name = key.text().unwrap_or_default();
            if name.is_empty() || texts.iter().chain(&known).any(|text| names(text, name)) {
                continue;
            }
            let siblings = base.at_path(&key.parent().map(Node::keys).unwrap_or_default()).unwrap_or(base);
            let near = did_you_mean(name, siblings.pairs().filter_map(|(key, _)| key.text()));
            let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            let object = artifact.object_at(key, "");
            run.report(key.span(), object, format!("no template of the chart reads `{}`{hint}", shorten(name)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(text: &str) -> Vec<String> {
        unguarded(text).iter().map(|read| read.keys.join(".")).collect()
    }

    #[test]
    fn values_without_a_guard_are_found() {
        assert_eq!(reads("a: {{ .Values.web.port }}\nb: {{- $.Values.name | quote }}"), ["web.port", "name"]);
        assert_eq!(reads("{{ if .Values.a.enabled }}{{ .Values.a.host }}{{ end }}{{ .Values.a.enabled }}"), ["a.host", "a.enabled"]);
    }

    #[test]
    fn guards_are_seen() {
        for text in [
            "{{ .Values.a | default 1 }}",
            "{{ if .Values.a }}{{ .Values.a.b }}{{ end }}",
            "{{ with .Values.a }}{{ .Values.b }}{{ end }}",
            "{{ range .Values.a }}{{ $.Values.a }}{{ end }}",
            "{{ required \"x\" .Values.a }}",
            "{{/* .Values.a */}}",
            "{{ define \"x\" }}{{ .Values.a }}{{ end }}",
            "{{ $x := .Values.a }}",
            "{{ if hasKey .Values \"a\" }}{{ end }}",
            "{{ if .Values.b }}{{ else if .Values.a }}{{ .Values.a }}{{ end }}",
        ] {
            assert!(reads(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn a_span_is_the_path() {
        let text = "x: {{ .Values.web.port | int }}";
        let span = unguarded(text).first().map(|read| read.span).unwrap_or_default();
        assert_eq!(text.get(span.range()), Some(".Values.web.port"));
    }
}
