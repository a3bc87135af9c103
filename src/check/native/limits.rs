//! Native checks of pack limits.

use crate::artifact::{Place, Role, TargetKind};
use crate::check::Run;
use crate::finding::Related;
use crate::project::{Detail, FactSort, ProjectRun, location};
use crate::syntax::{Node, parse_quantity};

/// Utilisation of a resource that a container of the target does not request.
pub(crate) fn hpa_target_without_request(run: &mut ProjectRun<'_>) {
    let group = run.group;
    for hpa in group.all(FactSort::Autoscaler) {
        let Detail::Autoscaler { keda: false, target_kind, target_name: Some(target), metrics, .. } = &hpa.detail else { continue };
        for metric in metrics.iter().filter(|metric| metric.target == "Utilization") {
            let targets =
                group.named(hpa, target_kind, &target.text).filter(|(facts, _)| facts.complete && group.surely_same_namespace(facts, hpa));
            for (facts, workload) in targets {
                if group.has_limit_range(&facts.path, group.namespace_of(facts), &format!("defaultRequest.{}", metric.resource)) {
                    continue;
                }
                let lacking = workload.containers.iter().find(|container| {
                    let measured = metric.container.as_ref().is_none_or(|name| *name == container.name);
                    measured
                        && matches!(container.role, Role::Main | Role::Sidecar | Role::Injected)
                        && !container.requests.contains(&metric.resource)
                });
                let Some(container) = lacking else { continue };
                let message = format!(
                    "autoscaler `{}` cannot compute {} utilisation: container `{}` of `{}` requests no {}",
                    hpa.object.name, metric.resource, container.name, facts.object.name, metric.resource
                );
                let label = format!("this container requests no {}", metric.resource);
                run.report(hpa, metric.span, "spec.metrics", message)
                    .related
                    .push(Related { location: location(facts, container.span), label });
            }
        }
    }
}

/// A limit and the request of the same resource; without one of the two there is nothing to compare.
struct Pair<'d> {
    resource: &'d str,
    limit: Node<'d>,
    request: Node<'d>,
}

fn pairs<'d>(place: &Place<'d>) -> Vec<Pair<'d>> {
    let mut found = Vec::new();
    let mut compare = |limits: Option<Node<'d>>, requests: Option<Node<'d>>| {
        let Some(requests) = requests else { return };
        for (key, limit) in limits.into_iter().flat_map(Node::entries) {
            if let Some((resource, request)) = key.text().and_then(|resource| Some((resource, requests.get(resource)?))) {
                found.push(Pair { resource, limit, request });
            }
        }
    };
    match place.kind {
        // What a pod sets is no limit of its containers.
        TargetKind::Container | TargetKind::Pod => {
            compare(place.node.at_path(&["resources", "limits"]), place.node.at_path(&["resources", "requests"]));
        }
        TargetKind::Resources => compare(place.node.get("limits"), place.node.get("requests")),
        TargetKind::Service => {
            compare(place.get(&["deploy", "resources", "limits"]), place.get(&["deploy", "resources", "reservations"]));
            if let (Some(limit), Some(request)) = (place.get(&["mem_limit"]), place.get(&["mem_reservation"])) {
                found.push(Pair { resource: "memory", limit, request });
            }
        }
        _ => {}
    }
    found
}

/// A limit that the request of the same resource exceeds.
pub(crate) fn limit_below_request(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts() {
        for place in &artifact.places {
            let compose = place.kind == TargetKind::Service;
            for Pair { resource, limit, request } in pairs(place) {
                let (Some(limit_text), Some(request_text)) = (limit.text(), request.text()) else { continue };
                let (Some(most), Some(least)) = (parse_quantity(limit_text, compose), parse_quantity(request_text, compose)) else {
                    continue;
                };
                // Zero is no limit in Compose; decimal fractions are not exact.
                if most >= least * (1.0 - 1e-9) || (compose && most <= 0.0) {
                    continue;
                }
                let word = if compose { "reservation" } else { "request" };
                let span = request.place();
                let path = std::sync::Arc::clone(&run.file.source.path);
                let message = format!("{resource} limit `{}` is below the {word} `{}`", limit_text.trim(), request_text.trim());
                let draft = run.report_at(place, limit, message);
                draft.related.push(Related { location: crate::finding::Location { path, span }, label: format!("the {word}") });
            }
        }
    }
}

/// The field's sort of quantity.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Measure {
    Cpu,
    Memory,
    /// Small volumes are no mistake.
    Storage,
}

/// Quantities of a target that are measured in a known way; devices and extended resources are counted in their own.
fn quantities<'d>(place: &Place<'d>) -> Vec<(Measure, Node<'d>)> {
    let lists: &[&[&str]] = match place.kind {
        TargetKind::Container | TargetKind::Pod => &[&["resources", "requests"], &["resources", "limits"]],
        TargetKind::Resources => &[&["requests"], &["limits"]],
        TargetKind::Service => &[&["deploy", "resources", "limits"], &["deploy", "resources", "reservations"]],
        _ => return Vec::new(),
    };
    let measure = |key: &str| match key {
        "cpu" | "cpus" => Some(Measure::Cpu),
        "memory" | "mem_limit" | "mem_reservation" => Some(Measure::Memory),
        "ephemeral-storage" => Some(Measure::Storage),
        _ => None,
    };
    // A service's own keys stand beside the list.
    let own = (place.kind == TargetKind::Service).then_some(place.node);
    let nodes = lists.iter().filter_map(|keys| place.node.at_path(keys)).chain(own);
    nodes
        .flat_map(Node::entries)
        .filter_map(|(key, value)| Some((measure(key.text()?)?, value)))
        .filter(|(_, value)| value.is_scalar() && !value.is_null())
        .collect()
}

/// Below this no container starts (Docker refuses less than 6 MiB).
const LEAST_MEMORY: f64 = 4.0 * 1024.0 * 1024.0;
/// More cores than nearly all machines have.
const MANY_CORES: f64 = 256.0;

/// What is wrong with a quantity, if it is almost surely not what was meant.
fn suspect(measure: Measure, text: &str, compose: bool) -> Option<String> {
    let text = text.trim();
    // What does not begin like a number is filled in later, or belongs to the schema.
    let digits = text.trim_start_matches(['-', '+']).starts_with(|first: char| first.is_ascii_digit() || first == '.');
    if !digits || text.contains(['$', '{', '<', '%']) {
        return None;
    }
    let amount = match measure {
        Measure::Cpu if compose => crate::syntax::number(text),
        _ => parse_quantity(text, compose),
    };
    let Some(amount) = amount else {
        let meant = match (measure, compose) {
            (Measure::Cpu, true) => "cores, such as `0.5`",
            (Measure::Cpu, false) => "cores, such as `500m` or `0.5`",
            (_, true) => "a size such as `512m` or `1g`",
            (_, false) => "a size such as `512Mi` or `1Gi`",
        };
        return Some(format!("`{text}` is no quantity here; write {meant}"));
    };
    match measure {
        Measure::Cpu if amount >= MANY_CORES && !text.ends_with(['m', 'u', 'n']) => {
            let bare = !compose && text.bytes().all(|byte| byte.is_ascii_digit());
            let help = if bare { format!("; thousandths are `{text}m`") } else { String::new() };
            Some(format!("`{text}` is {amount} cores{help}"))
        }
        Measure::Memory | Measure::Storage if !compose && amount > 0.0 && text.ends_with('m') && amount < LEAST_MEMORY => {
            Some(format!("`{text}` is thousandths of a byte; write `{}Mi`", text.trim_end_matches('m')))
        }
        Measure::Memory if amount > 0.0 && amount < LEAST_MEMORY => {
            Some(format!("`{text}` of memory is {}, which no container starts with", size(amount)))
        }
        _ => None,
    }
}

fn size(bytes: f64) -> String {
    if bytes < 1024.0 { format!("{bytes} bytes") } else { format!("{:.0} KiB", bytes / 1024.0) }
}

/// Quantities whose unit is almost surely a mistake.
pub(crate) fn quantity_suspect(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts() {
        for place in &artifact.places {
            for (measure, node) in quantities(place) {
                if let Some(message) = node.text().and_then(|text| suspect(measure, text, place.kind == TargetKind::Service)) {
                    run.report_at(place, node, message);
                }
            }
        }
    }
}
