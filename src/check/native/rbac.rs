//! Native checks of pack rbac.

use std::collections::BTreeMap;

use super::availability::{is_open, related};
use super::dangling::{is_missing, title};
use crate::artifact::kubernetes::{is_built_in_role, pod_template};
use crate::artifact::{Artifact, PathScope, TargetKind, in_example_folder};
use crate::check::Run;
use crate::finding::{Confidence, Severity};
use crate::project::{Detail, Excuse, FactSort, Group, ObjectFacts, ProjectRun, Reference, WorkloadFacts};
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

/// The reference of a binding to its role.
fn role_of(binding: &ObjectFacts) -> Option<&Reference> {
    binding.links.references.iter().find(|reference| matches!(reference.kind, "Role" | "ClusterRole"))
}

/// The roles of the project that a binding may mean.
fn roles<'a>(group: &Group<'a>, binding: &ObjectFacts, role: &Reference) -> Vec<&'a ObjectFacts> {
    let found = group.providers(binding, role.kind, &role.name.at.text, binding.namespace());
    found.into_iter().map(|(facts, _)| facts).collect()
}

/// Who gets a role, for a message.
fn subjects(accounts: &[(String, String)], people: &[(String, String)]) -> String {
    let accounts = accounts.iter().map(|(_, name)| format!("ServiceAccount `{name}`"));
    let people = people.iter().map(|(kind, name)| format!("{kind} `{name}`"));
    let all: Vec<String> = accounts.chain(people).collect();
    match all.get(..3) {
        Some(first) if all.len() > 3 => format!("{} and {} more", first.join(", "), all.len() - 3),
        _ => all.join(", "),
    }
}

/// Bindings that give everything away.
pub(crate) fn cluster_admin_bound(run: &mut ProjectRun<'_>) {
    let group = run.group;
    for binding in group.all(FactSort::Binding) {
        let Detail::Binding { accounts, people, .. } = &binding.detail else { continue };
        let Some(role) = role_of(binding) else { continue };
        let everywhere = binding.object.kind == "ClusterRoleBinding";
        let (name, kind) = (&role.name.at.text, role.kind);
        // Groups of everybody, and the one that may do everything anyway, are another rule's finding.
        let people: Vec<_> = people.iter().filter(|(kind, name)| broad(kind, name).is_none()).cloned().collect();
        if accounts.is_empty() && people.is_empty() {
            continue;
        }
        let own = roles(group, binding, role);
        let everything = own.iter().find(|facts| matches!(facts.detail, Detail::Role { everything: true, .. }));
        let what = match (kind, name.as_str(), everything) {
            // Bindings of such a name are Kubernetes' own.
            (_, _, Some(_)) if is_built_in_role("", &binding.object.name) => continue,
            (_, _, Some(_)) => format!("{kind} `{name}`, which grants everything,"),
            (_, "cluster-admin", None) if own.is_empty() || kind == "ClusterRole" => "`cluster-admin`".to_owned(),
            ("ClusterRole", "admin", None) if everywhere => "`admin` of every namespace".to_owned(),
            _ => continue,
        };
        let message = format!("{} `{}` gives {what} to {}", binding.object.kind, binding.object.name, subjects(accounts, &people));
        let related = everything.map(|facts| related(facts, facts.name_span, "the role"));
        let draft = run.report(binding, role.name.at.span, &role.name.path, message);
        draft.related.extend(related);
        if !everywhere {
            draft.severity = Severity::Medium;
        }
    }
}

/// Rights for every pod that says no account of its own.
pub(crate) fn default_service_account_bound(run: &mut ProjectRun<'_>) {
    let group = run.group;
    for binding in group.all(FactSort::Binding) {
        let Some(role) = role_of(binding) else { continue };
        let own = roles(group, binding, role);
        if !own.is_empty() && own.iter().all(|facts| matches!(facts.detail, Detail::Role { nothing: true, .. })) {
            continue;
        }
        for account in binding.links.references.iter().filter(|one| one.kind == "ServiceAccount" && one.name.at.text == "default") {
            let namespace = match account.namespace.as_str() {
                "" => "its namespace".to_owned(),
                namespace => format!("namespace `{namespace}`"),
            };
            let message = format!("every pod of {namespace} that names no account gets {} `{}`", role.kind, role.name.at.text);
            run.report(binding, account.name.at.span, &account.name.path, message);
        }
    }
}

/// Bindings of roles that allow commands in any pod by a wildcard.
pub(crate) fn pod_exec_bound(run: &mut ProjectRun<'_>) {
    let group = run.group;
    for binding in group.all(FactSort::Binding) {
        let Detail::Binding { accounts, people, .. } = &binding.detail else { continue };
        let Some(role) = role_of(binding) else { continue };
        let own = roles(group, binding, role);
        let Some(found) = own.iter().find(|facts| matches!(facts.detail, Detail::Role { commands: true, everything: false, .. })) else {
            continue;
        };
        let object = &binding.object;
        let message = format!("{} `{}` lets {} run commands in any pod", object.kind, object.name, subjects(accounts, people));
        let draft = run.report(binding, role.name.at.span, &role.name.path, message);
        draft.related.push(related(found, found.name_span, "the role"));
    }
}

/// Roles of `OpenShift`.
const DISTRIBUTED: &[&str] = &[
    "basic-user",
    "cluster-monitoring-view",
    "cluster-reader",
    "cluster-status",
    "monitoring-edit",
    "registry-viewer",
    "self-provisioner",
    "sudoer",
];

/// Bindings of a role, or to an account, that is nowhere.
pub(crate) fn binding_dangling(run: &mut ProjectRun<'_>) {
    let group = run.group;
    for binding in group.all(FactSort::Binding) {
        let object = &binding.object;
        for reference in &binding.links.references {
            let (kind, name) = (reference.kind, &reference.name.at.text);
            let namespace = binding.namespace_for(reference);
            // A build puts accounts that it makes into its namespace, whatever the binding says.
            let built = binding.namespace();
            let elsewhere =
                kind == "ServiceAccount" && built != object.namespace && !group.providers(binding, kind, name, built).is_empty();
            // Clouds put a colon into the names of theirs.
            let built_in =
                kind.ends_with("Role") && (is_built_in_role(kind, name) || name.contains(':') || DISTRIBUTED.contains(&name.as_str()));
            if built_in || elsewhere || !group.has_kind(binding, kind, namespace) || !is_missing(run, binding, reference) {
                continue;
            }
            let message = match (kind, reference.namespace.as_str()) {
                ("ServiceAccount", "") => {
                    format!("{} `{}` gives rights to ServiceAccount `{name}`, which does not exist", object.kind, object.name)
                }
                ("ServiceAccount", namespace) => {
                    format!(
                        "{} `{}` gives rights to ServiceAccount `{name}`, which is not in namespace `{namespace}`",
                        object.kind, object.name
                    )
                }
                _ => format!("{} `{}` gives {kind} `{name}`, which does not exist", object.kind, object.name),
            };
            run.report(binding, reference.name.at.span, &reference.name.path, message);
        }
    }
}

/// Labels that say to which application a workload belongs.
const APPLICATION: &[&str] = &[
    "app.kubernetes.io/part-of",
    "app.kubernetes.io/instance",
    "release",
    "app.kubernetes.io/component",
    "component",
    "app.kubernetes.io/name",
    "app",
    "k8s-app",
];

/// A workload, and where it names its account.
type User<'a> = (&'a ObjectFacts, &'a WorkloadFacts, &'a Reference);

/// Accounts that several applications use.
pub(crate) fn service_account_shared(run: &mut ProjectRun<'_>) {
    let group = run.group;
    let mut users: BTreeMap<(&str, &str), Vec<User<'_>>> = BTreeMap::new();
    for facts in group.all(FactSort::Workload) {
        let Detail::Workload(workload) = &facts.detail else { continue };
        let account = facts.links.references.iter().find(|reference| reference.kind == "ServiceAccount");
        if let Some(account) = account.filter(|account| account.name.at.text != "default" && !is_open(&account.name.at.text)) {
            users.entry((facts.namespace(), &account.name.at.text)).or_default().push((facts, workload, account));
        }
    }
    for ((namespace, name), users) in users {
        let mut applications: Vec<(&ObjectFacts, &WorkloadFacts)> = Vec::new();
        for (facts, workload, account) in users {
            let one = |other: &(&ObjectFacts, &WorkloadFacts)| {
                let same = |key: &&str| workload.labels.get(*key).is_some_and(|value| other.1.labels.get(*key) == Some(value));
                facts.object.name == other.0.object.name || APPLICATION.iter().any(same)
            };
            let near = || applications.iter().filter(|(other, _)| group.together(&facts.path, &other.path));
            let first = near().next().copied();
            let known = near().any(one);
            if let Some((first, _)) = first.filter(|_| !known)
                && group.gives_rights(&facts.path, namespace, name)
            {
                let message = format!("{} shares ServiceAccount `{name}`, and its rights, with {}", title(facts), title(first));
                let draft = run.report(facts, account.name.at.span, &account.name.path, message);
                draft.related.push(related(first, first.name_span, "the other application"));
            }
            applications.push((facts, workload));
        }
    }
}
