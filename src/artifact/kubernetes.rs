//! Kubernetes objects: known workloads, custom resources untyped, `List` kinds opened.

use super::{Artifact, Context, Layer, PathScope, Place, Placement, Role, TargetKind, Variable, embedded};
use crate::finding::Object;
use crate::rule::ArtifactKind;
use crate::syntax::{Node, Style};

/// Whether a document is a Kubernetes object (or a List of them).
pub(crate) fn is_kubernetes(root: Node<'_>) -> bool {
    let text = |key| root.text_of(key).is_some_and(|text| !text.is_empty());
    root.is_mapping() && text("kind") && (text("apiVersion") || root.text_of("kind") == Some("List"))
}

/// The objects of a document: itself, or the items of a List.
pub(crate) fn objects(root: Node<'_>) -> Vec<Node<'_>> {
    let is_list = root.text_of("kind").is_some_and(|kind| kind.ends_with("List"));
    match root.get("items").filter(|items| is_list && items.is_sequence()) {
        Some(items) => items.items().filter(|item| is_kubernetes(*item)).flat_map(objects).collect(),
        None => vec![root],
    }
}

/// The API group of an `apiVersion`; empty for the core group.
pub(crate) fn api_group(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

/// Keys from an object to its pod template, for every kind that has one.
fn template_path(kind: &str) -> Option<&'static [&'static str]> {
    Some(match kind {
        "Pod" => &[],
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "ReplicationController" | "Job" | "Rollout" | "DeploymentConfig" => {
            &["spec", "template"]
        }
        "CronJob" => &["spec", "jobTemplate", "spec", "template"],
        "PodTemplate" => &["template"],
        _ => return None,
    })
}

/// API groups whose kinds are Kubernetes' own or well known; other kinds of the same name are custom.
fn is_workload_group(kind: &str, group: &str) -> bool {
    match kind {
        "Rollout" => group == "argoproj.io",
        "DeploymentConfig" => group == "apps.openshift.io" || group.is_empty(),
        _ => matches!(group, "" | "apps" | "batch" | "extensions"),
    }
}

/// Containers that an operator or a mesh adds; their probes and resources are not the author's.
const INJECTED: &[&str] =
    &["istio-proxy", "linkerd-proxy", "cloud-sql-proxy", "cloudsql-proxy", "vault-agent", "datadog-agent", "daprd", "envoy"];

/// Fields of a container that fall back to the pod's.
pub(super) fn from_pod(path: &str) -> bool {
    const SECURITY: &[&str] =
        &["runAsUser", "runAsGroup", "runAsNonRoot", "seLinuxOptions", "seccompProfile", "windowsOptions", "appArmorProfile"];
    match path.split_once('.') {
        Some(("securityContext", rest)) => SECURITY.contains(&rest.split('.').next().unwrap_or_default()),
        Some(("resources", _)) => true,
        // What only pods have, and the whole where a container has none.
        None => matches!(path, "hostUsers" | "volumes" | "securityContext"),
        _ => false,
    }
}

/// Whether a pod says that it runs on Windows nodes.
fn is_windows(spec: Node<'_>) -> bool {
    let says = |node: Option<Node<'_>>| node.and_then(Node::text).is_some_and(|text| text == "windows");
    let selects = |label: &str| says(spec.at_path(&["nodeSelector", label]));
    says(spec.at_path(&["os", "name"]))
        || selects("kubernetes.io/os")
        || selects("beta.kubernetes.io/os")
        || spec.at_path(&["securityContext", "windowsOptions"]).is_some()
}

/// The pod template of a workload, or the Pod itself.
pub(crate) fn pod_template(object: Node<'_>) -> Option<Node<'_>> {
    let kind = object.text_of("kind")?;
    let path = template_path(kind).filter(|_| is_workload_group(kind, api_group(object.text_of("apiVersion").unwrap_or_default())))?;
    object.at_path(path).filter(|template| template.is_mapping())
}

pub(super) fn artifact<'d>(root: Node<'d>, context: &Context) -> Artifact<'d> {
    let text = |path: &[&str]| root.at_path(path).and_then(Node::text).unwrap_or_default();
    let kind = text(&["kind"]);
    let group = api_group(text(&["apiVersion"]));
    let name = match text(&["metadata", "name"]) {
        "" => text(&["metadata", "generateName"]),
        name => name,
    };
    let object = Object {
        kind: kind.to_owned(),
        namespace: text(&["metadata", "namespace"]).to_owned(),
        name: name.to_owned(),
        ..Object::default()
    };
    let mut artifact = Artifact::new(ArtifactKind::Kubernetes, root, object.clone(), context);
    let place = |kind, node| Place { group, ..Place::new(kind, node, object.clone(), context) };
    artifact.places.push(place(TargetKind::Object, root));
    annotations(&mut artifact, root, context.scope);
    if let Some(template) = pod_template(root) {
        workload(&mut artifact, root, template, &place, context);
        return artifact;
    }
    match (kind, group) {
        ("ConfigMap", "") => {
            for (key, value) in ["data", "binaryData"].iter().filter_map(|key| root.get(key)).flat_map(Node::entries) {
                configmap_entry(&mut artifact, key, value, context.scope);
            }
        }
        ("Secret", "") => secret(&mut artifact, root, context.scope),
        ("Role" | "ClusterRole", "rbac.authorization.k8s.io" | "authorization.openshift.io") => grants(&mut artifact, root, &place),
        ("CustomResourceDefinition" | "SealedSecret" | "ExternalSecret" | "ClusterExternalSecret", _) => {}
        _ if group.contains('.') && !group.ends_with(".k8s.io") => custom(&mut artifact, root, context),
        _ => {}
    }
    artifact
}

/// Whether Kubernetes makes a role of this kind and name by itself.
pub(crate) fn is_built_in_role(kind: &str, name: &str) -> bool {
    let user_facing = kind == "ClusterRole" && matches!(name, "cluster-admin" | "admin" | "edit" | "view");
    user_facing
        || name.starts_with("system:")
        || name.starts_with("kubeadm:")
        || (kind, name) == ("Role", "extension-apiserver-authentication-reader")
}

/// The entries of a role; those of an aggregated one are filled by the control plane.
fn grants<'d>(artifact: &mut Artifact<'d>, root: Node<'d>, place: &dyn Fn(TargetKind, Node<'d>) -> Place<'d>) {
    if root.at_path(&["aggregationRule", "clusterRoleSelectors"]).is_some() {
        return;
    }
    let bootstrapped = root.at_path(&["metadata", "labels", "kubernetes.io/bootstrapping"]).and_then(Node::text) == Some("rbac-defaults");
    let built_in = bootstrapped || is_built_in_role(&artifact.object.kind, &artifact.object.name);
    for entry in root.get("rules").into_iter().flat_map(Node::items).filter(|entry| entry.is_mapping()) {
        // What an entry does not say may be asked of its role.
        let layers = vec![Layer { node: root, inherits: |path| path.starts_with("metadata") || path.starts_with("rules") }];
        artifact.places.push(Place { layers, built_in, ..place(TargetKind::Grant, entry) });
    }
}

fn workload<'d>(
    artifact: &mut Artifact<'d>,
    root: Node<'d>,
    template: Node<'d>,
    place: &dyn Fn(TargetKind, Node<'d>) -> Place<'d>,
    context: &Context,
) {
    let kind = artifact.object.kind.clone();
    let scales =
        matches!(kind.as_str(), "Deployment" | "StatefulSet" | "ReplicaSet" | "ReplicationController" | "Rollout" | "DeploymentConfig");
    let replicas = match root.at_path(&["spec", "replicas"]) {
        _ if !scales => None,
        Some(node) if !node.is_null() => node.as_int(),
        _ => Some(1),
    };
    let spec = template.get("spec").filter(|spec| spec.is_mapping());
    let restarts = spec.and_then(|spec| spec.text_of("restartPolicy")).unwrap_or("Always") == "Always";
    let long_running = match kind.as_str() {
        "Job" | "CronJob" => false,
        "Pod" | "PodTemplate" => restarts,
        _ => true,
    };
    // A Service or a template of a template alone is no running workload; without a pod specification there is nothing to ask.
    artifact.places.push(Place { long_running, replicas, ..place(TargetKind::Workload, root) });
    if template != root {
        annotations(artifact, template, context.scope);
    }
    let Some(spec) = spec else { return };
    let windows = is_windows(spec);
    artifact.places.push(Place { long_running, windows, replicas, ..place(TargetKind::Pod, spec) });
    for (list, init) in [("containers", false), ("initContainers", true), ("ephemeralContainers", false)] {
        for container in spec.get(list).into_iter().flat_map(Node::items).filter(|item| item.is_mapping()) {
            let name = container.text_of("name").unwrap_or_default();
            let role = match list {
                "initContainers" if container.text_of("restartPolicy") == Some("Always") => Role::Sidecar,
                "initContainers" => Role::Init,
                "ephemeralContainers" => Role::Ephemeral,
                _ if INJECTED.contains(&name) => Role::Injected,
                _ => Role::Main,
            };
            let mut target = Place {
                replicas,
                role,
                windows: windows || container.at_path(&["securityContext", "windowsOptions"]).is_some(),
                long_running: long_running && !(init && role == Role::Init),
                ..place(TargetKind::Container, container)
            };
            name.clone_into(&mut target.object.container);
            target.image = container.text_of("image").unwrap_or_default();
            target.idle = super::only_waits(target.image, &[container.get("command"), container.get("args")]);
            target.layers = vec![Layer { node: spec, inherits: from_pod }];
            // A patch names the container and what it changes: without an image nothing can be missing. Nobody patches bare Pods.
            target.complete &= kind == "Pod" || container.get("image").is_some();
            artifact.places.push(target);
            env(artifact, container, name, context.scope);
            arguments(artifact, container, name, context.scope);
        }
    }
}

/// The literal `env` entries of a container-like mapping.
fn env<'d>(artifact: &mut Artifact<'d>, container: Node<'d>, name: &'d str, scope: PathScope) {
    for entry in container.get("env").into_iter().flat_map(Node::items) {
        let (Some(key), Some(value)) = (entry.text_of("name"), entry.get("value")) else { continue };
        let Some(text) = value.text().filter(|_| !value.is_null()) else { continue };
        let mut variable = Variable::new(key, text, value.span(), Placement::ContainerEnv, value, scope);
        variable.container = name;
        variable.block = container.span().start;
        artifact.variables.push(variable);
    }
}

/// Command options of a container.
fn arguments<'d>(artifact: &mut Artifact<'d>, container: Node<'d>, name: &'d str, scope: PathScope) {
    let lists = [
        container.get("command"),
        container.get("args"),
        container.at_path(&["livenessProbe", "exec", "command"]),
        container.at_path(&["readinessProbe", "exec", "command"]),
        container.at_path(&["startupProbe", "exec", "command"]),
        container.at_path(&["lifecycle", "postStart", "exec", "command"]),
        container.at_path(&["lifecycle", "preStop", "exec", "command"]),
    ];
    for list in lists.into_iter().flatten() {
        let items: Vec<Node<'d>> = list.items().filter(|item| item.is_scalar()).collect();
        embedded::arguments(artifact, &items, name, scope);
    }
}

fn annotations<'d>(artifact: &mut Artifact<'d>, root: Node<'d>, scope: PathScope) {
    for (key, value) in root.at_path(&["metadata", "annotations"]).into_iter().flat_map(Node::entries) {
        let (Some(name), Some(text)) = (key.text(), value.text()) else { continue };
        if name == "kubectl.kubernetes.io/last-applied-configuration" {
            continue;
        }
        artifact.variables.push(Variable::new(name, text, value.span(), Placement::Annotation, value, scope));
        if matches!(value.style(), Style::Literal | Style::Folded) || name.ends_with("-snippet") {
            embedded::text(artifact, value, scope);
        }
    }
}

fn configmap_entry<'d>(artifact: &mut Artifact<'d>, key: Node<'d>, value: Node<'d>, scope: PathScope) {
    let (Some(name), Some(text)) = (key.text(), value.text()) else { return };
    if matches!(value.style(), Style::Literal | Style::Folded) || text.contains('\n') || text.starts_with('{') {
        embedded::text(artifact, value, scope);
    } else if !value.is_null() {
        artifact.variables.push(Variable::new(name, text, value.span(), Placement::Configmap, value, scope));
    }
}

fn secret<'d>(artifact: &mut Artifact<'d>, root: Node<'d>, scope: PathScope) {
    for (list, encoded) in [("data", true), ("stringData", false)] {
        for (key, value) in root.get(list).into_iter().flat_map(Node::entries) {
            let (Some(name), Some(text)) = (key.text(), value.text()) else { continue };
            if value.is_null() {
                continue;
            }
            let decoded = if encoded { crate::secret::decode_base64(text).map(std::borrow::Cow::Owned) } else { None };
            let span = value.span();
            artifact.variables.push(Variable::new(name, decoded.unwrap_or(text.into()), span, Placement::SecretData, value, scope));
        }
    }
}

/// Whether an object speaks of what others may contain.
pub(crate) fn is_policy(root: Node<'_>) -> bool {
    let group = api_group(root.text_of("apiVersion").unwrap_or_default());
    group == "kyverno.io" || group.ends_with(".kyverno.io") || group.ends_with("gatekeeper.sh") || group.ends_with("kubewarden.io")
}

/// Custom resources are untyped: their env lists are container environments wherever they stand, other scalars are settings.
fn custom<'d>(artifact: &mut Artifact<'d>, root: Node<'d>, context: &Context) {
    let scope = context.scope;
    let policy = is_policy(root);
    let mut stack: Vec<Node<'d>> = root
        .pairs()
        .filter(|(key, _)| !matches!(key.text(), Some("metadata" | "status" | "apiVersion" | "kind")))
        .map(|(_, value)| value)
        .collect();
    while let Some(node) = stack.pop() {
        if node.is_alias() {
            continue;
        }
        if node.is_mapping() {
            if !policy {
                let context = super::helm::security_context(node, &artifact.object, context);
                artifact.places.extend(context);
            }
            if node.get("env").is_some_and(Node::is_sequence) {
                env(artifact, node, node.text_of("name").unwrap_or_default(), scope);
                arguments(artifact, node, node.text_of("name").unwrap_or_default(), scope);
            }
            stack.extend(node.pairs().filter(|(key, _)| !matches!(key.text(), Some("env" | "args" | "command"))).map(|(_, value)| value));
        } else if node.is_sequence() {
            stack.extend(node.items());
        } else if let (Some(name), Some(text), false) =
            (node.key_text().or_else(|| node.parent().and_then(Node::key_text)), node.text(), node.is_null())
        {
            if matches!(node.style(), Style::Literal | Style::Folded) {
                embedded::text(artifact, node, scope);
            } else {
                artifact.variables.push(Variable::new(name, text, node.span(), Placement::Setting, node, scope));
            }
        }
    }
}
