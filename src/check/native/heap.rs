//! Heap settings of language runtimes beside the memory limits of their containers.

use crate::artifact::{Artifact, Place, Placement, TargetKind};
use crate::check::Run;
use crate::finding::{Location, Related};
use crate::source::Span;
use crate::syntax::{Node, parse_quantity};

/// A heap setting: how it is written, and its bytes.
struct Heap {
    text: String,
    bytes: f64,
}

/// A number with a unit at the start of a text.
fn amount(text: &str, units: &[(&str, f64)], default: f64) -> Option<(usize, f64)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at_checked(digits)?;
    let number: f64 = number.parse().ok()?;
    let unit = units.iter().find(|(unit, _)| rest.get(..unit.len()).is_some_and(|start| start.eq_ignore_ascii_case(unit)));
    let length = unit.map_or(0, |(unit, _)| unit.len());
    // What follows the number must end it.
    let ends =
        rest.get(length..).is_none_or(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '%' | '.' | '{' | '$')));
    ends.then(|| (digits + length, number * unit.map_or(default, |(_, factor)| *factor)))
}

const KIB: f64 = 1024.0;
const MIB: f64 = KIB * 1024.0;
const GIB: f64 = MIB * 1024.0;

/// The heap that options in a text allow; of several, the last one counts.
fn heap(text: &str) -> Option<Heap> {
    const JAVA: &[(&str, f64)] = &[("k", KIB), ("m", MIB), ("g", GIB), ("t", GIB * 1024.0)];
    let mut found: Option<Heap> = None;
    for (option, units, default) in [
        ("-Xmx", JAVA, 1.0),
        ("-XX:MaxHeapSize=", JAVA, 1.0),
        ("--max-old-space-size=", &[][..], MIB),
        ("--max_old_space_size=", &[][..], MIB),
    ] {
        for (at, _) in text.match_indices(option) {
            let value = text.get(at + option.len()..).and_then(|rest| Some((rest, amount(rest, units, default)?)));
            if let Some((rest, (length, bytes))) = value {
                found = Some(Heap { text: format!("{option}{}", rest.get(..length).unwrap_or_default()), bytes });
            }
        }
    }
    found.filter(|heap| heap.bytes > 0.0)
}

/// A soft limit of the Go runtime.
fn go_limit(text: &str) -> Option<Heap> {
    const UNITS: &[(&str, f64)] = &[("KiB", KIB), ("MiB", MIB), ("GiB", GIB), ("TiB", GIB * 1024.0), ("B", 1.0)];
    let (length, bytes) = amount(text.trim(), UNITS, 1.0)?;
    (length == text.trim().len() && bytes > 0.0).then(|| Heap { text: format!("GOMEMLIMIT={}", text.trim()), bytes })
}

/// Reports heaps that do not fit into the memory of their container.
pub(crate) fn heap_exceeds_memory_limit(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts() {
        for place in &artifact.places {
            let compose = place.kind == TargetKind::Service;
            let limit = match place.kind {
                TargetKind::Container => place.get(&["resources", "limits", "memory"]),
                TargetKind::Service => place.get(&["mem_limit"]).or_else(|| place.get(&["deploy", "resources", "limits", "memory"])),
                TargetKind::Resources => place.get(&["limits", "memory"]),
                _ => None,
            };
            let Some((limit, text)) = limit.and_then(|limit| Some((limit, limit.text()?.trim()))) else { continue };
            let Some(most) = parse_quantity(text, compose).filter(|most| *most > 0.0) else { continue };
            for (node, span, heap) in settings(artifact, place) {
                if heap.bytes < most {
                    continue;
                }
                let relation = if heap.bytes > most { "is above" } else { "leaves nothing below" };
                let message = format!("`{}` {relation} the memory limit of `{text}`", heap.text);
                let related = std::ptr::eq(limit.doc, node.doc).then(|| Related {
                    location: Location { path: run.file.source.path.clone(), span: limit.place() },
                    label: "the limit".to_owned(),
                });
                let draft = run.report(span, artifact.object_at(node, &place.object.container), message);
                draft.related.extend(related);
            }
        }
    }
}

/// The heap settings that reach a container, with the text to edit.
fn settings<'d>(artifact: &Artifact<'d>, place: &Place<'d>) -> Vec<(Node<'d>, Span, Heap)> {
    let mut found = Vec::new();
    for variable in &artifact.variables {
        let reaches = match (place.kind, variable.placement) {
            (TargetKind::Container, Placement::ContainerEnv) => place.node.span().contains(variable.node.span()),
            (TargetKind::Service, Placement::ComposeEnvironment) => variable.container == place.name(),
            (TargetKind::Resources, Placement::HelmValue) => beside(variable.node, place.node),
            _ => false,
        };
        let setting = if variable.name == "GOMEMLIMIT" { go_limit(&variable.value) } else { heap(&variable.value) };
        if let Some(heap) = setting.filter(|_| reaches) {
            found.push((variable.node, variable.span, heap));
        }
    }
    if place.kind != TargetKind::Resources {
        for words in ["command", "args", "entrypoint"].iter().filter_map(|key| place.node.get(key)) {
            let nodes = words.values().into_iter().filter(|node| node.is_scalar());
            found.extend(nodes.filter_map(|node| Some((node, node.place(), heap(node.text()?)?))));
        }
    }
    found
}

/// Whether a value stands beside `resources`, or in an environment that does.
fn beside(value: Node<'_>, resources: Node<'_>) -> bool {
    let Some(component) = resources.parent() else { return false };
    let mut node = value;
    while let Some(parent) = node.parent() {
        if parent == component {
            let key = node.key_text().unwrap_or_default().to_ascii_lowercase();
            return node == value || key.contains("env");
        }
        node = parent;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heaps_are_read_with_their_units() {
        let bytes = |text: &str| heap(text).map(|heap| heap.bytes);
        assert_eq!(bytes("-Xms256m -Xmx512m -XX:+UseG1GC"), Some(512.0 * MIB));
        assert_eq!(bytes("-Xmx1g -Xmx2G"), Some(2.0 * GIB));
        assert_eq!(bytes("--max-old-space-size=2048"), Some(2048.0 * MIB));
        assert_eq!(bytes("-XX:MaxRAMPercentage=75"), None);
        assert_eq!(bytes("-Xmx$(HEAP)"), None);
        assert_eq!(go_limit("900MiB").map(|heap| heap.bytes), Some(900.0 * MIB));
        assert_eq!(go_limit("off").map(|heap| heap.bytes), None);
    }
}
