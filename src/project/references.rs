//! What objects refer to by name, and what provides the things that are named.

use std::collections::{BTreeMap, BTreeSet};

use super::facts::Spanned;
use crate::artifact::kubernetes::{api_group, pod_template};
use crate::artifact::{Artifact, Placement, host_in, service_in};
use crate::rule::ArtifactKind;
use crate::syntax::Node;

/// A name or key that stands in an object, with its path there.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    pub(crate) at: Spanned,
    pub(crate) path: String,
}

impl Named {
    pub(super) fn of(node: Option<Node<'_>>) -> Option<Self> {
        let at = Spanned::of(node).filter(|at| !at.text.is_empty())?;
        Some(Self { at, path: node?.path() })
    }
}

/// A name by which an object asks for another one.
#[derive(Clone, Debug)]
pub(crate) struct Reference {
    pub(crate) kind: &'static str,
    pub(crate) name: Named,
    /// The namespace that it says; empty for that of the object.
    pub(crate) namespace: String,
    /// A key of a `ConfigMap` or Secret, a port of a Service, a subset of a `DestinationRule`.
    pub(crate) key: Option<Named>,
    pub(crate) optional: bool,
}

/// Something that others may refer to.
#[derive(Clone, Debug)]
pub(crate) struct Provided {
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    /// Whether it is put into every namespace.
    pub(crate) everywhere: bool,
    /// What a reference may ask of it; none where that is not known.
    pub(crate) keys: Option<BTreeSet<String>>,
}

/// What ties an object to others.
#[derive(Clone, Debug, Default)]
pub(crate) struct Links {
    pub(crate) references: Vec<Reference>,
    /// Services whose names variables hold.
    pub(crate) hosts: Vec<Reference>,
    pub(crate) provides: Vec<Provided>,
    /// Numbers in what its containers are told or what a `ConfigMap` holds: ports, perhaps.
    pub(crate) numbers: BTreeSet<u16>,
    /// The namespace that objects which no file holds are deployed into; empty for any, none for that of the object.
    pub(super) into: Option<String>,
    /// Names that a custom resource or a role to create things holds: what they stand for may be made at run time.
    pub(super) mentions: Vec<String>,
    /// Labels that a custom resource holds, each as one set: it may put them on the pods it makes.
    pub(crate) labels: Vec<BTreeMap<String, String>>,
}

/// An Istio Gateway, to tell it from those of the Gateway API.
pub(crate) const ISTIO_GATEWAY: &str = "Istio Gateway";

/// Annotations and labels that say that something else fills the object, or copies it into other namespaces.
const FILLED: &[&str] = &[
    "config.openshift.io/inject-trusted-cabundle",
    "service.beta.openshift.io/inject-cabundle",
    "reflector.v1.k8s.emberstack.com/reflects",
    "replicator.v1.mittwald.de/replicate-from",
    "kubernetes.io/service-account.name",
];
const COPIED: &[&str] = &[
    "reflector.v1.k8s.emberstack.com/reflection-auto-enabled",
    "reflector.v1.k8s.emberstack.com/reflection-allowed",
    "replicator.v1.mittwald.de/replicate-to",
    "replicator.v1.mittwald.de/replicate-to-matching",
    "replicator.v1.mittwald.de/replication-allowed",
    "kubed.appscode.com/sync",
    "config.kubed.appscode.com/sync",
];

/// Custom resources that deploy objects of which no file says what they are.
pub(super) fn is_opaque(kind: &str, group: &str) -> bool {
    match group {
        "argoproj.io" => matches!(kind, "Application" | "ApplicationSet"),
        "helm.toolkit.fluxcd.io"
        | "kustomize.toolkit.fluxcd.io"
        | "fluxcd.controlplane.io"
        | "helm.fluxcd.io"
        | "helm.cattle.io"
        | "fleet.cattle.io"
        | "operators.coreos.com"
        | "kappctrl.k14s.io"
        | "packaging.carvel.dev"
        | "core.oam.dev" => true,
        _ => matches!(kind, "HelmRelease" | "HelmChart"),
    }
}

/// The namespace that such a custom resource deploys into, as in `Links::into`.
fn deployed_into(root: Node<'_>, group: &str) -> Option<String> {
    let spec = root.get("spec");
    let text = |path: &[&str]| spec.and_then(|spec| spec.at_path(path)).and_then(Node::text);
    let target = text(&["targetNamespace"]).map(str::to_owned);
    match group {
        // What Flux was set up with is the repository itself: its objects are in the tree.
        "kustomize.toolkit.fluxcd.io" if text(&["sourceRef", "name"]) == Some("flux-system") => target,
        "helm.toolkit.fluxcd.io" | "helm.fluxcd.io" | "helm.cattle.io" | "operators.coreos.com" => target,
        _ => target.or_else(|| Some(String::new())),
    }
}

/// Custom resources that make no object which others refer to by name, or only those that are read here.
pub(super) fn is_inert(kind: &str, group: &str) -> bool {
    const GROUPS: &[&str] = &[
        "cert-manager.io",
        "acme.cert-manager.io",
        "trust.cert-manager.io",
        "networking.istio.io",
        "security.istio.io",
        "telemetry.istio.io",
        "traefik.io",
        "traefik.containo.us",
        "keda.sh",
        "bitnami.com",
        "external-secrets.io",
        "cilium.io",
        "crd.projectcalico.org",
        "gateway.envoyproxy.io",
        "source.toolkit.fluxcd.io",
        "notification.toolkit.fluxcd.io",
        "image.toolkit.fluxcd.io",
        "secrets-store.csi.x-k8s.io",
        "linkerd.io",
        "policy.linkerd.io",
        "projectcontour.io",
    ];
    GROUPS.contains(&group)
        || match group {
            "monitoring.coreos.com" => !matches!(kind, "Prometheus" | "Alertmanager" | "ThanosRuler" | "PrometheusAgent"),
            "argoproj.io" => matches!(kind, "AppProject" | "Rollout" | "AnalysisTemplate" | "ClusterAnalysisTemplate"),
            _ => false,
        }
}

/// Whether a kind is not Kubernetes' own.
pub(super) fn is_custom(group: &str) -> bool {
    group.contains('.') && !group.ends_with(".k8s.io")
}

/// What an object refers to and provides.
pub(super) fn links(artifact: &Artifact<'_>) -> Links {
    let root = artifact.root;
    if artifact.kind == ArtifactKind::Kustomize {
        return Links { provides: generated(root), ..Links::default() };
    }
    let object = &artifact.object;
    let group = api_group(root.text_of("apiVersion").unwrap_or_default());
    let mut links = Links { provides: provides(root, &object.kind, group, &object.name), ..Links::default() };
    links.hosts = hosts(artifact);
    if let Some(template) = pod_template(root) {
        if let Some(pod) = template.get("spec") {
            of_pod(&mut links.references, pod);
            let lists = ["containers", "initContainers"].iter().filter_map(|list| pod.get(list)).flat_map(Node::items);
            let told = lists.flat_map(|container| ["args", "command", "env"].iter().filter_map(move |key| container.get(key)));
            links.numbers = told.flat_map(numbers).collect();
        }
        if object.kind == "StatefulSet" {
            // A claim of a template takes the place of a volume of its name.
            let claims: Vec<&str> = root
                .at_path(&["spec", "volumeClaimTemplates"])
                .into_iter()
                .flat_map(Node::items)
                .filter_map(|claim| claim.at_path(&["metadata", "name"]).and_then(Node::text))
                .collect();
            let volumes = template.at_path(&["spec", "volumes"]).into_iter().flat_map(Node::items);
            let replaced: Vec<String> = volumes
                .filter(|volume| volume.text_of("name").is_some_and(|name| claims.contains(&name)))
                .filter_map(|volume| Some(volume.at_path(&["persistentVolumeClaim", "claimName"])?.path()))
                .collect();
            links.references.retain(|reference| !replaced.contains(&reference.name.path));
            refer(&mut links.references, "Service", root.at_path(&["spec", "serviceName"]));
            for claim in root.at_path(&["spec", "volumeClaimTemplates"]).into_iter().flat_map(Node::items) {
                refer(&mut links.references, "StorageClass", claim.at_path(&["spec", "storageClassName"]));
            }
        }
        return links;
    }
    refer_of(&mut links.references, root, &object.kind, group);
    if is_opaque(&object.kind, group) {
        links.into = deployed_into(root, group);
    }
    if object.kind == "ConfigMap" {
        links.numbers = root.get("data").into_iter().flat_map(numbers).collect();
    }
    if is_custom(group) && !is_inert(&object.kind, group) {
        mentions(&mut links, root);
    }
    if group == "rbac.authorization.k8s.io" {
        links.mentions = may_be_created(root);
    }
    links
}

/// The Secrets and `ConfigMaps` that a role names, where it also gives the right to create some: no request to create has a
/// name to compare, so whoever makes one at run time has two entries.
fn may_be_created(role: Node<'_>) -> Vec<String> {
    let has = |entry: Node<'_>, key, word: &str| entry.get(key).into_iter().flat_map(Node::items).any(|item| item.text() == Some(word));
    let entries = |resource| role.get("rules").into_iter().flat_map(Node::items).filter(move |entry| has(*entry, "resources", resource));
    let names = ["secrets", "configmaps"]
        .into_iter()
        .filter(|resource| entries(*resource).any(|entry| has(entry, "verbs", "create") && entry.get("resourceNames").is_none()))
        .flat_map(|resource| entries(resource).filter_map(|entry| entry.get("resourceNames")).flat_map(Node::items));
    names.filter_map(Node::text).map(str::to_owned).collect()
}

/// The Services that literals of the environment or of a `ConfigMap` name.
fn hosts(artifact: &Artifact<'_>) -> Vec<Reference> {
    let variables =
        artifact.variables.iter().filter(|variable| matches!(variable.placement, Placement::ContainerEnv | Placement::Configmap));
    variables
        .filter_map(|variable| {
            let (host, port) = host_in(&variable.name, &variable.value)?;
            let (name, namespace) = service_in(host)?;
            let named = |text: &str| Named { at: Spanned { text: text.to_owned(), span: variable.span }, path: variable.node.path() };
            Some(Reference { kind: "Service", name: named(name), namespace: namespace.to_owned(), key: port.map(named), optional: false })
        })
        .collect()
}

/// The numbers in a node that may be ports.
fn numbers(node: Node<'_>) -> Vec<u16> {
    let texts = node.values().into_iter().filter_map(Node::text);
    let words = texts.flat_map(|text| text.split(|character: char| !character.is_ascii_digit()));
    words.filter(|word| (2..=5).contains(&word.len())).filter_map(|word| word.parse().ok()).collect()
}

/// Names and labels in a custom resource.
fn mentions(links: &mut Links, root: Node<'_>) {
    for value in root.values() {
        let Some(key) = value.key_text() else { continue };
        if value.is_mapping() && (key == "labels" || key.ends_with("Labels")) && value.parent() != root.get("metadata") {
            links.labels.push(super::facts::labels(value));
        } else if let Some(text) = value.text()
            && key.to_ascii_lowercase().ends_with("name")
            && value.parent() != root.get("metadata")
        {
            links.mentions.push(text.to_owned());
        }
    }
}

fn refer(references: &mut Vec<Reference>, kind: &'static str, name: Option<Node<'_>>) {
    if let Some(name) = Named::of(name) {
        references.push(Reference { kind, name, namespace: String::new(), key: None, optional: false });
    }
}

/// What the containers and volumes of a pod ask for.
fn of_pod(references: &mut Vec<Reference>, pod: Node<'_>) {
    refer(references, "ServiceAccount", pod.get("serviceAccountName").filter(|node| !node.is_null()).or_else(|| pod.get("serviceAccount")));
    for container in ["containers", "initContainers", "ephemeralContainers"].iter().filter_map(|list| pod.get(list)).flat_map(Node::items) {
        for from in container.get("env").into_iter().flat_map(Node::items).filter_map(|entry| entry.get("valueFrom")) {
            for (field, kind) in [("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")] {
                if let Some(from) = from.get(field) {
                    config(references, kind, from, "name", from.get("key"));
                }
            }
        }
        for from in container.get("envFrom").into_iter().flat_map(Node::items) {
            for (field, kind) in [("configMapRef", "ConfigMap"), ("secretRef", "Secret")] {
                if let Some(from) = from.get(field) {
                    config(references, kind, from, "name", None);
                }
            }
        }
    }
    for volume in pod.get("volumes").into_iter().flat_map(Node::items) {
        refer(references, "PersistentVolumeClaim", volume.at_path(&["persistentVolumeClaim", "claimName"]));
        refer(references, "StorageClass", volume.at_path(&["ephemeral", "volumeClaimTemplate", "spec", "storageClassName"]));
        mounted(references, volume, "secretName");
        for source in volume.at_path(&["projected", "sources"]).into_iter().flat_map(Node::items) {
            mounted(references, source, "name");
        }
    }
}

/// A volume, or a source of a projected one, made of a `ConfigMap` or Secret.
fn mounted(references: &mut Vec<Reference>, volume: Node<'_>, secret: &str) {
    for (field, kind, name) in [("configMap", "ConfigMap", "name"), ("secret", "Secret", secret)] {
        let Some(source) = volume.get(field) else { continue };
        config(references, kind, source, name, None);
        for item in source.get("items").into_iter().flat_map(Node::items) {
            config(references, kind, source, name, item.get("key"));
        }
    }
}

fn config(references: &mut Vec<Reference>, kind: &'static str, source: Node<'_>, name: &str, key: Option<Node<'_>>) {
    if let Some(name) = Named::of(source.get(name)) {
        let optional = source.get("optional").is_some_and(|node| node.as_bool() != Some(false));
        references.push(Reference { kind, name, namespace: String::new(), key: Named::of(key), optional });
    }
}

/// References of objects that run no pods.
fn refer_of(references: &mut Vec<Reference>, root: Node<'_>, kind: &str, group: &str) {
    let spec = root.get("spec");
    let in_spec = |keys: &[&str]| spec.and_then(|spec| spec.at_path(keys));
    match (kind, group) {
        ("PersistentVolumeClaim", "") => refer(references, "StorageClass", in_spec(&["storageClassName"])),
        ("Ingress", "networking.k8s.io" | "extensions") => {
            ingress(references, spec);
            issuers(references, root);
        }
        ("HTTPRoute" | "GRPCRoute" | "TCPRoute" | "TLSRoute" | "UDPRoute", "gateway.networking.k8s.io") => {
            for parent in in_spec(&["parentRefs"]).into_iter().flat_map(Node::items) {
                let custom = parent.text_of("group").is_some_and(|group| group != "gateway.networking.k8s.io");
                if !custom && parent.text_of("kind").is_none_or(|kind| kind == "Gateway") {
                    refer_in(references, "Gateway", parent.get("name"), parent.get("namespace"), parent.get("sectionName"));
                }
            }
            for rule in in_spec(&["rules"]).into_iter().flat_map(Node::items) {
                for backend in rule.get("backendRefs").into_iter().flat_map(Node::items) {
                    let service =
                        backend.text_of("kind").is_none_or(|kind| kind == "Service") && backend.text_of("group").is_none_or(str::is_empty);
                    if service {
                        refer_in(references, "Service", backend.get("name"), backend.get("namespace"), backend.get("port"));
                    }
                }
            }
        }
        ("Gateway", "gateway.networking.k8s.io") => issuers(references, root),
        ("VirtualService", "networking.istio.io") => virtual_service(references, spec),
        ("Certificate", "cert-manager.io") => issuer(references, in_spec(&["issuerRef"])),
        ("RoleBinding" | "ClusterRoleBinding", "rbac.authorization.k8s.io") => {
            let role = root.get("roleRef");
            let kind = match role.and_then(|role| role.text_of("kind")) {
                Some("Role") => "Role",
                _ => "ClusterRole",
            };
            refer(references, kind, role.and_then(|role| role.get("name")));
            for subject in root.get("subjects").into_iter().flat_map(Node::items) {
                if subject.text_of("kind") == Some("ServiceAccount") {
                    refer_in(references, "ServiceAccount", subject.get("name"), subject.get("namespace"), None);
                }
            }
        }
        _ => {}
    }
}

fn refer_in(
    references: &mut Vec<Reference>,
    kind: &'static str,
    name: Option<Node<'_>>,
    namespace: Option<Node<'_>>,
    key: Option<Node<'_>>,
) {
    if let Some(name) = Named::of(name) {
        let namespace = namespace.and_then(Node::text).unwrap_or_default().to_owned();
        references.push(Reference { kind, name, namespace, key: Named::of(key), optional: false });
    }
}

fn ingress(references: &mut Vec<Reference>, spec: Option<Node<'_>>) {
    let Some(spec) = spec else { return };
    let paths = spec.get("rules").into_iter().flat_map(Node::items).filter_map(|rule| rule.at_path(&["http", "paths"]));
    let of_paths = paths.flat_map(Node::items).filter_map(|path| path.get("backend"));
    for backend in spec.get("defaultBackend").or_else(|| spec.get("backend")).into_iter().chain(of_paths) {
        match backend.get("service") {
            Some(service) => {
                let port = service.at_path(&["port", "number"]).or_else(|| service.at_path(&["port", "name"]));
                refer_in(references, "Service", service.get("name"), None, port);
            }
            None => refer_in(references, "Service", backend.get("serviceName"), None, backend.get("servicePort")),
        }
    }
    for tls in spec.get("tls").into_iter().flat_map(Node::items) {
        refer(references, "Secret", tls.get("secretName"));
    }
}

fn virtual_service(references: &mut Vec<Reference>, spec: Option<Node<'_>>) {
    let list = |key| spec.and_then(|spec| spec.get(key)).into_iter().flat_map(Node::items);
    for gateway in list("gateways") {
        let Some(mut name) = Named::of(Some(gateway)).filter(|name| name.at.text != "mesh") else { continue };
        let mut namespace = String::new();
        if let Some((of, rest)) = name.at.text.split_once('/') {
            (namespace, name.at.text) = (of.to_owned(), rest.to_owned());
        }
        references.push(Reference { kind: ISTIO_GATEWAY, name, namespace, key: None, optional: false });
    }
    for route in ["http", "tcp", "tls"].into_iter().flat_map(list) {
        let targets = route.get("route").into_iter().flat_map(Node::items).filter_map(|target| target.get("destination"));
        for target in targets.chain(route.get("mirror")) {
            let Some(host) = Named::of(target.get("host")) else { continue };
            let Some((name, namespace)) = service_in(&host.at.text) else { continue };
            let named = Named { at: Spanned { text: name.to_owned(), span: host.at.span }, path: host.path.clone() };
            let reference = |kind, key| Reference { kind, name: named.clone(), namespace: namespace.to_owned(), key, optional: false };
            references.push(reference("Service", Named::of(target.at_path(&["port", "number"]))));
            if let Some(subset) = Named::of(target.get("subset")) {
                references.push(reference("DestinationRule", Some(subset)));
            }
        }
    }
}

/// The issuer of a Certificate.
fn issuer(references: &mut Vec<Reference>, issuer: Option<Node<'_>>) {
    let Some(issuer) = issuer.filter(|issuer| issuer.text_of("group").is_none_or(|group| group.is_empty() || group == "cert-manager.io"))
    else {
        return;
    };
    match issuer.text_of("kind") {
        None | Some("" | "Issuer") => refer(references, "Issuer", issuer.get("name")),
        Some("ClusterIssuer") => refer(references, "ClusterIssuer", issuer.get("name")),
        Some(_) => {}
    }
}

/// The issuers that annotations of an Ingress or Gateway name.
fn issuers(references: &mut Vec<Reference>, root: Node<'_>) {
    let Some(annotations) = root.at_path(&["metadata", "annotations"]) else { return };
    if annotations.text_of("cert-manager.io/issuer-group").is_some_and(|group| group != "cert-manager.io") {
        return;
    }
    refer(references, "ClusterIssuer", annotations.get("cert-manager.io/cluster-issuer"));
    let kind = if annotations.text_of("cert-manager.io/issuer-kind") == Some("ClusterIssuer") { "ClusterIssuer" } else { "Issuer" };
    refer(references, kind, annotations.get("cert-manager.io/issuer"));
}

fn keys_of(root: Node<'_>, lists: &[&str]) -> BTreeSet<String> {
    let entries = lists.iter().filter_map(|list| root.get(list)).flat_map(Node::entries);
    entries.filter_map(|(key, _)| key.text().map(str::to_owned)).collect()
}

fn known(keys: BTreeSet<String>) -> Option<BTreeSet<String>> {
    (!keys.is_empty()).then_some(keys)
}

/// Whether an annotation or label of the object is one of these, and not switched off.
fn is_marked(root: Node<'_>, marks: &[&str]) -> bool {
    ["annotations", "labels"]
        .iter()
        .filter_map(|list| root.at_path(&["metadata", list]))
        .flat_map(Node::entries)
        .any(|(key, value)| key.text().is_some_and(|key| marks.contains(&key)) && value.text() != Some("false"))
}

fn provides(root: Node<'_>, kind: &str, group: &str, name: &str) -> Vec<Provided> {
    let spec = root.get("spec");
    let in_spec = |keys: &[&str]| spec.and_then(|spec| spec.at_path(keys));
    let text = |keys: &[&str]| in_spec(keys).and_then(Node::text).filter(|text| !text.is_empty());
    let one = |kind, name: &str, keys| vec![Provided { kind, name: name.to_owned(), everywhere: is_marked(root, COPIED), keys }];
    match (kind, group) {
        ("ConfigMap", "") => {
            let keys = known(keys_of(root, &["data", "binaryData"])).filter(|_| !is_marked(root, FILLED));
            one("ConfigMap", name, keys)
        }
        ("Secret", "") => {
            let keys = known(keys_of(root, &["data", "stringData"])).filter(|_| !is_marked(root, FILLED));
            one("Secret", name, keys)
        }
        ("SealedSecret", "bitnami.com") => {
            let mut keys = in_spec(&[]).map(|spec| keys_of(spec, &["encryptedData"])).unwrap_or_default();
            keys.extend(in_spec(&["template"]).map(|template| keys_of(template, &["data", "stringData"])).unwrap_or_default());
            one("Secret", text(&["template", "metadata", "name"]).unwrap_or(name), known(keys))
        }
        ("ExternalSecret", "external-secrets.io" | "kubernetes-client.io") => {
            one("Secret", text(&["target", "name"]).unwrap_or(name), external_keys(spec))
        }
        ("ClusterExternalSecret", "external-secrets.io") => {
            let inner = in_spec(&["externalSecretSpec"]);
            let target = inner.and_then(|inner| inner.at_path(&["target", "name"])).and_then(Node::text);
            let target = target.or_else(|| text(&["externalSecretName"])).unwrap_or(name);
            vec![Provided { everywhere: true, ..secret(target, external_keys(inner)) }]
        }
        ("Certificate", "cert-manager.io") => {
            let more = in_spec(&["keystores"]).is_some() || in_spec(&["additionalOutputFormats"]).is_some();
            let keys = ["tls.crt", "tls.key", "ca.crt"].map(str::to_owned);
            text(&["secretName"]).map(|name| one("Secret", name, Some(keys.into()).filter(|_| !more))).unwrap_or_default()
        }
        ("Issuer" | "ClusterIssuer", "cert-manager.io") => {
            let account = text(&["acme", "privateKeySecretRef", "name"]).map(|name| secret(name, None));
            let kind = if kind == "Issuer" { "Issuer" } else { "ClusterIssuer" };
            one(kind, name, None).into_iter().chain(account).collect()
        }
        ("Bundle", "trust.cert-manager.io") => {
            ["ConfigMap", "Secret"].map(|kind| Provided { kind, name: name.to_owned(), everywhere: true, keys: None }).into()
        }
        ("SecretProviderClass", _) => in_spec(&["secretObjects"])
            .into_iter()
            .flat_map(Node::items)
            .filter_map(|made| {
                let keys = made.get("data").into_iter().flat_map(Node::items).filter_map(|item| item.text_of("key"));
                Some(secret(made.text_of("secretName")?, known(keys.map(str::to_owned).collect())))
            })
            .collect(),
        ("SopsSecret", _) => in_spec(&["secretTemplates"])
            .into_iter()
            .flat_map(Node::items)
            .filter_map(|made| Some(secret(made.text_of("name")?, known(keys_of(made, &["data", "stringData"])))))
            .collect(),
        ("Ingress", "networking.k8s.io" | "extensions") => shim_secrets(root, spec),
        ("Gateway", "gateway.networking.k8s.io") => {
            let listeners = in_spec(&["listeners"]).into_iter().flat_map(Node::items).filter_map(|listener| listener.text_of("name"));
            let keys = known(listeners.map(str::to_owned).collect());
            one("Gateway", name, keys).into_iter().chain(shim_secrets(root, spec)).collect()
        }
        ("Gateway", "networking.istio.io") => one(ISTIO_GATEWAY, name, None),
        ("ServiceEntry", "networking.istio.io") => in_spec(&["hosts"])
            .into_iter()
            .flat_map(Node::items)
            .filter_map(|host| service_in(host.text()?))
            .flat_map(|(host, _)| one("Service", host, None))
            .collect(),
        ("DestinationRule", "networking.istio.io") => {
            let Some((host, _)) = text(&["host"]).and_then(service_in) else { return Vec::new() };
            let subsets = in_spec(&["subsets"]).into_iter().flat_map(Node::items).filter_map(|subset| subset.text_of("name"));
            one("DestinationRule", host, Some(subsets.map(str::to_owned).collect()))
        }
        ("Service", "") => {
            let ports = in_spec(&["ports"]).into_iter().flat_map(Node::items);
            let keys = ports.flat_map(|port| [port.text_of("port"), port.text_of("name")]).flatten().map(str::to_owned).collect();
            one("Service", name, known(keys))
        }
        ("Prometheus", "monitoring.coreos.com") => one("Service", "prometheus-operated", None),
        ("Alertmanager", "monitoring.coreos.com") => one("Service", "alertmanager-operated", None),
        ("ThanosRuler", "monitoring.coreos.com") => one("Service", "thanos-ruler-operated", None),
        ("ServiceAccount", "") => one("ServiceAccount", name, None),
        ("PersistentVolumeClaim", "") => one("PersistentVolumeClaim", name, None),
        ("PersistentVolume", "") => text(&["storageClassName"]).map(|class| one("StorageClass", class, None)).unwrap_or_default(),
        ("StatefulSet", "apps") => in_spec(&["volumeClaimTemplates"])
            .into_iter()
            .flat_map(Node::items)
            .filter_map(|claim| claim.at_path(&["metadata", "name"]).and_then(Node::text))
            .flat_map(|claim| one("PersistentVolumeClaim", &format!("{claim}-{name}"), None))
            .collect(),
        ("StorageClass", "storage.k8s.io") => one("StorageClass", name, None),
        ("Namespace", "") | ("Project", "project.openshift.io") => one("Namespace", name, None),
        ("Role", "rbac.authorization.k8s.io") => one("Role", name, None),
        ("ClusterRole", "rbac.authorization.k8s.io") => one("ClusterRole", name, None),
        ("HelmRelease", "helm.toolkit.fluxcd.io") if in_spec(&["install", "createNamespace"]).and_then(Node::as_bool) == Some(true) => {
            text(&["targetNamespace"]).map(|name| one("Namespace", name, None)).unwrap_or_default()
        }
        ("Application", "argoproj.io") => {
            let options = in_spec(&["syncPolicy", "syncOptions"]).into_iter().flat_map(Node::items);
            let creates = options.filter_map(Node::text).any(|option| option == "CreateNamespace=true");
            text(&["destination", "namespace"]).filter(|_| creates).map(|name| one("Namespace", name, None)).unwrap_or_default()
        }
        _ => Vec::new(),
    }
}

fn secret(name: &str, keys: Option<BTreeSet<String>>) -> Provided {
    Provided { kind: "Secret", name: name.to_owned(), everywhere: false, keys }
}

/// The keys that an `ExternalSecret` writes; none where a store or a template outside says which.
fn external_keys(spec: Option<Node<'_>>) -> Option<BTreeSet<String>> {
    let spec = spec?;
    let target = spec.get("target");
    let field = |key| target.and_then(|target| target.get(key));
    if field("template").is_some_and(|template| template.get("templateFrom").is_some())
        || field("creationPolicy").and_then(Node::text).is_some_and(|policy| policy == "Merge" || policy == "None")
    {
        return None;
    }
    let written = field("template").map(|template| keys_of(template, &["data"])).unwrap_or_default();
    let merges = field("template").and_then(|template| template.text_of("mergePolicy")) == Some("Merge");
    if !written.is_empty() && !merges {
        return Some(written);
    }
    if spec.get("dataFrom").is_some() {
        return None;
    }
    let read =
        spec.get("data").into_iter().flat_map(Node::items).filter_map(|item| item.text_of("secretKey").or_else(|| item.text_of("name")));
    known(read.map(str::to_owned).chain(written).collect())
}

/// The Secrets that cert-manager makes for an annotated Ingress or Gateway.
fn shim_secrets(root: Node<'_>, spec: Option<Node<'_>>) -> Vec<Provided> {
    let marks = [
        "cert-manager.io/cluster-issuer",
        "cert-manager.io/issuer",
        "kubernetes.io/tls-acme",
        "certmanager.k8s.io/cluster-issuer",
        "certmanager.k8s.io/issuer",
    ];
    let Some(spec) = spec.filter(|_| is_marked(root, &marks)) else { return Vec::new() };
    let of_ingress = spec.get("tls").into_iter().flat_map(Node::items).filter_map(|tls| tls.text_of("secretName"));
    let listeners = spec.get("listeners").into_iter().flat_map(Node::items).filter_map(|one| one.at_path(&["tls", "certificateRefs"]));
    let of_gateway = listeners.flat_map(Node::items).filter_map(|certificate| certificate.text_of("name"));
    of_ingress.chain(of_gateway).map(|name| secret(name, None)).collect()
}

/// What the generators of a kustomization make.
fn generated(root: Node<'_>) -> Vec<Provided> {
    let mut made = Vec::new();
    for (generators, kind) in [("configMapGenerator", "ConfigMap"), ("secretGenerator", "Secret")] {
        for generator in root.get(generators).into_iter().flat_map(Node::items) {
            let Some(name) = generator.text_of("name") else { continue };
            let list = |key| generator.get(key).into_iter().flat_map(Node::items).filter_map(Node::text);
            let of_file =
                |file: &str| file.split_once('=').map_or_else(|| file.rsplit('/').next().unwrap_or(file), |(key, _)| key).to_owned();
            let of_literal = |literal: &str| literal.split_once('=').map_or(literal, |(key, _)| key).to_owned();
            let keys: BTreeSet<String> = list("files").map(of_file).chain(list("literals").map(of_literal)).collect();
            let unread = generator.get("envs").is_some() || generator.get("env").is_some();
            let merged = generator.text_of("behavior").is_some_and(|behavior| behavior != "create");
            made.push(Provided { kind, name: name.to_owned(), everywhere: true, keys: known(keys).filter(|_| !unread && !merged) });
        }
    }
    made
}
