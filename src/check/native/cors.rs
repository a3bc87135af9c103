//! Native checks of pack cors.

use std::collections::BTreeMap;

use crate::artifact::{Artifact, PathScope, Placement, TargetKind, Variable};
use crate::check::Run;
use crate::rule::ArtifactKind;
use crate::source::Span;
use crate::syntax::Node;

const ENABLE: &str = "nginx.ingress.kubernetes.io/enable-cors";
const ORIGIN: &str = "nginx.ingress.kubernetes.io/cors-allow-origin";
const CREDENTIALS: &str = "nginx.ingress.kubernetes.io/cors-allow-credentials";

/// Reports credentials that are allowed together with any origin.
pub(crate) fn wildcard_origin_with_credentials(run: &mut Run<'_, '_>) {
    for artifact in run.file.artifacts {
        if artifact.kind == ArtifactKind::Kubernetes {
            objects(run, artifact);
        }
        blocks(run, artifact);
    }
}

/// A wildcard, `null`, or a pattern that matches everything, alone or in a list.
fn is_open(value: &str) -> bool {
    let items = value.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '[' | ']' | '"' | '\''));
    let mut open = false;
    for item in items {
        let item = item.trim_start_matches('^').trim_end_matches('$');
        open |= matches!(item, "*" | ".*" | ".+" | "null" | "http://*" | "https://*" | "https?://.*" | "https?://.+");
    }
    open
}

/// An nginx header that echoes the origin of the request.
fn is_reflected(value: &str) -> bool {
    let value = value.trim_matches(['"', '\'']);
    matches!(value, "$http_origin" | "${http_origin}")
}

fn is_true(value: &str) -> bool {
    matches!(value.trim().to_ascii_lowercase().as_str(), "true" | "1" | "yes" | "on")
}

/// What stands together: one environment, one mapping, one nginx block.
fn block(variable: &Variable<'_>) -> u32 {
    if matches!(
        variable.placement,
        Placement::Embedded | Placement::ContainerEnv | Placement::ComposeEnvironment | Placement::Dotenv | Placement::WranglerVar
    ) {
        return variable.block;
    }
    let mut node = variable.node;
    // The items of a list, and the `value` beside a `name`, stand where the list stands.
    if node.key_text() == Some("value") {
        node = node.parent().unwrap_or(node);
    }
    while let Some(list) = node.parent().filter(|parent| parent.is_sequence()) {
        node = list;
    }
    node.parent().map_or(0, |parent| parent.span().start)
}

/// What a name asks about across origins, in any of its spellings.
fn asks(name: &str, what: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    lower.contains(what)
        && !lower.contains("csrf")
        && ["cors", "access-control", "access_control", "accesscontrol", "allow"].iter().any(|word| lower.contains(word))
}

fn blocks<'d>(run: &mut Run<'_, 'd>, artifact: &Artifact<'d>) {
    let mut credentials = Vec::new();
    let mut open: BTreeMap<(bool, u32), Span> = BTreeMap::new();
    let mut ingress: BTreeMap<u32, [Option<&Variable<'d>>; 3]> = BTreeMap::new();
    let judges = run.judges(artifact);
    for variable in artifact.variables.iter().filter(|variable| variable.scope != PathScope::Development) {
        let embedded = variable.placement == Placement::Embedded;
        if !embedded && !judges {
            continue;
        }
        if let Some(index) = [ENABLE, ORIGIN, CREDENTIALS].iter().position(|name| *name == variable.name) {
            if let Some(slot) = ingress.entry(block(variable)).or_default().get_mut(index) {
                *slot = Some(variable);
            }
            continue;
        }
        let is_origin =
            asks(&variable.name, "origin") && (is_open(&variable.value) || is_reflected(&variable.value) && !is_guarded(run, variable));
        if is_origin {
            open.insert((embedded, block(variable)), variable.span);
        } else if asks(&variable.name, "credential") && is_true(&variable.value) {
            credentials.push(variable);
        }
    }
    for variable in credentials {
        let embedded = variable.placement == Placement::Embedded;
        if open.contains_key(&(embedded, block(variable))) {
            let object = artifact.object_at(variable.node, variable.container);
            run.report(variable.span, object, format!("`{}` allows credentials while any origin is allowed", variable.name));
        }
    }
    for [enable, origin, credentials] in ingress.into_values() {
        let Some(enable) = enable.filter(|enable| is_true(&enable.value)) else { continue };
        // Both the origin `*` and credentials are the defaults of ingress-nginx.
        let open = origin.is_none_or(|origin| is_open(&origin.value));
        if open && credentials.is_none_or(|credentials| is_true(&credentials.value)) {
            let at = credentials.unwrap_or(enable);
            let how = match (origin, credentials) {
                (None, None) => "answers every origin with credentials, both by default",
                (None, Some(_)) => "answers every origin, by default, with credentials",
                (Some(_), None) => "answers every origin, and with credentials by default",
                (Some(_), Some(_)) => "answers every origin with credentials",
            };
            let message = format!("the Ingress {how}");
            run.report(at.span, artifact.object_at(at.node, ""), message);
        }
    }
}

/// Whether an nginx header stands in a block that is entered only for some origins.
fn is_guarded(run: &Run<'_, '_>, variable: &Variable<'_>) -> bool {
    let whole = variable.node.value_span();
    let before = run.file.source.slice(Span { start: whole.start, end: variable.span.start });
    let mut depth = 0_u32;
    for line in before.lines().rev() {
        let line = line.trim();
        if line.starts_with('}') {
            depth += 1;
        }
        if line.ends_with('{') {
            if depth == 0 && line.starts_with("if") {
                return true;
            }
            depth = depth.saturating_sub(1);
        }
    }
    false
}

/// Policies of custom resources: Istio, Traefik, Gateway API.
fn objects<'d>(run: &mut Run<'_, 'd>, artifact: &Artifact<'d>) {
    let Some(place) = artifact.targets(TargetKind::Object).next().filter(|place| place.scope != PathScope::Development) else { return };
    let Some(spec) = artifact.root.get("spec") else { return };
    let rules = |list: &str| spec.get(list).into_iter().flat_map(Node::items);
    let any_item = |list: Option<Node<'d>>, keys: &[&str]| {
        list.into_iter().flat_map(Node::items).any(|item| {
            let texts = item.text().into_iter().chain(keys.iter().filter_map(|key| item.text_of(key)));
            texts.into_iter().any(is_open)
        })
    };
    let policies: Vec<(Option<Node<'d>>, bool)> = match artifact.object.kind.as_str() {
        "VirtualService" => rules("http")
            .filter_map(|route| route.get("corsPolicy"))
            .map(|policy| {
                (
                    policy.get("allowCredentials"),
                    any_item(policy.get("allowOrigins"), &["exact", "regex"]) || any_item(policy.get("allowOrigin"), &[]),
                )
            })
            .collect(),
        "HTTPRoute" => rules("rules")
            .flat_map(|rule| rule.get("filters").into_iter().flat_map(Node::items))
            .filter_map(|filter| filter.get("cors"))
            .map(|policy| (policy.get("allowCredentials"), any_item(policy.get("allowOrigins"), &[])))
            .collect(),
        _ => return,
    };
    for (credentials, open) in policies {
        if let Some(node) = credentials.filter(|node| open && node.as_bool() == Some(true)) {
            run.report_at(place, node, format!("{} `{}` allows credentials while any origin is allowed", place.object.kind, place.name()));
        }
    }
}
