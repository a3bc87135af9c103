//! Native checks of pack rbac.

use crate::artifact::kubernetes::pod_template;
use crate::artifact::{Artifact, PathScope, TargetKind, in_example_folder};
use crate::check::Run;
use crate::finding::{Confidence, Severity};
use crate::project::Excuse;
use crate::rule::ArtifactKind;
use crate::syntax::Node;

/// Who is in a group that Kubernetes fills by itself, where that is nearly everybody or may do everything.
fn broad(kind: &str, name: &str) -> Option<(&'static str, Severity)> {
    Some(match (kind, name) {
        ("User", "system:anonymous") | ("Group", "system:unauthenticated") => {
            ("everybody who reaches the API server, without a login", Severity::Critical)
        }
        ("Group", "system:masters") => ("a group that no authorisation holds back and that cannot be revoked", Severity::Critical),
        ("Group", "system:authenticated") => ("every user and every service account", Severity::Critical),
        ("Group", "system:serviceaccounts") => ("every service account of the cluster", Severity::Critical),
        _ => return None,
    })
}

/// Roles that Kubernetes itself gives to everybody.
const PUBLIC: &[&str] = &["system:discovery", "system:basic-user", "system:public-info-viewer", "system:service-account-issuer-discovery"];

/// Subjects of bindings that stand for nearly everybody.
pub(crate) fn broad_group_bound(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts() {
        let Some(place) = artifact.targets(TargetKind::Object).next() else { continue };
        let is_binding = matches!(place.object.kind.as_str(), "RoleBinding" | "ClusterRoleBinding");
        if !is_binding || !matches!(place.group, "rbac.authorization.k8s.io" | "authorization.openshift.io") {
            continue;
        }
        let role = artifact.root.at_path(&["roleRef", "name"]).and_then(Node::text).unwrap_or_default();
        let public = PUBLIC.contains(&role) || role.starts_with("kubeadm:");
        let bootstrapped =
            artifact.root.at_path(&["metadata", "labels", "kubernetes.io/bootstrapping"]).and_then(Node::text) == Some("rbac-defaults");
        if public || bootstrapped {
            continue;
        }
        for subject in artifact.root.get("subjects").into_iter().flat_map(Node::items) {
            let (Some(kind), Some(node)) = (subject.text_of("kind"), subject.get("name")) else { continue };
            let name = node.text().unwrap_or_default();
            let Some((who, severity)) = broad(kind, name) else { continue };
            let draft = run.report_at(place, node, format!("`{role}` is given to `{name}`: {who}"));
            draft.severity = severity;
        }
    }
}

/// Built-in kinds that live in a namespace.
const NAMESPACED: &[&str] = &[
    "Pod",
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "ReplicaSet",
    "ReplicationController",
    "Job",
    "CronJob",
    "Service",
    "ConfigMap",
    "Secret",
    "ServiceAccount",
    "PersistentVolumeClaim",
    "Ingress",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "HorizontalPodAutoscaler",
    "Role",
    "RoleBinding",
    "ResourceQuota",
    "LimitRange",
];

/// Objects in the namespace default, by name or because none is written.
pub(crate) fn default_namespace_used(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts() {
        let Some(place) = artifact.targets(TargetKind::Object).next() else { continue };
        let name = &place.object.name;
        if place.object.kind == "ServiceAccount" && name == "default" {
            continue;
        }
        let written = artifact.root.at_path(&["metadata", "namespace"]).filter(|node| !node.is_null());
        let kind = &place.object.kind;
        let (node, message) = match written {
            Some(node) if node.text() == Some("default") => (node, format!("{kind} `{name}` is put into the namespace `default`")),
            Some(_) => continue,
            None => {
                let known = NAMESPACED.contains(&kind.as_str()) && (!place.group.contains('.') || place.group.ends_with(".k8s.io"));
                if !known || !artifact.complete || name.is_empty() {
                    continue;
                }
                let Some(metadata) = artifact.root.get("metadata") else { continue };
                (metadata.get("name").unwrap_or(metadata), format!("{kind} `{name}` states no namespace"))
            }
        };
        let excuse = vec![Excuse::new("namespace-given", artifact)];
        run.report_at(place, node, message).unless = excuse;
    }
}

/// What works with the API server, by the words of its names and images.
const API_CLIENTS: &[&str] = &[
    "operator",
    "controller",
    "agent",
    "provisioner",
    "autoscaler",
    "webhook",
    "kubectl",
    "helm",
    "ingress",
    "traefik",
    "prometheus",
    "vault",
    "argocd",
    "flux",
    "cainjector",
    "csi",
    "cni",
    "dns",
    "reloader",
];

fn is_api_client(artifact: &Artifact<'_>, template: Node<'_>) -> bool {
    let has = |text: &str| text.to_ascii_lowercase().split(['-', '_', '/', '.', ':', '@']).any(|word| API_CLIENTS.contains(&word));
    let images = artifact.targets(TargetKind::Container).any(|container| has(container.image.rsplit('/').next().unwrap_or_default()));
    let marks = |key: &str| {
        let value = |list: &str| template.at_path(&["metadata", list, key]).and_then(Node::text);
        matches!(value("labels").or_else(|| value("annotations")), Some("true" | "enabled"))
    };
    has(&artifact.object.name) || images || marks("azure.workload.identity/use") || marks("vault.hashicorp.com/agent-inject")
}

/// Pods that get a token of the API server although nothing gives their account rights.
pub(crate) fn service_account_token_automounted(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts() {
        if artifact.kind == ArtifactKind::HelmValues {
            values(run, artifact);
            continue;
        }
        let Some(pod) = artifact.targets(TargetKind::Pod).next() else { continue };
        let set = pod.node.get("automountServiceAccountToken").filter(|node| !node.is_null());
        if pod_template(artifact.root).is_none_or(|template| is_api_client(artifact, template)) {
            continue;
        }
        let (node, message) = match set {
            Some(node) if node.as_bool() == Some(true) => {
                (node, format!("{} `{}` mounts an API token that nothing gives rights to", pod.object.kind, pod.object.name))
            }
            Some(_) => continue,
            None if !pod.complete => continue,
            None => {
                (pod.node, format!("{} `{}` mounts an API token by default; nothing gives it rights", pod.object.kind, pod.object.name))
            }
        };
        let mut facts = vec!["service-account.bound", "service-account.unknown"];
        if set.is_none() {
            facts.push("service-account.no-token");
        }
        let unless = facts.into_iter().map(|fact| Excuse::new(fact, artifact)).collect();
        let example = in_example_folder(&run.file.source.path);
        let draft = run.report_at(pod, node, message);
        draft.unless = unless;
        if example {
            draft.confidence = Confidence::Low;
        }
    }
}

/// Values that say that the token is mounted, in a chart that asks for no rights.
fn values<'d>(run: &mut Run<'_, 'd>, artifact: &Artifact<'d>) {
    if artifact.scope == PathScope::Development || !artifact.complete {
        return;
    }
    let on = |node: Option<Node<'_>>| node.is_some_and(|node| node.as_bool() == Some(true));
    // A chart that has roles of its own makes them for this account.
    let has_rights = artifact.variables.iter().any(|variable| {
        let outer = variable.node.parent().and_then(Node::key_text).unwrap_or_default();
        (variable.name == "create" && matches!(outer, "rbac" | "role" | "clusterRole") || variable.name == "rbac")
            && variable.value == "true"
    });
    if has_rights {
        return;
    }
    for variable in artifact.variables.iter().filter(|variable| {
        variable.name == "automountServiceAccountToken"
            || variable.name == "automount" && variable.node.parent().and_then(Node::key_text) == Some("serviceAccount")
    }) {
        if on(Some(variable.node)) {
            let draft = run.report(
                variable.span,
                artifact.object_at(variable.node, ""),
                format!("`{}` mounts an API token into the pods", variable.name),
            );
            draft.confidence = Confidence::Low;
        }
    }
}
