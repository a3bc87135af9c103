//! Values files of charts: every scalar is a variable; requests and limits of named environments are targets.

use super::{Artifact, Context, Layer, PathScope, Place, Placement, TargetKind, Variable, embedded};
use crate::finding::Object;
use crate::rule::ArtifactKind;
use crate::syntax::{Node, Style};

pub(super) fn values<'d>(root: Node<'d>, context: &Context) -> Artifact<'d> {
    let mut artifact = Artifact::new(ArtifactKind::HelmValues, root, Object::default(), context);
    let mut stack = vec![root];
    while let Some(node) = stack.pop() {
        if node.is_alias() {
            continue;
        }
        if node.is_mapping() {
            // An empty mapping says that nothing is set.
            let sizes = node.get("limits").is_some() || node.get("requests").is_some() || node.pairs().next().is_none();
            if node.key_text() == Some("resources") && sizes {
                let object = Object { path: node.path(), ..Object::default() };
                let mut place = Place::new(TargetKind::Resources, node, object, context);
                // A chart's own defaults are merged with what an environment sets.
                place.complete &= context.scope == PathScope::Production;
                artifact.places.push(place);
            }
            artifact.places.extend(security_context(node, &Object::default(), context));
            let pair = node.text_of("name").zip(node.get("value").filter(|value| value.is_scalar() && !value.is_null()));
            if let (Some((name, value)), Some(true)) = (pair, node.parent().map(Node::is_sequence)) {
                let text = value.text().unwrap_or_default();
                artifact.variables.push(Variable::new(name, text, value.span(), Placement::HelmValue, value, context.scope));
                stack.extend(node.pairs().filter(|(key, _)| !matches!(key.text(), Some("name" | "value"))).map(|(_, value)| value));
            } else {
                stack.extend(node.pairs().map(|(_, value)| value));
            }
        } else if node.is_sequence() {
            if matches!(node.key_text(), Some("args" | "extraArgs" | "command")) {
                let items: Vec<Node<'d>> = node.items().filter(|item| item.is_scalar()).collect();
                embedded::arguments(&mut artifact, &items, "", context.scope);
            } else {
                stack.extend(node.items());
            }
        } else if let (Some(name), Some(text), false) =
            (node.key_text().or_else(|| node.parent().and_then(Node::key_text)), node.text(), node.is_null())
        {
            if matches!(node.style(), Style::Literal | Style::Folded) {
                embedded::text(&mut artifact, node, context.scope);
            }
            artifact.variables.push(Variable::new(name, text, node.span(), Placement::HelmValue, node, context.scope));
        }
    }
    artifact.variables.sort_by_key(|variable| variable.span);
    artifact.places.sort_by_key(|place| place.node.span());
    artifact
}

/// Whether a mapping is a security context by its key, of something that is deployed.
fn is_security_context(node: Node<'_>) -> bool {
    const KEY: &str = "securityContext";
    let tail =
        |key: &'_ str| key.len().checked_sub(KEY.len()).and_then(|from| key.get(from..)).is_some_and(|end| end.eq_ignore_ascii_case(KEY));
    node.key_text().is_some_and(tail) && !switched_off(node)
}

/// A security context as a target. Where the pod's stands beside that of its container, the two are one: the container wins.
pub(super) fn security_context<'d>(node: Node<'d>, object: &Object, context: &Context) -> Option<Place<'d>> {
    if !is_security_context(node) {
        return None;
    }
    let beside = |key: &str| node.parent()?.get(key).filter(|other| other.is_mapping() && !switched_off(*other));
    let (container, pod) = match node.key_text() {
        Some("podSecurityContext") => (beside("containerSecurityContext").or_else(|| beside("securityContext")), None),
        Some("securityContext") => (beside("containerSecurityContext"), beside("podSecurityContext")),
        Some("containerSecurityContext") => (None, beside("podSecurityContext").or_else(|| beside("securityContext"))),
        _ => (None, None),
    };
    if container.is_some() {
        return None;
    }
    let mut place = Place::new(TargetKind::SecurityContext, node, Object { path: node.path(), ..object.clone() }, context);
    let inherits = |path: &str| super::kubernetes::from_pod(&format!("securityContext.{path}"));
    place.layers.extend(pod.map(|node| Layer { node, inherits }));
    Some(place)
}

/// Whether a value belongs to something that `enabled: false` leaves out, by default or for good.
pub(crate) fn switched_off(node: Node<'_>) -> bool {
    std::iter::successors(Some(node), |node| node.parent())
        .any(|around| around.get("enabled").is_some_and(|enabled| enabled.as_bool() == Some(false)))
}

/// Values that the chart's own values file sets count where an environment's file sets none.
pub(crate) fn merge_over<'d>(artifact: &mut Artifact<'d>, base: Node<'d>) {
    artifact.base = Some(base);
    for place in artifact.places.iter_mut().filter(|place| place.kind == TargetKind::Resources) {
        place.layers.extend(base.at_path(&place.node.keys()).map(|node| Layer { node, inherits: |_| true }));
    }
}
