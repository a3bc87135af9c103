//! Native checks of pack compose: order and quoting.

use std::collections::HashSet;

use super::compose::services;
use crate::artifact::Artifact;
use crate::check::{Run, shorten};
use crate::finding::Object;
use crate::source::Span;
use crate::syntax::{Node, Style};

/// Whether a merge key stands among the written keys of a mapping.
fn merges(node: Node<'_>) -> bool {
    node.pairs().any(|(key, _)| key.text() == Some("<<"))
}

/// Whether the value of a key is called by an anchor, which must stand before its aliases.
fn is_anchored(key: Node<'_>, value: Node<'_>) -> bool {
    value.is_alias() || key.doc.source.slice(Span { start: key.span().end, end: value.span().start.max(key.span().end) }).contains('&')
}

/// Whether comments on lines of their own group the keys of a mapping.
fn are_grouped(keys: &[Node<'_>]) -> bool {
    let (Some(first), Some(last)) = (keys.first(), keys.last()) else { return false };
    let text = &first.doc.source.text;
    let column = |at: u32| {
        let before = text.get(..at as usize).unwrap_or_default();
        before.len() - before.rfind('\n').map_or(0, |line| line + 1)
    };
    let own_line = |at: u32| {
        let before = text.get(..at as usize).unwrap_or_default();
        before.rsplit('\n').next().is_some_and(|line| line.trim().is_empty())
    };
    let limit = column(first.span().start);
    first.doc.comments.iter().any(|comment| {
        comment.start > first.span().start && comment.start < last.span().start && own_line(comment.start) && column(comment.start) <= limit
    })
}

/// The first key that stands after one it belongs before, and that one.
fn out_of_order<'n, 'd, K: Ord>(items: &'n [(Node<'d>, K)]) -> Option<(Node<'d>, &'n (Node<'d>, K))> {
    items.windows(2).find_map(|pair| match pair {
        [before, after] if after.1 < before.1 => Some((after.0, before)),
        _ => None,
    })
}

fn report<'d>(run: &mut Run<'_, 'd>, artifact: &Artifact<'d>, node: Node<'d>, message: String) {
    let object = Object { path: node.path(), ..artifact.object_at(node, "") };
    run.report(node.place(), object, message);
}

fn name(node: Node<'_>) -> String {
    shorten(node.text().unwrap_or_default())
}

pub(crate) fn services_unsorted(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts() {
        let Some(list) = artifact.root.get("services").filter(|list| list.is_mapping() && !merges(*list)) else { continue };
        let keys: Vec<Node<'_>> = list.pairs().map(|(key, _)| key).collect();
        if list.pairs().any(|(key, value)| is_anchored(key, value)) || are_grouped(&keys) {
            continue;
        }
        let items: Vec<_> = keys.iter().map(|key| (*key, key.text().unwrap_or_default().to_lowercase())).collect();
        if let Some((node, (before, _))) = out_of_order(&items) {
            report(run, artifact, node, format!("service `{}` stands after `{}`", name(node), name(*before)));
        }
    }
}

/// The order of the top level.
const TOP: &[&str] = &["version", "name", "include", "services", "networks", "volumes", "secrets", "configs"];

pub(crate) fn top_level_keys_unordered(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts().filter(|artifact| artifact.root.is_mapping() && !merges(artifact.root)) {
        let known: Vec<(Node<'_>, usize)> = artifact
            .root
            .pairs()
            .filter(|(key, value)| !is_anchored(*key, *value))
            .filter_map(|(key, _)| Some((key, TOP.iter().position(|known| Some(*known) == key.text())?)))
            .collect();
        let keys: Vec<Node<'_>> = artifact.root.pairs().map(|(key, _)| key).collect();
        if are_grouped(&keys) {
            continue;
        }
        if let Some((node, (before, _))) = out_of_order(&known) {
            report(run, artifact, node, format!("`{}` stands after `{}`", name(node), name(*before)));
        }
    }
}

/// The order of a service: what it is, what it needs, its data, its settings, its network, how it runs, and the rest.
const SERVICE: &[&str] = &[
    "image",
    "build",
    "container_name",
    "depends_on",
    "volumes",
    "volumes_from",
    "configs",
    "secrets",
    "environment",
    "env_file",
    "ports",
    "networks",
    "network_mode",
    "extra_hosts",
    "command",
    "entrypoint",
    "working_dir",
    "restart",
    "healthcheck",
    "logging",
    "labels",
    "user",
    "isolation",
];

pub(crate) fn service_keys_unordered(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts() {
        for place in services(artifact).filter(|place| !place.node.is_alias() && !merges(place.node)) {
            let pairs = || place.node.pairs();
            if pairs().any(|(key, value)| is_anchored(key, value)) {
                continue;
            }
            let keys: Vec<(Node<'_>, usize)> =
                pairs().filter_map(|(key, _)| Some((key, SERVICE.iter().position(|known| Some(*known) == key.text())?))).collect();
            if let Some((node, (before, _))) = out_of_order(&keys) {
                let object = Object { path: node.path(), ..place.object.clone() };
                run.report(
                    node.place(),
                    object,
                    format!("in service `{}`, `{}` stands after `{}`", place.name(), name(node), name(*before)),
                );
            }
        }
    }
}

pub(crate) fn dependencies_unsorted(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts() {
        let mut seen = HashSet::new();
        for place in services(artifact) {
            let Some(depends) = place.node.get("depends_on").filter(|depends| !depends.is_alias() && !merges(*depends)) else { continue };
            if depends.pairs().any(|(key, value)| is_anchored(key, value)) {
                continue;
            }
            let nodes: Vec<Node<'_>> =
                if depends.is_mapping() { depends.pairs().map(|(key, _)| key).collect() } else { depends.items().collect() };
            let items: Vec<_> = nodes.iter().map(|node| (*node, node.text().unwrap_or_default().to_lowercase())).collect();
            if let Some((node, (before, _))) = out_of_order(&items)
                && seen.insert(node.place())
            {
                let object = Object { path: node.path(), ..place.object.clone() };
                let message = format!("in service `{}`, dependency `{}` stands after `{}`", place.name(), name(node), name(*before));
                run.report(node.place(), object, message);
            }
        }
    }
}

/// The number that a port is sorted by: that of the host, else that of the container.
fn port_number(item: Node<'_>) -> Option<u32> {
    let text = if item.is_mapping() {
        item.text_of("published").or_else(|| item.text_of("target"))?
    } else {
        let text = item.text()?;
        let text = text.split('/').next()?;
        let text = text.strip_prefix('[').and_then(|text| text.split_once("]:")).map_or(text, |(_, rest)| rest);
        let mut parts = text.rsplit(':');
        let target = parts.next()?;
        parts.next().filter(|host| !host.is_empty()).unwrap_or(target)
    };
    text.split('-').next()?.trim().parse().ok()
}

pub(crate) fn ports_unsorted(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts() {
        let mut seen = HashSet::new();
        for place in services(artifact) {
            let items: Vec<Node<'_>> = place.node.get("ports").into_iter().flat_map(Node::items).collect();
            let numbered: Vec<_> = items.iter().filter_map(|item| Some((*item, port_number(*item)?))).collect();
            if numbered.len() != items.len() {
                continue;
            }
            if let Some((node, (_, before))) = out_of_order(&numbered)
                && seen.insert(node.place())
            {
                let number = port_number(node).unwrap_or_default();
                run.report_at(place, node, format!("in service `{}`, port {number} stands after {before}", place.name()));
            }
        }
    }
}

pub(crate) fn ports_unquoted(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts() {
        let mut seen = HashSet::new();
        for place in services(artifact) {
            for key in ["ports", "expose"] {
                for item in place.node.get(key).into_iter().flat_map(Node::items) {
                    let Some(text) = item.text().filter(|text| item.style() == Style::Plain && !text.contains('$')) else { continue };
                    let number: Option<u32> = text.parse().ok();
                    let harmless = key == "expose" && number.is_some_and(|number| number < 60);
                    if (number.is_none() && !text.contains(':')) || harmless || !seen.insert(item.place()) {
                        continue;
                    }
                    run.report_at(place, item, format!("port `{}` of service `{}` is not quoted", shorten(text), place.name()));
                }
            }
        }
    }
}

/// Whether a plain scalar of this text is the same text, in a block sequence.
fn can_be_plain(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphanumeric() || matches!(first, '.' | '/'))
        && text.contains(['/', ':'])
        && !text.contains(": ")
        && !text.contains('#')
        && !text.ends_with([':', ' '])
        && !text.contains(['$', '{', '}', '[', ']', '"', '\'', '\\', '\n', '\t', '*', '&', '!', '%', '@', '`'])
}

pub(crate) fn volumes_quoted(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts() {
        let mut seen = HashSet::new();
        for place in services(artifact) {
            let Some(list) = place.node.get("volumes").filter(|list| list.style() == Style::Block) else { continue };
            for item in list.items() {
                let quoted = matches!(item.style(), Style::SingleQuoted | Style::DoubleQuoted);
                let Some(text) = item.text().filter(|text| quoted && item.is_verbatim() && can_be_plain(text)) else { continue };
                if seen.insert(item.place()) {
                    run.report_at(place, item, format!("volume `{}` of service `{}` needs no quotes", shorten(text), place.name()));
                }
            }
        }
    }
}
