//! Native checks of pack observability over what scrapes metrics and what offers them.

use std::collections::{BTreeMap, BTreeSet};

use super::availability::{Workload, is_open, is_operators, key, makes_pods, pod_labels, related, selected};
use crate::artifact::Role;
use crate::project::{ConfigFacts, Detail, FactSort, Group, MonitorFacts, Namespaces, ObjectFacts, ProjectRun, ServiceFacts};
use crate::source::Span;

type Service<'a> = (&'a ObjectFacts, &'a ServiceFacts);

fn services<'a>(group: &Group<'a>) -> impl Iterator<Item = Service<'a>> {
    group.all(FactSort::Service).filter_map(|facts| match &facts.detail {
        Detail::Service { face, .. } => Some((facts, face)),
        _ => None,
    })
}

/// The Services that each monitor may select.
fn watched<'a>(group: &Group<'a>) -> BTreeMap<(&'a str, Span), Vec<Service<'a>>> {
    let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (facts, face) in services(group) {
        for monitor in group.selecting(FactSort::ServiceMonitor, facts, &face.labels) {
            found.entry(key(monitor)).or_default().push((facts, face));
        }
    }
    found
}

/// The namespaces that a monitor looks into; nothing for any.
fn scope<'g>(facts: &'g ObjectFacts, monitor: &'g MonitorFacts) -> Option<Vec<&'g str>> {
    match &monitor.namespaces {
        Namespaces::Own => Some(vec![facts.namespace()]),
        Namespaces::Any => None,
        Namespaces::Named(names) => Some(names.iter().map(String::as_str).collect()),
    }
}

/// Whether what a monitor shall find is, as far as can be known, all in the group: its namespaces have such objects,
/// and nothing renders others into them.
fn knows_all(group: &Group<'_>, facts: &ObjectFacts, monitor: &MonitorFacts) -> bool {
    let sort = if monitor.pods { FactSort::Workload } else { FactSort::Service };
    let Some(names) = scope(facts, monitor) else {
        return !group.is_open(facts, "") && group.near(&facts.path, sort).next().is_some();
    };
    names.iter().all(|name| {
        // What the cluster itself runs is in no manifest.
        !name.starts_with("kube-")
            && *name != "default"
            && !is_open(name)
            && !group.is_open(facts, name)
            && group.near(&facts.path, sort).any(|other| other.namespace() == *name)
    })
}

/// Monitors that scrape nobody.
pub(crate) fn service_monitor_selects_nothing(run: &mut ProjectRun<'_>) {
    let group = run.group;
    let (by_service, by_pod) = (watched(group), selected(group, FactSort::PodMonitor));
    let mut known: Option<[BTreeSet<&str>; 2]> = None;
    for facts in group.all(FactSort::ServiceMonitor).chain(group.all(FactSort::PodMonitor)).filter(|facts| facts.complete) {
        let Detail::Monitor(monitor) = &facts.detail else { continue };
        let found = if monitor.pods { by_pod.contains_key(&key(facts)) } else { by_service.contains_key(&key(facts)) };
        if found || monitor.selector.is_empty() || !knows_all(group, facts, monitor) {
            continue;
        }
        let [of_services, of_pods] = known.get_or_insert_with(|| {
            [services(group).flat_map(|(_, face)| face.labels.keys()).map(String::as_str).collect(), pod_labels(group)]
        });
        let labels = if monitor.pods { of_pods } else { of_services };
        if is_operators(&monitor.selector, labels) || makes_pods(group, facts, &monitor.selector) {
            continue;
        }
        let name = &facts.object.name;
        let message = if monitor.pods {
            format!("PodMonitor `{name}` selects no pod of its namespaces")
        } else {
            format!("ServiceMonitor `{name}` selects no Service of its namespaces by the labels that Services have")
        };
        let draft = run.report(facts, monitor.selector_span, "spec.selector", message);
        // The labels of the pods are a frequent mix-up.
        let mixed_up = group.selected_by(&facts.path, &monitor.selector).into_iter().next().filter(|_| !monitor.pods);
        if let Some((workload, _)) = mixed_up {
            draft.related.push(related(workload, workload.name_span, "the pods have these labels, their Service does not"));
        }
    }
}

/// Whether a workload has a port of this name, or number.
fn has_port(workload: Workload<'_>, port: &str) -> bool {
    let (_, workload) = workload;
    workload.containers.iter().filter(|container| !matches!(container.role, Role::Init | Role::Ephemeral)).any(|container| {
        container.ports.iter().any(|known| known.name == port || known.number.is_some_and(|number| number.to_string() == port))
    })
}

/// The pods behind a Service, where they are known.
fn pods<'a>(group: &Group<'a>, facts: &'a ObjectFacts) -> Vec<Workload<'a>> {
    let Some(selector) = facts.detail.selector() else { return Vec::new() };
    group.selected_by(&facts.path, selector).into_iter().filter(|(other, _)| other.may_share_namespace(facts)).collect()
}

/// Endpoints that no Service or pod has.
pub(crate) fn service_monitor_port_missing(run: &mut ProjectRun<'_>) {
    let group = run.group;
    let (by_service, by_pod) = (watched(group), selected(group, FactSort::PodMonitor));
    for facts in group.all(FactSort::ServiceMonitor).chain(group.all(FactSort::PodMonitor)) {
        let Detail::Monitor(monitor) = &facts.detail else { continue };
        let services = by_service.get(&key(facts)).map(Vec::as_slice).unwrap_or_default();
        let workloads: Vec<Workload<'_>> = if monitor.pods {
            by_pod.get(&key(facts)).cloned().unwrap_or_default()
        } else {
            services.iter().flat_map(|(service, _)| pods(group, service)).collect()
        };
        let known =
            if monitor.pods { workloads.iter().all(|(other, _)| other.complete) } else { services.iter().all(|(other, _)| other.complete) };
        // Whom else it selects may have the port.
        if !known || monitor.selector.is_empty() || !knows_all(group, facts, monitor) {
            continue;
        }
        let name = &facts.object.name;
        for endpoint in &monitor.endpoints {
            if let Some(port) = endpoint.port.as_ref().filter(|port| !is_open(&port.text)) {
                let of_service =
                    |face: &ServiceFacts| face.ports.iter().filter_map(|known| known.name.as_ref()).any(|known| known.text == port.text);
                let (missing, first, what) = if monitor.pods {
                    (!workloads.iter().any(|workload| has_port(*workload, &port.text)), workloads.first().map(|(other, _)| *other), "pod")
                } else {
                    (!services.iter().any(|(_, face)| of_service(face)), services.first().map(|(other, _)| *other), "Service")
                };
                if let Some(other) = first.filter(|_| missing) {
                    let message = format!("no {what} that monitor `{name}` selects has a port with the name `{}`", port.text);
                    let draft = run.report(facts, port.span, &format!("{}.port", endpoint.path), message);
                    draft.related.push(related(other, other.name_span, format!("a {what} that it selects")));
                }
            }
            // A number need not be declared by anyone.
            let target = endpoint.target_port.as_ref().filter(|port| !is_open(&port.text) && port.text.parse::<u16>().is_err());
            if let Some((port, (other, _))) = target.zip(workloads.first())
                && !workloads.iter().any(|workload| has_port(*workload, &port.text))
            {
                let message = format!("no pod that monitor `{name}` scrapes has a port with the name `{}`", port.text);
                let draft = run.report(facts, port.span, &format!("{}.targetPort", endpoint.path), message);
                draft.related.push(related(other, other.name_span, "a workload that it scrapes"));
            }
        }
    }
}

fn by_pod_monitor<'a>(group: &Group<'a>, (facts, workload): Workload<'a>) -> bool {
    !group.selecting(FactSort::PodMonitor, facts, &workload.labels).is_empty()
}

/// Metrics that nobody scrapes, where others are.
pub(crate) fn service_monitor_missing(run: &mut ProjectRun<'_>) {
    let group = run.group;
    let any_monitor = [FactSort::ServiceMonitor, FactSort::PodMonitor].iter().any(|sort| group.all(*sort).next().is_some());
    let discovers = group.all(FactSort::Config).any(|facts| matches!(&facts.detail, Detail::Config(ConfigFacts { discovers: true, .. })));
    if !any_monitor || discovers || group.build.open && !group.name.is_empty() {
        return;
    }
    let scrapes = |facts: &'_ ObjectFacts| {
        group.near(&facts.path, FactSort::ServiceMonitor).chain(group.near(&facts.path, FactSort::PodMonitor)).next().is_some()
    };
    for (facts, face) in services(group).filter(|(facts, _)| facts.complete && scrapes(facts)) {
        let offered = face
            .ports
            .iter()
            .filter_map(|port| port.name.as_ref())
            .find(|name| matches!(name.text.as_str(), "metrics" | "http-metrics" | "https-metrics"));
        // What the cluster itself runs is scraped in a way of its own.
        let Some(port) = offered.filter(|_| !facts.namespace().starts_with("kube-")) else { continue };
        if !group.selecting(FactSort::ServiceMonitor, facts, &face.labels).is_empty()
            || pods(group, facts).into_iter().any(|pods| by_pod_monitor(group, pods))
        {
            continue;
        }
        let message = format!("no monitor scrapes the port `{}` of Service `{}`", port.text, facts.object.name);
        run.report(facts, port.span, "spec.ports", message);
    }
    for facts in group.all(FactSort::Workload).filter(|facts| facts.complete && scrapes(facts)) {
        let Detail::Workload(workload) = &facts.detail else { continue };
        let Some(span) = workload.pod.scraped else { continue };
        let by_service = group.services(facts, workload).into_iter().any(|service| match &service.detail {
            Detail::Service { face, .. } => !group.selecting(FactSort::ServiceMonitor, service, &face.labels).is_empty(),
            _ => false,
        });
        if !by_service && !by_pod_monitor(group, (facts, workload)) {
            let message = format!("the pods of `{}` ask to be scraped, but no monitor selects them", facts.object.name);
            run.report(facts, span, "spec.template.metadata.annotations", message);
        }
    }
}
