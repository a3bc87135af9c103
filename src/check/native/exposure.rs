//! Native checks of the ways that lead from outside to pods.

use std::collections::BTreeSet;

use super::availability::{Workload, related};
use super::compose::datastore;
use crate::artifact::Role;
use crate::project::{BackendFacts, ContainerFacts, Detail, FactSort, Group, ObjectFacts, ProjectRun, RouteFacts, ServicePort, may_be_one};
use crate::source::Span;

/// A way from outside to a port of a Service.
struct Way<'a> {
    /// The Ingress, the route, or the Service itself.
    from: &'a ObjectFacts,
    span: Span,
    path: String,
    guarded: bool,
    /// The name of the Service, and the Service where it is known.
    name: &'a str,
    service: Option<&'a ObjectFacts>,
    port: Option<&'a ServicePort>,
    /// The port as the way names it.
    asked: Option<&'a str>,
}

fn ports(facts: &ObjectFacts) -> &[ServicePort] {
    match &facts.detail {
        Detail::Service { face, .. } => &face.ports,
        _ => &[],
    }
}

/// Whether a route is for everybody: one of its Gateways is not known to be internal.
fn is_public(group: &Group<'_>, facts: &ObjectFacts, route: &RouteFacts) -> bool {
    let internal = |namespace: &str, name: &str| {
        group.near(&facts.path, FactSort::Gateway).any(|other| {
            let there = if namespace.is_empty() { other.may_share_namespace(facts) } else { may_be_one(other.namespace(), namespace) };
            other.object.name == name && there && matches!(&other.detail, Detail::Gateway(gateway) if gateway.internal)
        })
    };
    route.public && (route.gateways.is_empty() || route.gateways.iter().any(|(namespace, name)| !internal(namespace, name)))
}

/// Kinds of policies of a mesh or a gateway that may ask who somebody is.
const ACCESS: &[&str] = &["SecurityPolicy", "AuthorizationPolicy", "RequestAuthentication", "AuthPolicy"];

fn ways<'a>(group: &Group<'a>) -> Vec<Way<'a>> {
    let mut found = Vec::new();
    let access: Vec<&ObjectFacts> = group.all(FactSort::Other).filter(|other| ACCESS.contains(&other.object.kind.as_str())).collect();
    for from in group.all(FactSort::Route) {
        let Detail::Route(route) = &from.detail else { continue };
        if !is_public(group, from, route) {
            continue;
        }
        let guarded = route.guarded || access.iter().any(|other| group.is_together(from, other));
        for backend in &route.backends {
            let BackendFacts { service: name, namespace, port: asked, path } = backend;
            let there = |service: &&ObjectFacts| {
                let other = service.namespace();
                if namespace.is_empty() { may_be_one(from.namespace(), other) } else { may_be_one(namespace, other) }
            };
            let service = group.near_by_name(&from.path, FactSort::Service, &name.text).find(there);
            let port = service.and_then(|service| {
                let is_meant = |port: &&ServicePort| {
                    asked
                        .as_ref()
                        .is_some_and(|asked| [&port.name, &port.number].into_iter().flatten().any(|known| known.text == asked.text))
                };
                match ports(service) {
                    [only] if asked.is_none() => Some(only),
                    known => known.iter().find(is_meant),
                }
            });
            let asked = asked.as_ref().map(|asked| asked.text.as_str());
            found.push(Way { from, span: name.span, path: path.clone(), guarded, name: &name.text, service, port, asked });
        }
    }
    for from in group.all(FactSort::Service) {
        let Detail::Service { face, .. } = &from.detail else { continue };
        let Some(public) = face.public else { continue };
        for port in &face.ports {
            found.push(Way {
                from,
                span: port.number.as_ref().map_or(public, |number| number.span),
                path: "spec.ports".to_owned(),
                guarded: false,
                name: &from.object.name,
                service: Some(from),
                port: Some(port),
                asked: None,
            });
        }
    }
    found
}

/// The workloads behind a Service; of several that would do, those of its own file.
fn behind<'a>(group: &Group<'a>, service: &'a ObjectFacts) -> Vec<Workload<'a>> {
    let Some(selector) = service.detail.selector() else { return Vec::new() };
    let mut found = group.selected_by(&service.path, selector);
    found.retain(|(facts, _)| facts.may_share_namespace(service));
    if found.iter().any(|(facts, _)| facts.path == service.path) {
        found.retain(|(facts, _)| facts.path == service.path);
    }
    let mut seen = BTreeSet::new();
    // The same name is the same workload in another variant.
    found.retain(|(facts, _)| seen.insert((&facts.object.kind, &facts.object.name)));
    found
}

/// The container of a workload that gets what is sent to a port, and the number of the port where that is known.
fn receiver<'a>((_, workload): Workload<'a>, target: &str) -> (Option<&'a ContainerFacts>, Option<u16>) {
    let main = || workload.containers.iter().filter(|container| matches!(container.role, Role::Main | Role::Sidecar));
    let declared = main().find_map(|container| {
        let port =
            container.ports.iter().find(|port| port.name == target || port.number.is_some_and(|number| number.to_string() == target))?;
        Some((container, port.number))
    });
    if let Some((container, number)) = declared {
        return (Some(container), number.and_then(|number| u16::try_from(number).ok()));
    }
    let mut containers = main();
    let only = containers.next().filter(|_| containers.next().is_none());
    (only, target.parse().ok())
}

/// `Ingress shop → Service redis → StatefulSet redis`.
fn described(way: &Way<'_>, workload: Option<Workload<'_>>) -> String {
    let mut parts = vec![format!("{} {}", way.from.object.kind, way.from.object.name)];
    if way.service.is_none_or(|service| !std::ptr::eq(service, way.from)) {
        parts.push(format!("Service {}", way.name));
    }
    if let Some((facts, _)) = workload {
        parts.push(format!("{} {}", facts.object.kind, facts.object.name));
    }
    parts.join(" → ")
}

/// Ports that other programs use as well, and words that the image or a name then has.
const SHARED: &[(u16, &[&str])] = &[
    (9090, &["prometheus", "thanos", "cockpit", "victoria", "mimir"]),
    (8200, &["vault", "openbao", "duplicati"]),
    (9200, &["elastic", "opensearch"]),
    (11434, &["ollama"]),
    (8222, &["nats"]),
    (2379, &["etcd", "tikv"]),
];

/// Data stores and administration that everybody may reach.
pub(crate) fn internal_port_exposed(run: &mut ProjectRun<'_>) {
    let group = run.group;
    let listed: Vec<u16> = run.active.texts("ports").iter().filter_map(|port| port.parse().ok()).collect();
    for way in ways(group).iter().filter(|way| !way.guarded) {
        let workloads = way.service.map(|service| behind(group, service)).unwrap_or_default();
        let target = way.port.map_or(way.asked.unwrap_or_default(), |port| port.target.as_str());
        let workload = workloads.first().copied();
        let (container, number) = workload.map_or((None, None), |workload| receiver(workload, target));
        let image = container.map_or("", |container| container.image.as_str());
        let declared = way.port.and_then(|port| port.number.as_ref()).and_then(|number| number.text.parse().ok());
        let numbers = [number.or_else(|| target.parse().ok()), declared, way.asked.and_then(|asked| asked.parse().ok())];
        let named = |words: &[&str]| {
            let names = [image, way.name, workload.map_or("", |(facts, _)| facts.object.name.as_str())];
            words.iter().any(|word| names.iter().any(|name| name.contains(word)))
        };
        let own = datastore(image).map_or(&[][..], |(_, ports)| ports);
        let hit = numbers.into_iter().flatten().find(|number| {
            let known = SHARED.iter().find(|(shared, _)| shared == number).is_none_or(|(_, words)| named(words));
            // An image that is known to be something else has another use for the port.
            own.contains(number) || listed.contains(number) && known
        });
        let Some(number) = hit else { continue };
        let message = format!("port {number} can be reached from outside: {}", described(way, workload));
        let draft = run.report(way.from, way.span, &way.path, message);
        if let Some((facts, _)) = workload {
            draft.related.push(related(facts, facts.name_span, "what is reached"));
        }
    }
}

/// An inventory of what is reached from outside.
pub(crate) fn workload_publicly_exposed(run: &mut ProjectRun<'_>) {
    let group = run.group;
    for way in ways(group) {
        let Some(service) = way.service else { continue };
        // The ports of one Service are one way.
        let own = std::ptr::eq(service, way.from);
        let first = ports(service).first().zip(way.port).is_some_and(|(first, port)| std::ptr::eq(first, port));
        if own && !first {
            continue;
        }
        let workloads = behind(group, service);
        let Some(first) = workloads.first() else { continue };
        let span = match &service.detail {
            Detail::Service { face, .. } if own => face.public.unwrap_or(way.span),
            _ => way.span,
        };
        let more = if workloads.len() > 1 { format!(" and {} more", workloads.len() - 1) } else { String::new() };
        let message = format!("`{}`{more} can be reached from outside: {}", first.0.object.name, described(&way, Some(*first)));
        let draft = run.report(way.from, span, &way.path, message);
        draft.related.extend(workloads.iter().map(|(facts, _)| related(facts, facts.name_span, "what is reached")));
    }
}
