//! Facts: what artifacts leave for rules that need several of them, grouped by what is deployed together.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::artifact::kubernetes::{api_group, pod_template};
use crate::artifact::{Artifact, Role, TargetKind, in_example_folder};
use crate::check::{Active, Draft};
use crate::finding::{Location, Object};
use crate::rule::{ArtifactKind, Rule, RuleSet};
use crate::source::Span;
use crate::syntax::Node;

/// A text and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Spanned {
    pub(crate) text: String,
    pub(crate) span: Span,
}

impl Spanned {
    fn of(node: Option<Node<'_>>) -> Option<Self> {
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
    fn read(node: Node<'_>) -> Self {
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

    /// Whether it selects an object with these labels; an empty selector selects everything. Labels with the `added`
    /// keys are put on by a build, on both sides alike.
    pub(crate) fn selects(&self, labels: &BTreeMap<String, String>, added: &BTreeSet<String>) -> bool {
        self.labels.iter().all(|(key, value)| labels.get(key).map_or(added.contains(key), |known| known == value))
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

fn labels(node: Node<'_>) -> BTreeMap<String, String> {
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
        ports: Vec<Spanned>,
    },
    /// Whether it keeps its token from pods, and whether it has a cloud identity.
    ServiceAccount {
        no_token: bool,
        identity: bool,
    },
    /// A binding: kind and name of the role, and the accounts (namespace, name) that get it.
    Binding {
        role: (String, String),
        accounts: Vec<(String, String)>,
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
    /// See `Place::complete`.
    pub(crate) complete: bool,
    pub(crate) detail: Detail,
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
            ports: spec
                .and_then(|spec| spec.get("ports"))
                .into_iter()
                .flat_map(Node::items)
                .filter_map(|port| Spanned::of(port.get("targetPort").or_else(|| port.get("port"))))
                .collect(),
        },
        ("Kustomization", "kustomize.toolkit.fluxcd.io") if spec.is_some_and(|spec| spec.get("targetNamespace").is_some()) => {
            Detail::Delivery
        }
        ("Application" | "ApplicationSet", "argoproj.io") => application(root),
        ("ServiceAccount", "") => service_account(root),
        ("RoleBinding" | "ClusterRoleBinding", "rbac.authorization.k8s.io") => binding(root),
        ("PriorityClass", "scheduling.k8s.io") if root.get("globalDefault").and_then(Node::as_bool) == Some(true) => {
            Detail::DefaultPriority
        }
        ("LimitRange", "") => Detail::LimitRange { fields: limit_range(spec.unwrap_or(root)) },
        _ => match pod_template(root) {
            Some(template) => workload(artifact, template),
            None => Detail::Other,
        },
    };
    let name = root.at_path(&["metadata", "name"]).or_else(|| root.at_path(&["metadata", "generateName"]));
    Some(ObjectFacts {
        path: Arc::clone(path),
        group: group.to_owned(),
        object: artifact.object.clone(),
        name_span: name.unwrap_or(root).place(),
        complete: artifact.complete,
        detail,
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
    let subjects = root.get("subjects").into_iter().flat_map(Node::items);
    let text = |node: Node<'_>, key| node.text_of(key).unwrap_or_default().to_owned();
    Detail::Binding {
        role: (role("kind"), role("name")),
        accounts: subjects
            .filter(|subject| subject.text_of("kind") == Some("ServiceAccount"))
            .map(|subject| (text(subject, "namespace"), text(subject, "name")))
            .collect(),
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
            }
        })
        .collect();
    Detail::Workload(WorkloadFacts {
        labels: template.at_path(&["metadata", "labels"]).map(labels).unwrap_or_default(),
        replicas: place.and_then(|place| place.replicas),
        replicas_span: artifact.root.at_path(&["spec", "replicas"]).filter(|node| !node.is_null()).map(Node::place),
        long_running: place.is_some_and(|place| place.long_running),
        containers,
    })
}

/// A fact of the group that would excuse a finding.
#[derive(Clone, Debug)]
pub(crate) struct Excuse {
    fact: &'static str,
    object: Object,
    /// The service account of the pods.
    account: String,
}

impl Excuse {
    pub(crate) const NAMES: &'static [&'static str] = &[
        "limit-range.default.cpu",
        "limit-range.default.memory",
        "limit-range.defaultRequest.cpu",
        "limit-range.defaultRequest.memory",
        "limit-range.default.ephemeral-storage",
        "limit-range.defaultRequest.ephemeral-storage",
        "default-priority",
        "autoscaled",
        "service-account.no-token",
        "service-account.bound",
        "service-account.unknown",
        "bound-in-namespaces",
        "namespace-given",
    ];

    pub(crate) fn new(fact: &str, artifact: &Artifact<'_>) -> Self {
        let fact = Self::NAMES.iter().copied().find(|name| *name == fact).unwrap_or("autoscaled");
        let pod = pod_template(artifact.root).and_then(|template| template.get("spec"));
        let named = pod.and_then(|pod| pod.text_of("serviceAccountName").or_else(|| pod.text_of("serviceAccount")));
        let account = named.filter(|name| !name.is_empty()).unwrap_or("default").to_owned();
        Self { fact, object: artifact.object.clone(), account }
    }

    fn holds(&self, path: &str, group: &Group<'_>) -> bool {
        let namespace = group.namespace(path, &self.object);
        let accounts = || {
            group
                .near(path, FactSort::ServiceAccount)
                .filter(|facts| facts.object.name == self.account && may_be_one(group.namespace_of(facts), namespace))
        };
        match self.fact {
            "service-account.no-token" => accounts().any(|facts| matches!(facts.detail, Detail::ServiceAccount { no_token: true, .. })),
            "service-account.bound" => {
                accounts().any(|facts| matches!(facts.detail, Detail::ServiceAccount { identity: true, .. }))
                    || group.gives_rights(path, namespace, &self.account)
            }
            "service-account.unknown" => self.account != "default" && accounts().next().is_none(),
            "bound-in-namespaces" => group.is_bound_in_namespaces_only(path, &self.object),
            // A build or a delivery tool puts objects into a namespace.
            "namespace-given" if self.object.namespace.is_empty() => {
                let delivered = |sort| group.near(path, sort).next().is_some();
                let given = !group.name.is_empty() || !namespace.is_empty();
                given || delivered(FactSort::Application) || delivered(FactSort::Delivery)
            }
            "namespace-given" => namespace != self.object.namespace,
            "default-priority" => group.near(path, FactSort::DefaultPriority).next().is_some(),
            fact => match fact.strip_prefix("limit-range.") {
                Some(field) => group.has_limit_range(path, namespace, field),
                None => group.scaling(path, namespace, &self.object).next().is_some(),
            },
        }
    }
}

/// What a kustomization does to its objects, as far as rules over several objects ask.
#[derive(Debug, Default)]
pub(crate) struct Build<'a> {
    /// The namespaces it sets, by path.
    pub(crate) namespaces: HashMap<&'a str, &'a str>,
    /// Keys of the labels it puts on pods and into selectors.
    pub(crate) labels: BTreeSet<String>,
    /// Whether what is deployed is not all known, such as a remote base or a chart.
    pub(crate) open: bool,
}

/// Objects that are deployed together.
pub(crate) struct Group<'a> {
    /// Name for several groups of one file; empty for plain manifests.
    pub(crate) name: String,
    pub(crate) build: Build<'a>,
    pub(crate) objects: Vec<&'a ObjectFacts>,
    /// Objects that project rules look up, by what they are.
    by_sort: BTreeMap<FactSort, Vec<&'a ObjectFacts>>,
    /// Workloads by name.
    by_name: HashMap<&'a str, Vec<&'a ObjectFacts>>,
    /// Autoscalers by the name of their target.
    by_target: HashMap<&'a str, Vec<&'a ObjectFacts>>,
    /// Disruption budgets and Services by a label that their selector asks for; those that ask for none under empty texts.
    by_label: HashMap<(&'a str, &'a str), Vec<(&'a ObjectFacts, &'a Selector)>>,
    /// The cuts that each path lies below, outermost first.
    chains: HashMap<&'a str, Vec<usize>>,
}

/// Sorts of objects that project rules look up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FactSort {
    Workload,
    DisruptionBudget,
    Autoscaler,
    Service,
    ServiceAccount,
    Binding,
    LimitRange,
    DefaultPriority,
    Application,
    Delivery,
    Other,
}

impl Detail {
    fn sort(&self) -> FactSort {
        match self {
            Self::Workload(_) => FactSort::Workload,
            Self::DisruptionBudget { .. } => FactSort::DisruptionBudget,
            Self::Autoscaler { .. } => FactSort::Autoscaler,
            Self::Service { .. } => FactSort::Service,
            Self::ServiceAccount { .. } => FactSort::ServiceAccount,
            Self::Binding { .. } => FactSort::Binding,
            Self::LimitRange { .. } => FactSort::LimitRange,
            Self::DefaultPriority => FactSort::DefaultPriority,
            Self::Application { .. } => FactSort::Application,
            Self::Delivery => FactSort::Delivery,
            Self::Other => FactSort::Other,
        }
    }
}

impl<'a> Group<'a> {
    /// A group; `cuts` are folders or files that are deployments of their own.
    pub(crate) fn new(name: String, build: Build<'a>, objects: Vec<&'a ObjectFacts>, cuts: &BTreeSet<String>) -> Self {
        let mut by_sort: BTreeMap<FactSort, Vec<&'a ObjectFacts>> = BTreeMap::new();
        let mut by_name: HashMap<&'a str, Vec<&'a ObjectFacts>> = HashMap::new();
        let mut by_target: HashMap<&'a str, Vec<&'a ObjectFacts>> = HashMap::new();
        let mut chains: HashMap<&'a str, Vec<usize>> = HashMap::new();
        let number: HashMap<&str, usize> = cuts.iter().enumerate().map(|(index, cut)| (cut.as_str(), index)).collect();
        for &facts in &objects {
            by_sort.entry(facts.detail.sort()).or_default().push(facts);
            match &facts.detail {
                Detail::Workload(_) => by_name.entry(&facts.object.name).or_default().push(facts),
                Detail::Autoscaler { target_name: Some(name), .. } => by_target.entry(&name.text).or_default().push(facts),
                _ => {}
            }
            if !cuts.is_empty() {
                chains.entry(&facts.path).or_insert_with(|| {
                    let ends = facts.path.match_indices('/').map(|(end, _)| end).chain([facts.path.len()]);
                    ends.filter_map(|end| number.get(facts.path.get(..end)?).copied()).collect()
                });
            }
        }
        let by_label = selecting_by_label(&objects, &build.labels);
        Self { name, build, objects, by_sort, by_name, by_target, by_label, chains }
    }

    /// The namespace of an object of a file after the build; empty where it is given at deploy time.
    fn namespace<'n>(&'n self, path: &str, object: &'n Object) -> &'n str {
        self.build.namespaces.get(path).copied().unwrap_or(&object.namespace)
    }

    pub(crate) fn namespace_of<'n>(&'n self, facts: &'n ObjectFacts) -> &'n str {
        self.namespace(&facts.path, &facts.object)
    }

    /// Whether two objects may be in one namespace: one that is not written is given at deploy time, the same for all.
    pub(crate) fn same_namespace(&self, a: &ObjectFacts, b: &ObjectFacts) -> bool {
        may_be_one(self.namespace_of(a), self.namespace_of(b))
    }

    /// Whether two objects are in one namespace, whatever is given at deploy time.
    pub(crate) fn surely_same_namespace(&self, a: &ObjectFacts, b: &ObjectFacts) -> bool {
        self.namespace_of(a) == self.namespace_of(b)
    }

    /// Whether files are deployed together: across a cut nobody sees anybody.
    fn together(&self, a: &str, b: &str) -> bool {
        let chain = |path| self.chains.get(path).map(Vec::as_slice).unwrap_or_default();
        a == b || self.chains.is_empty() || chain(a).iter().zip(chain(b)).all(|(a, b)| a == b)
    }

    /// Objects of a sort that are deployed together with those of a path.
    pub(crate) fn near(&self, path: &str, sort: FactSort) -> impl Iterator<Item = &'a ObjectFacts> {
        self.by_sort.get(&sort).into_iter().flatten().copied().filter(move |other| self.together(path, &other.path))
    }

    /// Workloads near a path.
    pub(crate) fn workloads(&self, path: &str) -> impl Iterator<Item = (&'a ObjectFacts, &'a WorkloadFacts)> {
        self.near(path, FactSort::Workload).filter_map(with_workload)
    }

    /// All objects of a sort, wherever they are.
    pub(crate) fn all(&self, sort: FactSort) -> impl Iterator<Item = &'a ObjectFacts> {
        self.by_sort.get(&sort).into_iter().flatten().copied()
    }

    /// The workloads that an autoscaler or another reference of a path may mean by a kind and a name.
    pub(crate) fn named(
        &self,
        from: &'a ObjectFacts,
        kind: &str,
        name: &str,
    ) -> impl Iterator<Item = (&'a ObjectFacts, &'a WorkloadFacts)> {
        let known = self.by_name.get(name).map(Vec::as_slice).unwrap_or_default();
        let is_meant = move |facts: &&ObjectFacts| {
            facts.object.kind == kind && self.together(&from.path, &facts.path) && self.same_namespace(from, facts)
        };
        known.iter().copied().filter(is_meant).filter_map(with_workload)
    }

    fn scaling(&self, path: &str, namespace: &str, object: &Object) -> impl Iterator<Item = &'a ObjectFacts> {
        let known = self.by_target.get(object.name.as_str()).map(Vec::as_slice).unwrap_or_default();
        known.iter().copied().filter(move |facts| {
            matches!(&facts.detail, Detail::Autoscaler { target_kind, .. } if *target_kind == object.kind)
                && self.together(path, &facts.path)
                && may_be_one(self.namespace_of(facts), namespace)
        })
    }

    /// The autoscalers that target a workload, and their least replicas where they are known.
    pub(crate) fn autoscalers(&self, of: &'a ObjectFacts) -> impl Iterator<Item = (&'a ObjectFacts, Option<i64>)> {
        self.scaling(&of.path, self.namespace_of(of), &of.object).filter_map(|facts| match &facts.detail {
            Detail::Autoscaler { min, .. } => Some((facts, min.filter(|_| facts.complete))),
            _ => None,
        })
    }

    /// Replicas after autoscalers: the least that a workload is brought to; none where that is not known.
    pub(crate) fn effective_replicas(&self, of: &'a ObjectFacts, workload: &WorkloadFacts) -> Option<i64> {
        let mut scaled = self.autoscalers(of).peekable();
        if scaled.peek().is_some() {
            return scaled.map(|(_, min)| min).min().flatten();
        }
        workload.replicas.filter(|_| of.complete)
    }

    /// The disruption budgets that may select the pods of a workload.
    pub(crate) fn budgets(&self, of: &'a ObjectFacts, workload: &'a WorkloadFacts) -> Vec<&'a ObjectFacts> {
        self.selecting(FactSort::DisruptionBudget, of, workload)
    }

    /// The Services that may send traffic to the pods of a workload.
    pub(crate) fn services(&self, of: &'a ObjectFacts, workload: &'a WorkloadFacts) -> Vec<&'a ObjectFacts> {
        self.selecting(FactSort::Service, of, workload)
    }

    fn selecting(&self, sort: FactSort, of: &'a ObjectFacts, workload: &'a WorkloadFacts) -> Vec<&'a ObjectFacts> {
        let labels = workload.labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).chain([("", "")]);
        let mut found: Vec<&'a ObjectFacts> = labels
            .filter_map(|label| self.by_label.get(&label))
            .flatten()
            .filter(|(facts, selector)| {
                facts.detail.sort() == sort
                    && selector.selects(&workload.labels, &self.build.labels)
                    && self.together(&of.path, &facts.path)
                    && self.same_namespace(of, facts)
            })
            .map(|(facts, _)| *facts)
            .collect();
        found.sort_by_key(|facts| (&facts.path, facts.name_span));
        found
    }

    /// Whether a binding near a path has an account as its subject.
    fn gives_rights(&self, path: &str, namespace: &str, account: &str) -> bool {
        self.near(path, FactSort::Binding).any(|facts| {
            let Detail::Binding { accounts, .. } = &facts.detail else { return false };
            accounts.iter().any(|(of, name)| {
                // A kustomization puts the accounts of its bindings into its namespace, too.
                name == account && (may_be_one(of, namespace) || may_be_one(self.namespace_of(facts), namespace))
            })
        })
    }

    /// Whether a `ClusterRole` is given to somebody, and always in one namespace only.
    fn is_bound_in_namespaces_only(&self, path: &str, object: &Object) -> bool {
        let mut bindings = self
            .near(path, FactSort::Binding)
            .filter(
                |facts| matches!(&facts.detail, Detail::Binding { role: (kind, name), .. } if *kind == object.kind && *name == object.name),
            )
            .peekable();
        bindings.peek().is_some() && bindings.all(|facts| facts.object.kind == "RoleBinding")
    }

    /// Whether a `LimitRange` of a namespace sets a field such as `default.memory`.
    pub(crate) fn has_limit_range(&self, path: &str, namespace: &str, field: &str) -> bool {
        self.near(path, FactSort::LimitRange)
            .filter(|facts| may_be_one(self.namespace_of(facts), namespace))
            .any(|facts| matches!(&facts.detail, Detail::LimitRange { fields } if fields.iter().any(|known| known == field)))
    }
}

fn may_be_one(a: &str, b: &str) -> bool {
    a == b || a.is_empty() || b.is_empty()
}

fn with_workload(facts: &ObjectFacts) -> Option<(&ObjectFacts, &WorkloadFacts)> {
    match &facts.detail {
        Detail::Workload(workload) => Some((facts, workload)),
        _ => None,
    }
}

/// What selects pods by the rarest label that its selector asks for, so that no label that all have makes each one look at all.
fn selecting_by_label<'a>(
    objects: &[&'a ObjectFacts],
    added: &BTreeSet<String>,
) -> HashMap<(&'a str, &'a str), Vec<(&'a ObjectFacts, &'a Selector)>> {
    let selecting = || {
        objects.iter().filter_map(|&facts| match &facts.detail {
            Detail::DisruptionBudget { selector: Some(selector), .. } | Detail::Service { selector: Some(selector), .. } => {
                Some((facts, selector))
            }
            _ => None,
        })
    };
    let labels = |selector: &'a Selector| {
        selector.labels.iter().filter(|(key, _)| !added.contains(*key)).map(|(key, value)| (key.as_str(), value.as_str()))
    };
    let mut count: HashMap<(&str, &str), usize> = HashMap::new();
    for label in selecting().flat_map(|(_, selector)| labels(selector)) {
        *count.entry(label).or_default() += 1;
    }
    let mut by_label: HashMap<(&'a str, &'a str), Vec<(&'a ObjectFacts, &'a Selector)>> = HashMap::new();
    for (facts, selector) in selecting() {
        let rarest = labels(selector).min_by_key(|label| count.get(label).copied().unwrap_or_default()).unwrap_or_default();
        by_label.entry(rarest).or_default().push((facts, selector));
    }
    by_label
}

/// Folders at which plain manifests are cut: where the same object stands twice, the highest folders that separate the two.
pub(crate) fn cuts(objects: &[&ObjectFacts]) -> BTreeSet<String> {
    let mut cuts = BTreeSet::new();
    let mut seen: HashMap<(&str, &str, &str, &str), Vec<&Arc<str>>> = HashMap::new();
    for facts in objects.iter().filter(|facts| !facts.object.name.is_empty()) {
        let object = &facts.object;
        let paths = seen.entry((&facts.group, &object.kind, &object.namespace, &object.name)).or_default();
        for earlier in paths.iter() {
            if **earlier == facts.path {
                continue;
            }
            let common = earlier.split('/').zip(facts.path.split('/')).take_while(|(a, b)| a == b).count();
            for path in [earlier.as_ref(), facts.path.as_ref()] {
                cuts.insert(path.split('/').take(common + 1).collect::<Vec<_>>().join("/"));
            }
        }
        if paths.last() != Some(&&facts.path) {
            paths.push(&facts.path);
        }
    }
    cuts
}

/// One rule at work on a group.
pub(crate) struct ProjectRun<'a> {
    pub(crate) group: &'a Group<'a>,
    pub(crate) rule: &'a Rule,
    pub(crate) active: &'a Active,
    /// Names that the configuration declares to exist elsewhere.
    pub(crate) externals: &'a [String],
    /// Kinds and names (empty for any) whose replicas a delivery tool leaves alone, from all groups: what delivers
    /// a group is seldom a part of it.
    pub(crate) scaled_elsewhere: &'a [(String, String)],
    pub(crate) drafts: Vec<Draft>,
}

impl ProjectRun<'_> {
    /// Adds a finding about an object and returns it for changes.
    #[expect(clippy::indexing_slicing, reason = "the vector was just pushed to")]
    pub(crate) fn report(&mut self, facts: &ObjectFacts, span: Span, path: &str, message: impl Into<String>) -> &mut Draft {
        let object = Object { path: path.to_owned(), ..facts.object.clone() };
        let mut draft = Draft::new(self.rule, self.active.index, &facts.path, span, object, message.into());
        draft.environment = (!self.group.name.is_empty()).then(|| self.group.name.clone());
        // Examples are often deployed as they are, but not always.
        if in_example_folder(&facts.path) {
            draft.confidence = draft.confidence.lower();
        }
        self.drafts.push(draft);
        let last = self.drafts.len() - 1;
        &mut self.drafts[last]
    }

    /// Whether the configuration says that `kind/name` (or `name`) exists elsewhere.
    pub(crate) fn is_external(&self, kind: &str, name: &str) -> bool {
        self.externals.iter().any(|external| {
            let (known_kind, known_name) = external.split_once('/').unwrap_or(("", external));
            (known_kind.is_empty() || known_kind.eq_ignore_ascii_case(kind)) && known_name == name
        })
    }
}

/// A place to point at beside the main one.
pub(crate) fn location(facts: &ObjectFacts, span: Span) -> Location {
    Location { path: Arc::clone(&facts.path), span }
}

/// The drafts that no fact of their group excuses.
pub(crate) fn not_excused(groups: &[Group<'_>], drafts: Vec<Draft>) -> Vec<Draft> {
    let mut of_path: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, group) in groups.iter().enumerate() {
        for facts in &group.objects {
            let known = of_path.entry(&facts.path).or_default();
            if known.last() != Some(&index) {
                known.push(index);
            }
        }
    }
    drafts
        .into_iter()
        .filter(|draft| {
            let homes = of_path.get(&*draft.location.path).map(Vec::as_slice).unwrap_or_default();
            let excused = |index: &usize| {
                groups.get(*index).is_some_and(|group| draft.unless.iter().any(|excuse| excuse.holds(&draft.location.path, group)))
            };
            homes.is_empty() || !homes.iter().all(excused)
        })
        .collect()
}

/// Runs the project checks over the groups.
pub(crate) fn link(groups: &[Group<'_>], rules: &RuleSet, active: &[Active], externals: &[String]) -> Vec<Draft> {
    let scaled_elsewhere: Vec<(String, String)> = groups
        .iter()
        .flat_map(|group| group.all(FactSort::Application))
        .filter_map(|facts| if let Detail::Application { scaled_elsewhere, .. } = &facts.detail { Some(scaled_elsewhere) } else { None })
        .flatten()
        .cloned()
        .collect();
    let mut drafts = Vec::new();
    for group in groups {
        for active in active {
            let Some(rule) = rules.rules().get(active.index) else { continue };
            for check in &rule.checks {
                if let crate::check::Check::Native(crate::check::Native::Project(_, function)) = check {
                    let mut run = ProjectRun { group, rule, active, externals, scaled_elsewhere: &scaled_elsewhere, drafts: Vec::new() };
                    function(&mut run);
                    drafts.append(&mut run.drafts);
                }
            }
        }
    }
    drafts
}
