//! Native checks of pack tls over several objects: certificates, their issuers, and where they are shown.

use std::collections::BTreeSet;

use super::availability::{is_open, related, renders_elsewhere};
use super::dangling::{is_missing, title};
use super::network::is_closed;
use super::tls::{is_covered, is_internal_host};
use crate::artifact::{PathScope, TargetKind};
use crate::check::{Run, shorten};
use crate::finding::Confidence;
use crate::project::{CertificateFacts, EntranceFacts, FactSort, Group, ObjectFacts, ProjectRun, Reference, Traffic};
use crate::syntax::Node;

/// Secrets that an Ingress shows the certificate of and that nothing makes.
pub(crate) fn ingress_tls_secret_missing(run: &mut ProjectRun<'_>) {
    let group = run.group;
    for ingress in group.all(FactSort::Entrance).filter(|facts| facts.object.kind == "Ingress") {
        let mut seen = BTreeSet::new();
        for reference in ingress.links.references.iter().filter(|reference| reference.kind == "Secret") {
            let name = &reference.name.at.text;
            let kept = group.has_kind(ingress, "Secret", ingress.namespace());
            if !seen.insert(name) || !kept || !is_missing(run, ingress, reference) {
                continue;
            }
            let message = format!("{} shows the certificate of Secret `{name}`, which nothing in its namespace provides", title(ingress));
            run.report(ingress, reference.name.at.span, &reference.name.path, message);
        }
    }
}

/// The issuers that an object names.
fn issuers(facts: &ObjectFacts) -> impl Iterator<Item = &Reference> {
    facts.links.references.iter().filter(|reference| matches!(reference.kind, "Issuer" | "ClusterIssuer"))
}

/// Certificates whose issuer does not exist.
pub(crate) fn certificate_issuer_missing(run: &mut ProjectRun<'_>) {
    let group = run.group;
    // Without any, issuers are installed in another way.
    if group.all(FactSort::Issuer).next().is_none() {
        return;
    }
    for &from in &group.objects {
        for reference in issuers(from) {
            let (kind, name) = (reference.kind, &reference.name.at.text);
            let near = group.near(&from.path, FactSort::Issuer).next().is_some();
            if !near || !is_missing(run, from, reference) {
                continue;
            }
            let place = if kind == "Issuer" { "which is not in its namespace" } else { "which does not exist" };
            let message = format!("{} asks {kind} `{name}` for a certificate, {place}", title(from));
            let other = group.near(&from.path, FactSort::Issuer).find(|facts| facts.object.name == *name);
            let draft = run.report(from, reference.name.at.span, &reference.name.path, message);
            draft.related.extend(other.map(|facts| related(facts, facts.name_span, format!("the {} of that name", facts.object.kind))));
        }
    }
}

/// Hosts that the certificate which is shown for them does not name.
pub(crate) fn certificate_misses_host(run: &mut ProjectRun<'_>) {
    let group = run.group;
    for entrance in group.all(FactSort::Entrance).filter(|facts| facts.complete) {
        let Some(Traffic::Entrance(EntranceFacts { certificates, .. })) = &entrance.traffic else { continue };
        for (number, shown) in certificates.iter().enumerate().filter(|(_, shown)| shown.of == 1 && !is_open(&shown.secret.at.text)) {
            let namespace = match shown.namespace.as_str() {
                _ if shown.anywhere => "",
                "" => entrance.namespace(),
                namespace => namespace,
            };
            let found = group.providers(entrance, "Secret", &shown.secret.at.text, namespace);
            let read = |facts: &ObjectFacts| match &facts.traffic {
                Some(Traffic::Certificate(CertificateFacts { names: Some(names), .. }))
                    if facts.complete && (shown.anywhere || facts.namespace() == namespace) =>
                {
                    Some(names.clone())
                }
                _ => None,
            };
            let names: Option<Vec<Vec<String>>> = found.iter().map(|(facts, _)| read(facts)).collect();
            let Some(names) = names.filter(|names| names.len() == 1) else { continue };
            let names: Vec<&str> = names.iter().flatten().map(String::as_str).collect();
            for host in &shown.hosts {
                let text = &host.at.text;
                let other = certificates
                    .iter()
                    .enumerate()
                    .any(|(at, other)| at != number && other.hosts.iter().any(|known| is_covered(text, &[&known.at.text])));
                if other || text == "*" || is_open(text) || is_covered(text, &names) {
                    continue;
                }
                let message = format!(
                    "{} serves `{}` with the certificate of Secret `{}`, which is not valid for that host",
                    title(entrance),
                    shorten(text),
                    shown.secret.at.text
                );
                let draft = run.report(entrance, host.at.span, &host.path, message);
                draft.related.extend(found.iter().map(|(facts, _)| related(facts, facts.name_span, "the Certificate")));
            }
        }
    }
}

/// Words that say that something is no production.
fn is_for_tests(text: &str) -> bool {
    text.to_ascii_lowercase().split(|c: char| !c.is_ascii_alphanumeric()).any(|word| {
        matches!(
            word,
            "staging" | "stage" | "stg" | "dev" | "test" | "testing" | "qa" | "uat" | "demo" | "preview" | "sandbox" | "local" | "e2e"
        )
    })
}

/// Hosts that something serves or is for.
fn hosts_of(facts: &ObjectFacts) -> Vec<&str> {
    match &facts.traffic {
        Some(Traffic::Entrance(EntranceFacts { hosts, .. })) => hosts.iter().map(|host| host.at.text.as_str()).collect(),
        Some(Traffic::Certificate(CertificateFacts { names: Some(names), .. })) => names.iter().map(String::as_str).collect(),
        _ => Vec::new(),
    }
}

/// Certificates that browsers refuse, since a server for tests signs them.
pub(crate) fn acme_staging_issuer(run: &mut ProjectRun<'_>) {
    let group = run.group;
    for &from in &group.objects {
        let tests = from.scope == PathScope::Development
            || [&from.path, from.object.name.as_str(), from.namespace()].into_iter().any(is_for_tests)
            || hosts_of(from).into_iter().any(is_for_tests);
        if tests {
            continue;
        }
        for reference in issuers(from) {
            let found = group.providers(from, reference.kind, &reference.name.at.text, from.namespace());
            let Some((issuer, server)) = found.iter().find_map(|(facts, _)| match &facts.traffic {
                Some(Traffic::Issuer(issuer)) => Some((*facts, issuer.staging.as_ref()?)),
                _ => None,
            }) else {
                continue;
            };
            let message = format!("{} gets a certificate of a server for tests, which no browser trusts", title(from));
            let draft = run.report(from, reference.name.at.span, &reference.name.path, message);
            if from.scope != PathScope::Production {
                draft.confidence = Confidence::Medium;
            }
            draft.related.push(related(issuer, server.span, "the server of the issuer"));
        }
    }
}

/// Whether a host can be reached under a name that everybody knows.
fn is_public_host(host: &str) -> bool {
    let host = host.trim_start_matches("*.").to_ascii_lowercase();
    let inside = ["lan", "home", "arpa", "corp", "intranet", "private", "example", "invalid", "onion"];
    let Some((name, top)) = host.rsplit_once('.') else { return false };
    !name.is_empty()
        && top.len() >= 2
        && top.bytes().all(|byte| byte.is_ascii_alphabetic())
        && !inside.contains(&top)
        && !is_internal_host(&host)
        && ![".nip.io", ".sslip.io", ".xip.io", ".cluster.local", ".ts.net"].iter().any(|end| host.ends_with(end))
        && !host.split('.').any(|label| matches!(label, "internal" | "local" | "svc"))
}

/// Whether an issuer signs with a certificate that nobody else has signed.
fn signs_itself(group: &Group<'_>, from: &ObjectFacts, reference: &Reference, depth: usize) -> bool {
    let found = group.providers(from, reference.kind, &reference.name.at.text, from.namespace());
    found.into_iter().any(|(issuer, _)| match &issuer.traffic {
        Some(Traffic::Issuer(facts)) if facts.self_signed => true,
        Some(Traffic::Issuer(facts)) => facts.authority.as_ref().is_some_and(|secret| {
            // The Secret of a ClusterIssuer stands where cert-manager runs.
            let namespace = if issuer.object.kind == "Issuer" { issuer.namespace() } else { "" };
            let made = group.providers(issuer, "Secret", secret, namespace);
            depth > 0
                && made.into_iter().any(|(certificate, _)| {
                    matches!(certificate.traffic, Some(Traffic::Certificate(_)))
                        && issuers(certificate).any(|reference| signs_itself(group, certificate, reference, depth - 1))
                })
        }),
        _ => false,
    })
}

/// Public hosts with a certificate that no browser trusts.
pub(crate) fn self_signed_issuer_on_public_host(run: &mut ProjectRun<'_>) {
    let group = run.group;
    let mut reported = BTreeSet::new();
    for entrance in group.all(FactSort::Entrance).filter(|facts| facts.scope != PathScope::Development) {
        let Some(Traffic::Entrance(facts)) = &entrance.traffic else { continue };
        if !facts.certificates.iter().flat_map(|shown| &shown.hosts).chain(&facts.hosts).any(|host| is_public_host(&host.at.text)) {
            continue;
        }
        let mut asked: Vec<(&ObjectFacts, &Reference)> = issuers(entrance).map(|reference| (entrance, reference)).collect();
        for shown in facts.certificates.iter().filter(|shown| shown.hosts.iter().any(|host| is_public_host(&host.at.text))) {
            let namespace = match shown.namespace.as_str() {
                _ if shown.anywhere => "",
                "" => entrance.namespace(),
                namespace => namespace,
            };
            for (certificate, _) in group.providers(entrance, "Secret", &shown.secret.at.text, namespace) {
                if matches!(certificate.traffic, Some(Traffic::Certificate(_))) {
                    asked.extend(issuers(certificate).map(|reference| (certificate, reference)));
                }
            }
        }
        for (from, reference) in asked {
            if !signs_itself(group, from, reference, 3) || !reported.insert((&from.path, reference.name.at.span)) {
                continue;
            }
            let message = format!(
                "{} `{}` signs its certificates itself, so no browser trusts what {} shows to the public",
                reference.kind,
                reference.name.at.text,
                title(entrance)
            );
            let draft = run.report(from, reference.name.at.span, &reference.name.path, message);
            if !std::ptr::eq(from, entrance) {
                draft.related.push(related(entrance, entrance.name_span, "where it is shown"));
            }
        }
    }
}

/// Words in names and classes of gateways that nobody outside reaches.
fn is_inside(text: &str) -> bool {
    text.to_ascii_lowercase()
        .split(|c: char| !c.is_ascii_alphanumeric())
        .any(|word| matches!(word, "internal" | "private" | "rilb" | "local" | "mesh" | "waypoint" | "tailscale" | "tunnel"))
}

/// Gateways that serve public hosts in clear text only. Those of Istio are judged with its redirects.
pub(crate) fn gateway_without_tls(run: &mut ProjectRun<'_>) {
    let group = run.group;
    for gateway in group.all(FactSort::Entrance).filter(|facts| facts.complete && facts.group == "gateway.networking.k8s.io") {
        let Some(Traffic::Entrance(EntranceFacts { hosts, plain: Some(plain), inside, .. })) = &gateway.traffic else { continue };
        if gateway.scope == PathScope::Development || *inside || is_inside(&gateway.object.name) {
            continue;
        }
        let routes: Vec<&ObjectFacts> = group.near(&gateway.path, FactSort::Hosts).filter(|route| attaches(route, gateway)).collect();
        let details =
            || routes.iter().filter_map(|route| if let Some(Traffic::Hosts(route)) = &route.traffic { Some(route) } else { None });
        let redirects = !routes.is_empty() && details().all(|route| route.redirects);
        let own = hosts.iter().map(|host| host.at.text.as_str());
        let public = own.chain(details().flat_map(|route| &route.hosts).map(String::as_str)).find(|host| is_public_host(host));
        // Sets of listeners add their own.
        let more = group.near(&gateway.path, FactSort::Other).any(|facts| facts.object.kind.ends_with("ListenerSet"));
        let Some(host) = public.filter(|_| !redirects && !more && !renders_elsewhere(group, gateway)) else { continue };
        let message = format!("Gateway `{}` serves `{}` in clear text and has no HTTPS listener", gateway.object.name, shorten(host));
        run.report(gateway, plain.at.span, &plain.path, message);
    }
}

fn attaches(route: &ObjectFacts, gateway: &ObjectFacts) -> bool {
    route.links.references.iter().any(|reference| {
        let namespace = route.namespace_for(reference);
        let of = gateway.namespace();
        reference.kind == "Gateway"
            && reference.name.at.text == gateway.object.name
            && (namespace == of || namespace.is_empty() || of.is_empty())
    })
}

/// Annotations that say where a load balancer ends TLS.
const ENDS_TLS: &[&str] = &["ssl-cert", "tls-ports", "certificate", "backend-config", "app-protocols", "ssl-ports", "tls-secret"];

/// Load balancers that answer everybody on port 80 and nobody on 443.
pub(crate) fn load_balancer_without_tls(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts().filter(|artifact| artifact.scope != PathScope::Development && artifact.complete) {
        let Some(place) =
            artifact.targets(TargetKind::Object).next().filter(|place| place.object.kind == "Service" && place.group.is_empty())
        else {
            continue;
        };
        let Some(spec) = artifact.root.get("spec").filter(|spec| spec.text_of("type") == Some("LoadBalancer")) else { continue };
        let annotations = artifact.root.at_path(&["metadata", "annotations"]);
        let ends = annotations
            .into_iter()
            .flat_map(Node::entries)
            .any(|(key, _)| key.text().is_some_and(|key| ENDS_TLS.iter().any(|word| key.contains(word))));
        let ports = || spec.get("ports").into_iter().flat_map(Node::items);
        let secure = ports().any(|port| {
            matches!(port.get("port").and_then(Node::as_int), Some(443 | 8443 | 6443))
                || ["name", "appProtocol"]
                    .iter()
                    .any(|key| port.text_of(key).is_some_and(|text| text.contains("https") || text.contains("tls")))
        });
        let Some(plain) = ports().filter_map(|port| port.get("port")).find(|port| port.as_int() == Some(80)) else { continue };
        if ends || secure || is_inside(&place.object.name) || is_closed(spec, annotations) {
            continue;
        }
        let message = format!("Service `{}` answers everybody on port 80 and has no port for HTTPS", place.object.name);
        run.report_at(place, plain, message);
    }
}
