//! What is known of the types of Kubernetes: by which fields the items of their lists are merged, and which stand
//! outside of namespaces.

use super::object::split_version;
use crate::environment::Value;

/// A part of a type for merging.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape<'a> {
    /// Lists are replaced.
    Unknown,
    Known(&'static [Field]),
    /// A schema of `OpenAPI`, and the definitions it refers to.
    Custom {
        definitions: &'a Value,
        schema: &'a Value,
    },
}

/// A field below which something is merged by keys.
#[derive(Debug)]
pub(super) struct Field {
    name: &'static str,
    inner: &'static [Field],
    /// The keys of a list that is merged; none for a list of plain values.
    merge: Option<&'static [&'static str]>,
}

/// A mapping with fields that are known.
const fn map(name: &'static str, inner: &'static [Field]) -> Field {
    Field { name, inner, merge: None }
}

/// A list whose items are merged by keys.
const fn list(name: &'static str, keys: &'static [&'static str], inner: &'static [Field]) -> Field {
    Field { name, inner, merge: Some(keys) }
}

const METADATA: Field = map("metadata", &[list("finalizers", &[], &[]), list("ownerReferences", &["uid"], &[])]);

const CONTAINER: &[Field] = &[
    list("env", &["name"], &[]),
    list("ports", &["containerPort", "protocol"], &[]),
    list("volumeDevices", &["devicePath"], &[]),
    list("volumeMounts", &["mountPath"], &[]),
];

const EPHEMERAL_CONTAINER: &[Field] =
    &[list("env", &["name"], &[]), list("volumeDevices", &["devicePath"], &[]), list("volumeMounts", &["mountPath"], &[])];

const VOLUME: &[Field] = &[map("ephemeral", &[map("volumeClaimTemplate", &[METADATA])])];

const POD_SPEC: &[Field] = &[
    list("containers", &["name"], CONTAINER),
    list("initContainers", &["name"], CONTAINER),
    list("ephemeralContainers", &["name"], EPHEMERAL_CONTAINER),
    list("hostAliases", &["ip"], &[]),
    list("imagePullSecrets", &["name"], &[]),
    list("topologySpreadConstraints", &["topologyKey", "whenUnsatisfiable"], &[]),
    list("volumes", &["name"], VOLUME),
];

const POD_TEMPLATE: &[Field] = &[METADATA, map("spec", POD_SPEC)];
const STATUS: Field = map("status", &[list("conditions", &["type"], &[])]);
const PLAIN: &[Field] = &[METADATA];
const WORKLOAD: &[Field] = &[METADATA, map("spec", &[map("template", POD_TEMPLATE)]), STATUS];
const CRON_JOB: &[Field] = &[METADATA, map("spec", &[map("jobTemplate", &[METADATA, map("spec", &[map("template", POD_TEMPLATE)])])])];
const POD: &[Field] = &[METADATA, map("spec", POD_SPEC), STATUS];
const POD_TEMPLATE_OBJECT: &[Field] = &[METADATA, map("template", POD_TEMPLATE)];
const SERVICE: &[Field] = &[METADATA, map("spec", &[list("ports", &["port", "protocol"], &[])]), STATUS];
const SERVICE_ACCOUNT: &[Field] = &[METADATA, list("secrets", &["name"], &[])];
const WEBHOOKS: &[Field] = &[METADATA, list("webhooks", &["name"], &[])];
const NODE: &[Field] = &[METADATA, map("spec", &[list("podCIDRs", &[], &[])]), STATUS];
const CSI_NODE: &[Field] = &[METADATA, map("spec", &[list("drivers", &["name"], &[])])];

/// The groups and versions whose types are known, and their kinds: of namespaces first, then of the whole cluster.
const TYPES: &[(&str, &[&str], &[&str])] = &[
    (
        "v1",
        &[
            "Binding",
            "ConfigMap",
            "Endpoints",
            "Event",
            "LimitRange",
            "PersistentVolumeClaim",
            "Pod",
            "PodTemplate",
            "ReplicationController",
            "ResourceQuota",
            "Secret",
            "Service",
            "ServiceAccount",
        ],
        &["ComponentStatus", "Namespace", "Node", "NodeProxyOptions", "PersistentVolume"],
    ),
    ("admissionregistration.k8s.io/v1", &[], &["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"]),
    ("admissionregistration.k8s.io/v1beta1", &[], &["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"]),
    ("apiextensions.k8s.io/v1", &[], &["CustomResourceDefinition"]),
    ("apiextensions.k8s.io/v1beta1", &[], &["CustomResourceDefinition"]),
    ("apiregistration.k8s.io/v1", &[], &["APIService"]),
    ("apiregistration.k8s.io/v1beta1", &[], &["APIService"]),
    ("apps/v1", &["ControllerRevision", "DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"], &[]),
    ("autoscaling/v1", &["HorizontalPodAutoscaler"], &[]),
    ("autoscaling/v2beta1", &["HorizontalPodAutoscaler"], &[]),
    ("autoscaling/v2beta2", &["HorizontalPodAutoscaler"], &[]),
    ("batch/v1", &["CronJob", "Job"], &[]),
    ("batch/v1beta1", &["CronJob"], &[]),
    ("certificates.k8s.io/v1", &[], &["CertificateSigningRequest"]),
    ("certificates.k8s.io/v1beta1", &[], &["CertificateSigningRequest"]),
    ("coordination.k8s.io/v1", &["Lease"], &[]),
    ("discovery.k8s.io/v1", &["EndpointSlice"], &[]),
    ("discovery.k8s.io/v1beta1", &["EndpointSlice"], &[]),
    ("extensions/v1beta1", &["Ingress"], &[]),
    ("flowcontrol.apiserver.k8s.io/v1beta1", &[], &["FlowSchema", "PriorityLevelConfiguration"]),
    ("networking.k8s.io/v1", &["Ingress", "NetworkPolicy"], &["IngressClass"]),
    ("networking.k8s.io/v1beta1", &["Ingress"], &["IngressClass"]),
    ("node.k8s.io/v1", &[], &["RuntimeClass"]),
    ("node.k8s.io/v1beta1", &[], &["RuntimeClass"]),
    ("policy/v1", &["PodDisruptionBudget"], &[]),
    ("policy/v1beta1", &["PodDisruptionBudget"], &["PodSecurityPolicy"]),
    ("rbac.authorization.k8s.io/v1", &["Role", "RoleBinding"], &["ClusterRole", "ClusterRoleBinding"]),
    ("rbac.authorization.k8s.io/v1beta1", &["Role", "RoleBinding"], &["ClusterRole", "ClusterRoleBinding"]),
    ("scheduling.k8s.io/v1", &[], &["PriorityClass"]),
    ("scheduling.k8s.io/v1beta1", &[], &["PriorityClass"]),
    ("storage.k8s.io/v1", &[], &["CSIDriver", "CSINode", "StorageClass", "VolumeAttachment"]),
    ("storage.k8s.io/v1beta1", &["CSIStorageCapacity"], &["CSIDriver", "CSINode", "StorageClass", "VolumeAttachment"]),
];

/// Whether objects of a type certainly have no namespace.
pub(super) fn is_cluster_scoped(api_version: &str, kind: &str) -> bool {
    TYPES.iter().any(|(version, _, kinds)| *version == api_version && kinds.contains(&kind))
}

/// The shape of the objects of a type; `definitions` are those of the `OpenAPI` document that stands in for what is known.
pub(super) fn shape<'a>(api_version: &str, kind: &str, definitions: Option<&'a Value>) -> Shape<'a> {
    if let Some(definitions) = definitions {
        let (group, version) = split_version(api_version);
        let named = |schema: &Value| {
            schema.items_of("x-kubernetes-group-version-kind").iter().any(|name| {
                let is = |key: &str, text: &str| name.text_of(key).unwrap_or_default() == text;
                is("group", group) && is("version", version) && is("kind", kind)
            })
        };
        return match definitions.entries().iter().find(|(_, schema)| named(schema)) {
            Some((_, schema)) => Shape::Custom { definitions, schema },
            None => Shape::Unknown,
        };
    }
    let known =
        TYPES.iter().any(|(version, spaced, cluster)| *version == api_version && (spaced.contains(&kind) || cluster.contains(&kind)));
    if !known {
        return Shape::Unknown;
    }
    Shape::Known(match kind {
        "Pod" => POD,
        "PodTemplate" => POD_TEMPLATE_OBJECT,
        "DaemonSet" | "Deployment" | "ReplicaSet" | "ReplicationController" | "StatefulSet" | "Job" => WORKLOAD,
        "CronJob" => CRON_JOB,
        "Service" => SERVICE,
        "ServiceAccount" => SERVICE_ACCOUNT,
        "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration" => WEBHOOKS,
        "Node" => NODE,
        "CSINode" => CSI_NODE,
        _ => PLAIN,
    })
}

/// How the items of a list are merged, and what they are.
pub(super) struct Items<'a> {
    pub(super) keys: Vec<&'a str>,
    pub(super) shape: Shape<'a>,
}

impl<'a> Shape<'a> {
    /// The shape of a field, and how it is merged where it is a list.
    pub(super) fn field(self, name: &str) -> (Shape<'a>, Option<Items<'a>>) {
        match self {
            Self::Unknown => (Self::Unknown, None),
            Self::Known(fields) => match fields.iter().find(|field| field.name == name) {
                Some(field) => {
                    (Self::Known(field.inner), field.merge.map(|keys| Items { keys: keys.to_vec(), shape: Self::Known(field.inner) }))
                }
                None => (Self::Unknown, None),
            },
            Self::Custom { definitions, schema } => {
                let written =
                    schema.get("properties").and_then(|properties| properties.get(name)).or_else(|| schema.get("additionalProperties"));
                let Some(schema) = written.and_then(|schema| resolve(definitions, schema)) else { return (Self::Unknown, None) };
                let merged = schema
                    .text_of("x-kubernetes-patch-strategy")
                    .is_some_and(|strategy| strategy.split(',').any(|strategy| strategy == "merge"));
                let items = merged.then(|| {
                    let listed: Vec<&str> = schema.items_of("x-kubernetes-list-map-keys").iter().filter_map(Value::text).collect();
                    let keys =
                        if listed.is_empty() { schema.text_of("x-kubernetes-patch-merge-key").into_iter().collect() } else { listed };
                    let inner = schema.get("items").and_then(|items| resolve(definitions, items));
                    Items { keys, shape: inner.map_or(Self::Unknown, |schema| Self::Custom { definitions, schema }) }
                });
                (Self::Custom { definitions, schema }, items)
            }
        }
    }
}

/// A schema, or the definition it refers to.
fn resolve<'a>(definitions: &'a Value, mut schema: &'a Value) -> Option<&'a Value> {
    for _ in 0..16 {
        match schema.text_of("$ref").and_then(|target| target.rsplit('/').next()) {
            Some(target) => schema = definitions.get(target)?,
            None => return Some(schema),
        }
    }
    None
}
