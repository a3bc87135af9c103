//! Compose files: services after anchors and merges; what they extend is composed before.

use super::{Artifact, Context, Place, Placement, TargetKind, Variable, embedded, interpolated};
use crate::finding::Object;
use crate::rule::ArtifactKind;
use crate::source::Span;
use crate::syntax::{Node, Style};

/// Whether a document is a Compose file by its content: services that run something, and no Kubernetes object.
pub(crate) fn is_compose(root: Node<'_>) -> bool {
    let runs = |service: Node<'_>| ["image", "build", "extends"].iter().any(|key| service.get(key).is_some());
    root.get("apiVersion").is_none()
        && root.get("kind").is_none()
        && root
            .get("services")
            .is_some_and(|services| services.is_mapping() && services.entries().iter().any(|(_, service)| runs(*service)))
}

/// Profiles that people name after tasks rather than services.
const TASK_PROFILES: &[&str] = &[
    "run",
    "task",
    "tasks",
    "tools",
    "tool",
    "cli",
    "init",
    "migrate",
    "migration",
    "migrations",
    "setup",
    "seed",
    "manual",
    "job",
    "jobs",
    "once",
];

/// Whether the name of a service says that it prepares others and ends; a worker that migrates stays.
fn is_task_name(name: &str) -> bool {
    let words = || name.split(['-', '_', '.']);
    words().any(|word| matches!(word, "init" | "migrate" | "migrator" | "migration" | "migrations" | "setup" | "seed" | "bootstrap"))
        && !words().any(|word| matches!(word, "worker" | "workers" | "server"))
}

pub(super) fn artifact<'d>(root: Node<'d>, context: &Context) -> Artifact<'d> {
    let mut artifact = Artifact::new(ArtifactKind::Compose, root, Object::default(), context);
    let Some(services) = root.get("services").filter(|services| services.is_mapping()) else { return artifact };
    let entries = services.entries();
    let completed: Vec<&str> = entries
        .iter()
        .filter_map(|(_, service)| service.get("depends_on"))
        .filter(|depends| depends.is_mapping())
        .flat_map(Node::entries)
        .filter(|(_, condition)| condition.text_of("condition") == Some("service_completed_successfully"))
        .filter_map(|(key, _)| key.text())
        .collect();
    for (key, service) in entries {
        let (Some(name), true) = (key.text(), service.is_mapping()) else { continue };
        let object = Object { kind: "service".to_owned(), name: name.to_owned(), ..Object::default() };
        let mut place = Place::new(TargetKind::Service, service, object, context);
        // `extends` is still there where it could not be followed.
        let runs = place.get(&["image"]).is_some() || place.get(&["build"]).is_some();
        place.complete &= runs && service.at_path(&["extends", "file"]).is_none();
        place.image = place.get(&["image"]).and_then(Node::text).unwrap_or_default();
        let task = place.get(&["profiles"]).is_some_and(|profiles| {
            profiles.items().next().is_some()
                && profiles
                    .items()
                    .all(|profile| profile.text().is_some_and(|text| text.split(['-', '_']).any(|word| TASK_PROFILES.contains(&word))))
        });
        place.idle = super::only_waits(place.image, &[place.get(&["entrypoint"]), place.get(&["command"])]);
        place.one_shot = task
            || is_task_name(name) && !matches!(place.get(&["restart"]).and_then(Node::text), Some("always" | "unless-stopped"))
            || completed.contains(&name)
            || place.get(&["restart"]).and_then(Node::text) == Some("no")
            || place.get(&["deploy", "restart_policy", "condition"]).and_then(Node::text) == Some("none");
        place.long_running = !place.one_shot;
        artifact.places.push(place);
        variables(&mut artifact, service, name, context);
    }
    for (_, config) in root.get("configs").into_iter().flat_map(Node::entries) {
        if let Some(content) = config.get("content") {
            embedded::text(&mut artifact, content, context.scope);
        }
    }
    artifact
}

fn variables<'d>(artifact: &mut Artifact<'d>, service: Node<'d>, name: &'d str, context: &Context) {
    for (list, placement) in [
        (service.get("environment"), Placement::ComposeEnvironment),
        (service.at_path(&["build", "args"]), Placement::ComposeBuildArg),
        (service.get("labels"), Placement::Annotation),
        (service.at_path(&["deploy", "labels"]), Placement::Annotation),
    ] {
        let Some(list) = list else { continue };
        for (key, value) in list.entries() {
            if let (Some(key), Some(text), false) = (key.text(), value.text(), value.is_null()) {
                push(artifact, key, text, value.value_span(), placement, value, name, service, context);
            }
        }
        for item in list.items() {
            let Some((key, text)) = item.text().and_then(|text| text.split_once('=')) else { continue };
            let span = item.value_span();
            let span = if item.is_verbatim() { Span::new((span.end as usize).saturating_sub(text.len()), span.end as usize) } else { span };
            push(artifact, key.trim(), text, span, placement, item, name, service, context);
        }
    }
    for list in [service.get("command"), service.get("entrypoint"), service.at_path(&["healthcheck", "test"])].into_iter().flatten() {
        if list.is_sequence() {
            let items: Vec<Node<'d>> = list.items().filter(|item| item.is_scalar()).collect();
            embedded::arguments(artifact, &items, name, context.scope);
        } else {
            embedded::command(artifact, list, name, context.scope);
        }
    }
    for volume in service.get("volumes").into_iter().flat_map(Node::items) {
        if let Some(content) = volume.get("content").filter(|content| matches!(content.style(), Style::Literal | Style::Folded)) {
            embedded::text(artifact, content, context.scope);
        }
    }
}

#[allow(clippy::too_many_arguments)]
fn push<'d>(
    artifact: &mut Artifact<'d>,
    key: &'d str,
    text: &'d str,
    span: Span,
    placement: Placement,
    node: Node<'d>,
    container: &'d str,
    service: Node<'d>,
    context: &Context,
) {
    let (value, span) = interpolated(text, span);
    let mut variable = Variable::new(key, value, span, placement, node, context.scope);
    variable.container = container;
    variable.block = service.span().start;
    artifact.variables.push(variable);
}
