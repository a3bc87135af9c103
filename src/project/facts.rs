//! Facts: what an artifact leaves for rules that need several of them. Small, owned, without the tree.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::may_be_one;
use super::network::{self, GatewayFacts, MonitorFacts, PolicyFacts, RouteFacts, ServiceFacts};
use super::pods::{self, ConfigFacts, PodFacts};
use super::references::{Links, Reference, links};
use super::traffic::{Traffic, traffic};
use crate::artifact::kubernetes::{api_group, pod_template};
use crate::artifact::{Artifact, PathScope, Role, TargetKind};
use crate::finding::Object;
use crate::rule::ArtifactKind;
use crate::source::Span;
use crate::syntax::Node;

/// A text and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Spanned {
    pub(crate) text: String,
    pub(crate) span: Span,
}

impl Spanned {
    pub(super) fn of(node: Option<Node<'_>>) -> Option<Self> {
        node.filter(|node| !node.is_null()).and_then(|node| Some(Self { text: node.text()?.to_owned(), span: node.place() }))
    }
}

/// Labels that a selector asks for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selector {
    pub(crate) labels: BTreeMap<String, String>,
    /// Key, operator, values.
    pub(crate) expressions: Vec<(String, String, Vec<String>)>,
}

impl Selector {
    /// A `matchLabels`/`matchExpressions` selector.
    pub(super) fn read(node: Node<'_>) -> Self {
        let expressions = node.get("matchExpressions").into_iter().flat_map(Node::items);
        Self {
            labels: node.get("matchLabels").map(labels).unwrap_or_default(),
            expressions: expressions
                .map(|expression| {
                    let text = |key| expression.text_of(key).unwrap_or_default().to_owned();
                    let values =
                        expression.get("values").into_iter().flat_map(Node::items).filter_map(Node::text).map(str::to_owned).collect();
                    (text("key"), text("operator"), values)
                })
                .collect(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.expressions.is_empty()
    }

    /// Whether it selects an object with these labels; an empty selector selects everything.
    pub(crate) fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        self.labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.expressions.iter().all(|(key, operator, values)| {
                let value = labels.get(key);
                match operator.as_str() {
                    "In" => value.is_some_and(|value| values.contains(value)),
                    "NotIn" => value.is_none_or(|value| !values.contains(value)),
                    "Exists" => value.is_some(),
                    "DoesNotExist" => value.is_none(),
                    _ => false,
                }
            })
    }
}

pub(super) fn labels(node: Node<'_>) -> BTreeMap<String, String> {
    node.entries().into_iter().filter_map(|(key, value)| Some((key.text()?.to_owned(), value.text()?.to_owned()))).collect()
}

/// A container of a workload.
#[derive(Clone, Debug)]
pub(crate) struct ContainerFacts {
    pub(crate) name: String,
    pub(crate) role: Role,
    /// Where a finding about the container points.
    pub(crate) span: Span,
    /// Path of the container in its document.
    pub(crate) path: String,
    pub(crate) ports: Vec<PortFacts>,
    pub(crate) has_readiness: bool,
    /// See `Place::complete`.
    pub(crate) complete: bool,
    /// Resources that have an effective request (or a limit, which sets it).
    pub(crate) requests: Vec<String>,
    pub(crate) image: String,
    /// CPU and memory that it asks for itself, where that is known.
    pub(crate) amounts: [Option<f64>; 2],
    /// What it does when it is told to stop: the seconds of a sleep, or zero for anything else.
    pub(crate) pre_stop: Option<f64>,
}

/// A declared container port.
#[derive(Clone, Debug)]
pub(crate) struct PortFacts {
    pub(crate) name: String,
    pub(crate) number: Option<i64>,
}

/// A workload: anything with a pod template.
#[derive(Clone, Debug)]
pub(crate) struct WorkloadFacts {
    /// Labels of the pods.
    pub(crate) labels: BTreeMap<String, String>,
    /// See `Place::replicas`.
    pub(crate) replicas: Option<i64>,
    /// The written replicas.
    pub(crate) replicas_span: Option<Span>,
    pub(crate) long_running: bool,
    pub(crate) containers: Vec<ContainerFacts>,
    pub(crate) pod: Box<PodFacts>,
}

/// An HPA metric on a resource.
#[derive(Clone, Debug)]
pub(crate) struct MetricFacts {
    pub(crate) resource: String,
    /// `Utilization` or `AverageValue`.
    pub(crate) target: String,
    /// Container of a `ContainerResource` metric.
    pub(crate) container: Option<String>,
    pub(crate) span: Span,
}

/// What an object is, as far as rules over several objects ask.
#[derive(Clone, Debug)]
pub(crate) enum Detail {
    Workload(WorkloadFacts),
    DisruptionBudget {
        selector: Option<Selector>,
        selector_span: Span,
        min_available: Option<Spanned>,
        max_unavailable: Option<Spanned>,
    },
    /// An HPA or a KEDA `ScaledObject`; its least replicas are none where they are filled in later.
    Autoscaler {
        keda: bool,
        target_group: String,
        target_kind: String,
        target_name: Option<Spanned>,
        min: Option<i64>,
        metrics: Vec<MetricFacts>,
    },
    Service {
        /// None where it selects no pods by itself.
        selector: Option<Selector>,
        selector_span: Span,
        ports: Vec<Spanned>,
        face: ServiceFacts,
    },
    /// What restricts the network of pods.
    NetworkPolicy(PolicyFacts),
    /// What leads traffic from outside to Services.
    Route(RouteFacts),
    Gateway(GatewayFacts),
    /// A `ServiceMonitor` or a `PodMonitor`.
    Monitor(MonitorFacts),
    Namespace {
        labels: BTreeMap<String, String>,
        /// The level of Pod Security that is enforced.
        level: Option<Spanned>,
        /// An annotation says why that level is needed.
        reason: bool,
    },
    /// What a `ResourceQuota` allows of each resource; of all pods of its namespace, or of some.
    Quota {
        hard: Vec<(String, f64, Span)>,
        scoped: bool,
        empty: bool,
    },
    /// Access modes of a claim, and its class.
    Claim {
        modes: Vec<String>,
        class: Option<String>,
    },
    /// A `StorageClass` all of whose volumes are in one zone.
    ZonalStorage(Spanned),
    /// The kind and name that a `VerticalPodAutoscaler` targets.
    VerticalAutoscaler {
        target: (String, String),
    },
    /// A `ConfigMap` with settings that rules over several objects ask about.
    Config(ConfigFacts),
    /// A Helm release: what it renders is not known.
    Release,
    /// What an object does for every namespace, as the kind that would do it for one.
    Given(Vec<&'static str>),
    /// Whether it keeps its token from pods, and whether it has a cloud identity.
    ServiceAccount {
        no_token: bool,
        identity: bool,
    },
    /// A binding: kind and name of the role, the accounts (namespace, name) that get it, and the users and groups
    /// (kind, name).
    Binding {
        role: (String, String),
        accounts: Vec<(String, String)>,
        people: Vec<(String, String)>,
    },
    /// Whether a role grants everything, commands in any pod by a wildcard, or nothing.
    Role {
        everything: bool,
        commands: bool,
        nothing: bool,
    },
    /// Fields that a `LimitRange` of type Container sets, such as `default.memory`.
    LimitRange {
        fields: Vec<String>,
    },
    /// A `PriorityClass` that pods without one get.
    DefaultPriority,
    /// An Argo CD Application: the namespace it deploys into, and kinds and names (empty for any) whose replicas it leaves alone.
    Application {
        destination: String,
        scaled_elsewhere: Vec<(String, String)>,
    },
    /// What puts the objects of a folder into a namespace.
    Delivery,
    Other,
}

/// One object's facts.
#[derive(Clone, Debug)]
pub(crate) struct ObjectFacts {
    pub(crate) path: Arc<str>,
    /// API group.
    pub(crate) group: String,
    pub(crate) object: Object,
    /// The value of metadata.name, or what stands for the object.
    pub(crate) name_span: Span,
    /// The value of metadata.namespace.
    pub(crate) namespace_span: Option<Span>,
    /// Whether the API server completes its name.
    pub(crate) generated_name: bool,
    /// See `Place::complete`.
    pub(crate) complete: bool,
    pub(crate) scope: PathScope,
    pub(crate) detail: Detail,
    pub(crate) traffic: Option<Traffic>,
    pub(crate) links: Links,
}

impl ObjectFacts {
    /// Its namespace; empty where it is given at deploy time.
    pub(crate) fn namespace(&self) -> &str {
        &self.object.namespace
    }

    /// Whether two objects may be in one namespace: one that is not written is given at deploy time, the same for all.
    pub(crate) fn may_share_namespace(&self, other: &Self) -> bool {
        may_be_one(self.namespace(), other.namespace())
    }

    /// Whether two objects are in one namespace, whatever is given at deploy time.
    pub(crate) fn shares_namespace(&self, other: &Self) -> bool {
        self.namespace() == other.namespace()
    }

    /// The namespace in which it looks for what it refers to.
    pub(crate) fn namespace_for<'n>(&'n self, reference: &'n Reference) -> &'n str {
        if reference.namespace.is_empty() { self.namespace() } else { &reference.namespace }
    }
}

/// The facts of an artifact; none for kinds that project rules do not look at.
pub(crate) fn facts(path: &Arc<str>, artifact: &Artifact<'_>) -> Option<ObjectFacts> {
    if artifact.kind != ArtifactKind::Kubernetes {
        return None;
    }
    let root = artifact.root;
    let group = api_group(root.text_of("apiVersion").unwrap_or_default());
    let spec = root.get("spec");
    let detail = match (artifact.object.kind.as_str(), group) {
        ("PodDisruptionBudget", "policy" | "") => {
            let selector = spec.and_then(|spec| spec.get("selector")).filter(|selector| !selector.is_null());
            Detail::DisruptionBudget {
                // In policy/v1beta1 an empty selector selects nothing.
                selector: selector
                    .map(Selector::read)
                    .filter(|selector| !selector.is_empty() || root.text_of("apiVersion") == Some("policy/v1")),
                selector_span: selector.or(spec).unwrap_or(root).place(),
                min_available: Spanned::of(spec.and_then(|spec| spec.get("minAvailable"))),
                max_unavailable: Spanned::of(spec.and_then(|spec| spec.get("maxUnavailable"))),
            }
        }
        ("HorizontalPodAutoscaler", "autoscaling") => autoscaler(spec.unwrap_or(root), false),
        ("ScaledObject", "keda.sh") => autoscaler(spec.unwrap_or(root), true),
        ("Service", "") => Detail::Service {
            selector: spec
                .and_then(|spec| spec.get("selector"))
                .map(|node| Selector { labels: labels(node), ..Selector::default() })
                .filter(|selector| !selector.is_empty()),
            selector_span: spec.and_then(|spec| spec.get("selector")).or(spec).unwrap_or(root).place(),
            ports: spec
                .and_then(|spec| spec.get("ports"))
                .into_iter()
                .flat_map(Node::items)
                .filter_map(|port| Spanned::of(port.get("targetPort").or_else(|| port.get("port"))))
                .collect(),
            face: network::service(artifact),
        },
        ("Kustomization", "kustomize.toolkit.fluxcd.io") if spec.is_some_and(|spec| spec.get("targetNamespace").is_some()) => {
            Detail::Delivery
        }
        ("HelmRelease" | "HelmChart", _) => Detail::Release,
        ("Application" | "ApplicationSet", "argoproj.io") => application(root),
        ("ServiceAccount", "") => service_account(root),
        ("RoleBinding" | "ClusterRoleBinding", "rbac.authorization.k8s.io") => binding(root),
        ("Role" | "ClusterRole", "rbac.authorization.k8s.io") => role(root),
        ("PriorityClass", "scheduling.k8s.io") if root.get("globalDefault").and_then(Node::as_bool) == Some(true) => {
            Detail::DefaultPriority
        }
        ("LimitRange", "") => Detail::LimitRange { fields: limit_range(spec.unwrap_or(root)) },
        _ => match pod_template(root) {
            Some(template) => workload(artifact, template),
            None => network::detail(artifact, group).or_else(|| pods::detail(artifact, group)).unwrap_or(Detail::Other),
        },
    };
    let name = root.at_path(&["metadata", "name"]).or_else(|| root.at_path(&["metadata", "generateName"]));
    Some(ObjectFacts {
        path: Arc::clone(path),
        group: group.to_owned(),
        object: artifact.object.clone(),
        name_span: name.unwrap_or(root).place(),
        namespace_span: root.at_path(&["metadata", "namespace"]).filter(|node| !node.is_null()).map(Node::place),
        generated_name: root.at_path(&["metadata", "name"]).is_none(),
        complete: artifact.complete,
        scope: artifact.scope,
        detail,
        traffic: traffic(artifact, group),
        links: links(artifact),
    })
}

/// Annotations by which a cloud knows an account.
const IDENTITIES: &[&str] = &["eks.amazonaws.com/role-arn", "iam.gke.io/gcp-service-account", "azure.workload.identity/client-id"];

fn service_account(root: Node<'_>) -> Detail {
    let annotations = root.at_path(&["metadata", "annotations"]);
    Detail::ServiceAccount {
        no_token: root.get("automountServiceAccountToken").and_then(Node::as_bool) == Some(false),
        identity: annotations.is_some_and(|annotations| IDENTITIES.iter().any(|key| annotations.get(key).is_some())),
    }
}

fn binding(root: Node<'_>) -> Detail {
    let role = |key| root.at_path(&["roleRef", key]).and_then(Node::text).unwrap_or_default().to_owned();
    let subjects = || root.get("subjects").into_iter().flat_map(Node::items);
    let text = |node: Node<'_>, key| node.text_of(key).unwrap_or_default().to_owned();
    Detail::Binding {
        role: (role("kind"), role("name")),
        accounts: subjects()
            .filter(|subject| subject.text_of("kind") == Some("ServiceAccount"))
            .map(|subject| (text(subject, "namespace"), text(subject, "name")))
            .collect(),
        people: subjects()
            .filter(|subject| subject.text_of("kind") != Some("ServiceAccount"))
            .map(|subject| (text(subject, "kind"), text(subject, "name")))
            .collect(),
    }
}

fn role(root: Node<'_>) -> Detail {
    const WRITES: &[&str] = &["get", "list", "create", "update", "patch", "delete"];
    let entries = || root.get("rules").into_iter().flat_map(Node::items);
    let has = |entry: Node<'_>, key, word: &str| entry.get(key).into_iter().flat_map(Node::items).any(|item| item.text() == Some(word));
    let unnamed = |entry: Node<'_>| entry.get("resourceNames").is_none_or(|names| names.items().next().is_none());
    Detail::Role {
        everything: entries().any(|entry| {
            let every_verb = has(entry, "verbs", "*") || WRITES.iter().all(|verb| has(entry, "verbs", verb));
            every_verb && ["apiGroups", "resources"].into_iter().all(|key| has(entry, key, "*")) && unnamed(entry)
        }),
        commands: entries().any(|entry| {
            let pods = ["pods/exec", "pods/attach"].iter().any(|resource| has(entry, "resources", resource));
            let core = has(entry, "apiGroups", "") || has(entry, "apiGroups", "*");
            core && pods && has(entry, "verbs", "*") && unnamed(entry)
        }),
        nothing: root.get("aggregationRule").is_none() && entries().next().is_none(),
    }
}

fn limit_range(spec: Node<'_>) -> Vec<String> {
    let mut fields = Vec::new();
    for limit in spec.get("limits").into_iter().flat_map(Node::items).filter(|limit| limit.text_of("type") == Some("Container")) {
        for kind in ["default", "defaultRequest"] {
            for (key, _) in limit.get(kind).into_iter().flat_map(Node::entries) {
                fields.push(format!("{kind}.{}", key.text().unwrap_or_default()));
            }
        }
    }
    // A default limit is the default request too.
    let more: Vec<String> =
        fields.iter().filter_map(|field| field.strip_prefix("default.").map(|resource| format!("defaultRequest.{resource}"))).collect();
    fields.extend(more);
    fields
}

fn application(root: Node<'_>) -> Detail {
    let spec = root.at_path(&["spec", "template", "spec"]).or_else(|| root.get("spec"));
    let differences = spec.and_then(|spec| spec.get("ignoreDifferences"));
    let covers = |difference: &Node<'_>| {
        ["jsonPointers", "jqPathExpressions"]
            .iter()
            .filter_map(|key| difference.get(key))
            .flat_map(Node::items)
            .filter_map(Node::text)
            .any(|path| matches!(path, "/spec/replicas" | ".spec.replicas"))
    };
    let text = |node: Node<'_>, key| node.text_of(key).unwrap_or_default().to_owned();
    Detail::Application {
        destination: spec.and_then(|spec| spec.get("destination")).map(|destination| text(destination, "namespace")).unwrap_or_default(),
        scaled_elsewhere: differences
            .into_iter()
            .flat_map(Node::items)
            .filter(covers)
            .map(|difference| (text(difference, "kind"), text(difference, "name")))
            .collect(),
    }
}

fn autoscaler(spec: Node<'_>, keda: bool) -> Detail {
    let target = spec.get("scaleTargetRef");
    let text = |key| target.and_then(|target| target.text_of(key)).unwrap_or_default();
    let mut metrics = Vec::new();
    if let Some(old) = spec.get("targetCPUUtilizationPercentage").filter(|node| !node.is_null()) {
        metrics.push(MetricFacts { resource: "cpu".to_owned(), target: "Utilization".to_owned(), container: None, span: old.place() });
    }
    for metric in spec.get("metrics").into_iter().flat_map(Node::items) {
        let Some(resource) = ["resource", "containerResource"].iter().find_map(|key| metric.get(key)) else { continue };
        let kind = resource.at_path(&["target", "type"]).and_then(Node::text);
        let utilization = resource.at_path(&["target", "averageUtilization"]).or_else(|| resource.get("targetAverageUtilization"));
        metrics.push(MetricFacts {
            resource: resource.text_of("name").unwrap_or_default().to_owned(),
            target: kind.unwrap_or(if utilization.is_some() { "Utilization" } else { "AverageValue" }).to_owned(),
            container: metric.get("containerResource").and_then(|resource| resource.text_of("container")).map(str::to_owned),
            span: resource.get("name").unwrap_or(resource).place(),
        });
    }
    let kind = text("kind");
    let api = text("apiVersion");
    Detail::Autoscaler {
        keda,
        target_group: if keda && api.is_empty() { "apps" } else { api_group(api) }.to_owned(),
        target_kind: if keda && kind.is_empty() { "Deployment" } else { kind }.to_owned(),
        target_name: Spanned::of(target.and_then(|target| target.get("name"))),
        min: match spec.get(if keda { "minReplicaCount" } else { "minReplicas" }) {
            Some(min) if !min.is_null() => min.as_int(),
            _ => Some(i64::from(!keda)),
        },
        metrics,
    }
}

fn workload(artifact: &Artifact<'_>, template: Node<'_>) -> Detail {
    let place = artifact.targets(TargetKind::Workload).next();
    let pod = template.get("spec");
    let containers = artifact
        .targets(TargetKind::Container)
        .map(|container| {
            let node = container.node;
            // A mesh replaces a container of this image by its own.
            let filled_in = container.image == "auto";
            let mut requests: Vec<String> = if filled_in { vec!["cpu".to_owned(), "memory".to_owned()] } else { Vec::new() };
            for list in ["requests", "limits"] {
                for (key, value) in container.get(&["resources", list]).into_iter().flat_map(Node::entries) {
                    if !value.is_null() {
                        requests.extend(key.text().map(str::to_owned));
                    }
                }
            }
            // What the pod requests as a whole covers its containers.
            for list in ["requests", "limits"] {
                for (key, _) in pod.and_then(|pod| pod.at_path(&["resources", list])).into_iter().flat_map(Node::entries) {
                    requests.extend(key.text().map(str::to_owned));
                }
            }
            ContainerFacts {
                name: container.object.container.clone(),
                role: container.role,
                span: node.place(),
                path: node.path(),
                ports: node
                    .get("ports")
                    .into_iter()
                    .flat_map(Node::items)
                    .map(|port| PortFacts {
                        name: port.text_of("name").unwrap_or_default().to_owned(),
                        number: port.get("containerPort").and_then(Node::as_int),
                    })
                    .collect(),
                has_readiness: container.get(&["readinessProbe"]).is_some(),
                complete: container.complete,
                requests,
                image: container.image.to_owned(),
                amounts: pods::amounts(node),
                pre_stop: pods::pre_stop(node),
            }
        })
        .collect();
    Detail::Workload(WorkloadFacts {
        labels: template.at_path(&["metadata", "labels"]).map(labels).unwrap_or_default(),
        replicas: place.and_then(|place| place.replicas),
        replicas_span: artifact.root.at_path(&["spec", "replicas"]).filter(|node| !node.is_null()).map(Node::place),
        long_running: place.is_some_and(|place| place.long_running),
        containers,
        pod: Box::new(pods::pod(artifact, template)),
    })
}

/// Sorts of objects that project rules look up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum FactSort {
    Workload,
    DisruptionBudget,
    Autoscaler,
    Service,
    ServiceAccount,
    Binding,
    Role,
    Entrance,
    Hosts,
    Mesh,
    Certificate,
    Issuer,
    LimitRange,
    DefaultPriority,
    Application,
    Delivery,
    NetworkPolicy,
    Route,
    Gateway,
    ServiceMonitor,
    PodMonitor,
    Namespace,
    Quota,
    Claim,
    ZonalStorage,
    VerticalAutoscaler,
    Config,
    Release,
    Given,
    Other,
}

impl Detail {
    /// What the object selects others by their labels with.
    pub(crate) fn selector(&self) -> Option<&Selector> {
        match self {
            Self::DisruptionBudget { selector, .. } | Self::Service { selector, .. } => selector.as_ref(),
            Self::NetworkPolicy(policy) => Some(&policy.selector),
            Self::Monitor(monitor) => Some(&monitor.selector),
            _ => None,
        }
    }

    pub(crate) fn sort(&self) -> FactSort {
        match self {
            Self::Workload(_) => FactSort::Workload,
            Self::DisruptionBudget { .. } => FactSort::DisruptionBudget,
            Self::Autoscaler { .. } => FactSort::Autoscaler,
            Self::Service { .. } => FactSort::Service,
            Self::ServiceAccount { .. } => FactSort::ServiceAccount,
            Self::Binding { .. } => FactSort::Binding,
            Self::Role { .. } => FactSort::Role,
            Self::LimitRange { .. } => FactSort::LimitRange,
            Self::DefaultPriority => FactSort::DefaultPriority,
            Self::Application { .. } => FactSort::Application,
            Self::Delivery => FactSort::Delivery,
            Self::NetworkPolicy(_) => FactSort::NetworkPolicy,
            Self::Route(_) => FactSort::Route,
            Self::Gateway(_) => FactSort::Gateway,
            Self::Monitor(monitor) if monitor.pods => FactSort::PodMonitor,
            Self::Monitor(_) => FactSort::ServiceMonitor,
            Self::Namespace { .. } => FactSort::Namespace,
            Self::Quota { .. } => FactSort::Quota,
            Self::Claim { .. } => FactSort::Claim,
            Self::ZonalStorage(_) => FactSort::ZonalStorage,
            Self::VerticalAutoscaler { .. } => FactSort::VerticalAutoscaler,
            Self::Config(_) => FactSort::Config,
            Self::Release => FactSort::Release,
            Self::Given(_) => FactSort::Given,
            Self::Other => FactSort::Other,
        }
    }
}
