//! Native checks of pack references.

use std::collections::BTreeMap;

use super::availability::{Match, is_open, matches_labels};
use crate::artifact::TargetKind;
use crate::artifact::kubernetes::pod_template;
use crate::check::{Run, shorten};
use crate::finding::{Location, Related, Severity};
use crate::syntax::Node;

/// Reports workloads that do not select their own pods.
pub(crate) fn selector_label_mismatch(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts().filter(|artifact| artifact.complete) {
        let root = artifact.root;
        let (kind, api) = (artifact.object.kind.as_str(), root.text_of("apiVersion").unwrap_or_default());
        // Selectors of these are mappings of labels, and default to the labels of the template.
        let plain = matches!(kind, "ReplicationController" | "DeploymentConfig");
        let required = matches!(kind, "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet") && api == "apps/v1";
        let known = plain || required || matches!((kind, api), ("Rollout", "argoproj.io/v1alpha1"));
        let Some((spec, template)) = root.get("spec").filter(|spec| known && spec.is_mapping()).zip(pod_template(root)) else { continue };
        let labels_node = template.at_path(&["metadata", "labels"]).filter(|labels| labels.is_mapping());
        let labels: BTreeMap<&str, &str> =
            labels_node.into_iter().flat_map(Node::entries).filter_map(|(key, value)| Some((key.text()?, value.text()?))).collect();
        if labels.iter().any(|(key, _)| is_open(key)) {
            continue;
        }
        let selector = spec.get("selector").filter(|selector| !selector.is_null());
        let Some(selector) = selector.filter(|selector| selector.is_mapping()) else {
            if required && selector.is_none() {
                let message = format!("this {kind} has no selector, so the API server refuses it");
                run.report(spec.place(), artifact.object_at(spec, ""), message);
            }
            continue;
        };
        let asked = |key: &str| {
            selector.get(key).is_some_and(|part| part.is_alias() || !part.is_null() && (part.is_mapping() || part.is_sequence()))
        };
        if required && !asked("matchLabels") && !asked("matchExpressions") {
            let message = format!("the selector of this {kind} has neither matchLabels nor matchExpressions, so the API server refuses it");
            run.report(selector.place(), artifact.object_at(selector, ""), message);
            continue;
        }
        let pairs = if plain { Some(selector) } else { selector.get("matchLabels") };
        let fault = pairs.into_iter().flat_map(Node::entries).find_map(|(key, value)| {
            let (name, text) = (key.text()?, value.text()?);
            if is_open(name) || is_open(text) || (plain && matches!(name, "matchLabels" | "matchExpressions")) {
                return None;
            }
            match labels.get(name) {
                Some(own) if *own == text || is_open(own) => None,
                Some(own) => Some((value, format!("asks for `{name}: {}`, but its pods say `{}`", shorten(text), shorten(own)))),
                None => Some((value, format!("asks for the label `{}`, which its pods do not have", shorten(name)))),
            }
        });
        let (node, message) = match fault {
            Some((value, fault)) => (value, format!("the selector of this {kind} {fault}")),
            None if !plain && matches!(matches_labels(selector, &labels), Match::No) => {
                (selector, format!("the selector of this {kind} does not match the labels of its own pods"))
            }
            None => continue,
        };
        let path = std::sync::Arc::clone(&run.file.source.path);
        let node = if std::ptr::eq(node.doc, root.doc) { node } else { selector };
        let draft = run.report(node.place(), artifact.object_at(node, ""), message);
        if let Some(labels) = labels_node {
            draft.related.push(Related { location: Location { path, span: labels.place() }, label: "the labels of its pods".to_owned() });
        }
    }
}

/// Volumes that a mesh or an agent adds to the object when it is applied.
fn is_injected(name: &str) -> bool {
    ["istio", "linkerd", "kube-api-access", "vault-", "home-", "workload-", "credential-socket", "dapr"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
        || name == "cacerts"
}

/// Reports mounts of volumes that do not exist, and volumes that nobody mounts.
pub(crate) fn volume_undefined(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts().filter(|artifact| artifact.complete) {
        let Some(pod) = artifact.targets(TargetKind::Pod).next().filter(|pod| pod.complete) else { continue };
        let containers: Vec<_> = artifact.targets(TargetKind::Container).collect();
        // Without an image it is a part of something.
        if containers.is_empty()
            || containers.iter().any(|place| !place.complete)
            || pod.node.get("volumes").is_some_and(|list| list.is_scalar() && !list.is_null())
        {
            continue;
        }
        let named = |list: Option<Node<'_>>| {
            list.into_iter().flat_map(Node::items).any(|item| item.get("name").and_then(Node::text).is_none_or(is_open))
        };
        let claims = artifact.root.at_path(&["spec", "volumeClaimTemplates"]).filter(|_| artifact.object.kind == "StatefulSet");
        let volumes = pod.node.get("volumes");
        if named(volumes)
            || claims
                .into_iter()
                .flat_map(Node::items)
                .any(|claim| claim.at_path(&["metadata", "name"]).and_then(Node::text).is_none_or(is_open))
        {
            continue;
        }
        let defined: Vec<&str> = volumes
            .into_iter()
            .flat_map(Node::items)
            .filter_map(|volume| volume.text_of("name"))
            .chain(claims.into_iter().flat_map(Node::items).filter_map(|claim| claim.at_path(&["metadata", "name"]).and_then(Node::text)))
            .collect();
        let mut used = Vec::new();
        for place in &containers {
            for mount in ["volumeMounts", "volumeDevices"].iter().filter_map(|key| place.node.get(key)).flat_map(Node::items) {
                let Some((node, name)) = mount.get("name").and_then(|node| Some((node, node.text()?))) else { continue };
                used.push(name);
                if !defined.contains(&name) && !is_open(name) && !is_injected(name) && !name.is_empty() {
                    let message = format!("container `{}` mounts volume `{}`, which its pod does not define", place.name(), shorten(name));
                    run.report_at(place, node, message);
                }
            }
        }
        if used.iter().any(|name| is_open(name)) {
            continue;
        }
        for name in volumes.into_iter().flat_map(Node::items).filter_map(|volume| volume.get("name")) {
            let Some(text) = name.text().filter(|text| !used.contains(text)) else { continue };
            let message = format!("no container mounts the volume `{}`", shorten(text));
            run.report(name.place(), artifact.object_at(name, ""), message).severity = Severity::Info;
        }
    }
}
