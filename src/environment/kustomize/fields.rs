//! Fields of objects by kind and path, which transformers set: those known and those of `configurations` and `crds`.

use std::rc::Rc;

use super::object::{Object, Type, made_key};
use crate::environment::Value;
use crate::source::Span;

/// A field of the objects of a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FieldSpec {
    pub(super) of: Type,
    pub(super) path: Vec<Box<str>>,
    pub(super) create: bool,
}

/// What a field is set to where it is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    Skip,
    Scalar(Span),
    Mapping(Span),
}

/// Fields that hold the name of an object of a type.
#[derive(Clone, Debug)]
pub(super) struct Reference {
    pub(super) target: Type,
    pub(super) fields: Vec<FieldSpec>,
}

/// Which fields the transformers of a kustomization set.
#[derive(Clone, Debug, Default)]
pub(super) struct Config {
    pub(super) prefix: Vec<FieldSpec>,
    pub(super) suffix: Vec<FieldSpec>,
    pub(super) namespace: Vec<FieldSpec>,
    /// Labels that selectors have, too.
    pub(super) common_labels: Vec<FieldSpec>,
    pub(super) labels: Vec<FieldSpec>,
    pub(super) template_labels: Vec<FieldSpec>,
    pub(super) annotations: Vec<FieldSpec>,
    pub(super) references: Vec<Reference>,
    pub(super) variables: Vec<FieldSpec>,
    pub(super) images: Vec<FieldSpec>,
    pub(super) replicas: Vec<FieldSpec>,
}

/// The keys of a path that is separated by slashes; `\/` is a slash of a key.
pub(super) fn split(path: &str, separator: char) -> Vec<Box<str>> {
    let mut keys: Vec<String> = Vec::new();
    for part in path.strip_prefix(separator).filter(|rest| !rest.is_empty()).unwrap_or(path).split(separator) {
        match keys.last_mut() {
            Some(last) if last.ends_with('\\') => {
                last.pop();
                last.push(separator);
                last.push_str(part);
            }
            _ => keys.push(part.to_owned()),
        }
    }
    keys.into_iter().map(Into::into).collect()
}

impl FieldSpec {
    fn new(of: Type, path: &str, create: bool) -> Self {
        Self { of, path: split(path, '/'), create }
    }

    /// A field of every object, which is made where it is missing.
    pub(super) fn of_all(path: &str) -> Self {
        Self::new(Type::default(), path, true)
    }

    /// The specification as users write it.
    pub(super) fn read(value: &Value) -> Option<Self> {
        let path = value.text_of("path").filter(|path| !path.is_empty())?;
        Some(Self::new(Type::read(value), path, value.flag("create")))
    }

    /// Calls `set` for each place of an object that the specification means.
    pub(super) fn visit(&self, object: &mut Object, missing: Missing, set: &mut dyn FnMut(&mut Value)) {
        if object.is(&self.of) {
            visit(&mut object.value, &self.path, if self.create { missing } else { Missing::Skip }, set);
        }
    }
}

/// Calls `set` for each value at a path; lists on the way are gone through.
pub(super) fn visit(value: &mut Value, path: &[Box<str>], missing: Missing, set: &mut dyn FnMut(&mut Value)) {
    let Some((key, rest)) = path.split_first() else {
        set(value);
        return;
    };
    match value {
        Value::Sequence { items, .. } => items.iter_mut().for_each(|item| visit(item, path, missing, set)),
        Value::Mapping { .. } => {
            let (key, missing) = match key.strip_suffix("[]") {
                // What is said to be a list is not made.
                Some(key) => (key, if value.get(key).is_some() { missing } else { Missing::Skip }),
                None => (&**key, missing),
            };
            if missing != Missing::Skip && value.get(key).is_none_or(Value::is_null) {
                let (span, made) = match missing {
                    Missing::Scalar(span) if rest.is_empty() => (span, Value::Scalar(made_key("", span))),
                    Missing::Scalar(span) | Missing::Mapping(span) => (span, Value::mapping(span)),
                    Missing::Skip => return,
                };
                value.set(made_key(key, span), made);
            }
            if let Some(inner) = value.get_mut(key) {
                visit(inner, rest, missing, set);
            }
        }
        Value::Scalar(_) => {}
    }
}

/// Adds specifications that are not covered yet, particular ones before general ones.
pub(super) fn add(known: &mut Vec<FieldSpec>, more: &[FieldSpec]) {
    let mut more: Vec<&FieldSpec> = more.iter().collect();
    more.sort_by_key(|spec| (spec.of.kind.is_empty(), spec.of.group.is_empty(), spec.of.version.is_empty()));
    for spec in more {
        let covered = |old: &FieldSpec| old.path == spec.path && spec.of.selects(&old.of.group, &old.of.version, &old.of.kind);
        if !known.iter().any(covered) {
            known.push(spec.clone());
        }
    }
}

impl Config {
    /// The fields that are known without any configuration.
    pub(super) fn known() -> Rc<Self> {
        thread_local! {
            static KNOWN: Rc<Config> = Rc::new(known());
        }
        KNOWN.with(Rc::clone)
    }

    /// The known fields and those of configurations. The particular ones come first, so that they replace a general one
    /// of the same path.
    pub(super) fn with(configurations: &[Self]) -> Rc<Self> {
        if configurations.is_empty() {
            return Self::known();
        }
        let mut all = Self::default();
        for config in configurations.iter().chain([&*Self::known()]) {
            all.add(config);
        }
        Rc::new(all)
    }

    /// Adds the fields that another kustomization has.
    pub(super) fn merge(self: &mut Rc<Self>, other: &Rc<Self>) {
        if Rc::ptr_eq(self, other) {
            return;
        }
        // Nothing is gathered yet; what comes first holds the known fields.
        if self.references.is_empty() {
            *self = Rc::clone(other);
            return;
        }
        Rc::make_mut(self).add(other);
    }

    fn add(&mut self, other: &Self) {
        let own = self;
        let lists: [(&mut Vec<FieldSpec>, &Vec<FieldSpec>); 10] = [
            (&mut own.prefix, &other.prefix),
            (&mut own.suffix, &other.suffix),
            (&mut own.namespace, &other.namespace),
            (&mut own.common_labels, &other.common_labels),
            (&mut own.labels, &other.labels),
            (&mut own.template_labels, &other.template_labels),
            (&mut own.annotations, &other.annotations),
            (&mut own.variables, &other.variables),
            (&mut own.images, &other.images),
            (&mut own.replicas, &other.replicas),
        ];
        for (known, more) in lists {
            add(known, more);
        }
        for reference in &other.references {
            own.refer(reference);
        }
    }

    fn refer(&mut self, reference: &Reference) {
        match self.references.iter_mut().find(|known| known.target == reference.target) {
            Some(known) => add(&mut known.fields, &reference.fields),
            None => self.references.push(reference.clone()),
        }
    }

    /// A file of `configurations`.
    pub(super) fn read(value: &Value) -> Self {
        let specs = |key: &str| value.items_of(key).iter().filter_map(FieldSpec::read).collect::<Vec<_>>();
        Self {
            prefix: specs("namePrefix"),
            suffix: specs("nameSuffix"),
            namespace: specs("namespace"),
            common_labels: specs("commonLabels"),
            labels: specs("labels"),
            template_labels: specs("templateLabels"),
            annotations: specs("commonAnnotations"),
            references: value
                .items_of("nameReference")
                .iter()
                .map(|item| Reference {
                    target: Type::read(item),
                    fields: item.items_of("fieldSpecs").iter().filter_map(FieldSpec::read).collect(),
                })
                .collect(),
            variables: specs("varReference"),
            images: specs("images"),
            replicas: specs("replicas"),
        }
    }

    /// A file of `crds`: types of `OpenAPI`, whose fields say what they mean.
    pub(super) fn read_types(definitions: &Value) -> Self {
        let mut config = Self::default();
        let properties = |name: &str| {
            let schema = definitions.get(name)?.get("Schema").or_else(|| definitions.get(name)?.get("schema"))?;
            schema.get("properties")
        };
        for (name, _) in definitions.entries() {
            let Some(fields) = properties(&name.text) else { continue };
            if ["kind", "apiVersion", "metadata"].iter().any(|key| fields.get(key).is_none()) {
                continue;
            }
            let kind = name.text.rsplit('.').next().unwrap_or_default();
            let of = Type { kind: kind.into(), ..Type::default() };
            // Types may refer to themselves, so each is looked at once on a way.
            let mut todo: Vec<(Vec<Box<str>>, &str, usize)> = vec![(Vec::new(), &name.text, 0)];
            let mut steps = 0;
            while let Some((path, name, depth)) = todo.pop() {
                for (key, field) in properties(name).map(Value::entries).unwrap_or_default() {
                    steps += 1;
                    if steps > 10_000 {
                        return config;
                    }
                    let mut path = path.clone();
                    path.push(key.text.clone());
                    let spec = |path: &[Box<str>]| FieldSpec { of: of.clone(), path: path.to_vec(), create: false };
                    if field.get("x-kubernetes-annotation").is_some() {
                        config.annotations.push(spec(&path));
                    }
                    if field.get("x-kubernetes-label-selector").is_some() {
                        config.common_labels.push(spec(&path));
                    }
                    if field.get("x-kubernetes-identity").is_some() {
                        config.prefix.push(spec(&path));
                    }
                    let target = field.text_of("x-kubernetes-object-ref-kind").zip(field.text_of("x-kubernetes-object-ref-api-version"));
                    if let Some((kind, version)) = target {
                        let mut path = path.clone();
                        path.push(field.text_of("x-kubernetes-object-ref-name-key").unwrap_or("name").into());
                        let target = Type { group: "".into(), version: version.into(), kind: kind.into() };
                        config.refer(&Reference { target, fields: vec![spec(&path)] });
                    }
                    if let Some(inner) = field.text_of("$ref").filter(|_| depth < 16) {
                        todo.push((path, inner, depth + 1));
                    }
                }
            }
        }
        config
    }
}

/// Kinds that make pods, and where their pods' specification begins; the second table also knows the older ones.
const POD_MAKERS: &[(&str, &str)] = &[
    ("Pod", "spec"),
    ("PodTemplate", "template/spec"),
    ("Deployment", "spec/template/spec"),
    ("ReplicaSet", "spec/template/spec"),
    ("DaemonSet", "spec/template/spec"),
    ("StatefulSet", "spec/template/spec"),
    ("Job", "spec/template/spec"),
    ("CronJob", "spec/jobTemplate/spec/template/spec"),
];
const OWNERS: &[(&str, &str)] = &[
    ("Pod", "spec"),
    ("StatefulSet", "spec/template/spec"),
    ("Deployment", "spec/template/spec"),
    ("ReplicationController", "spec/template/spec"),
    ("CronJob", "spec/jobTemplate/spec/template/spec"),
    ("Job", "spec/template/spec"),
    ("DaemonSet", "spec/template/spec"),
];

fn of(kind: &str) -> Type {
    of_group("", "", kind)
}

fn of_group(group: &str, version: &str, kind: &str) -> Type {
    Type { group: group.into(), version: version.into(), kind: kind.into() }
}

fn below(makers: &[(&str, &str)], paths: &[&str]) -> Vec<FieldSpec> {
    let spec = |(kind, root): &(&str, &str), path: &str| FieldSpec::new(of(kind), &format!("{root}/{path}"), false);
    makers.iter().flat_map(|maker| paths.iter().map(move |path| spec(maker, path))).collect()
}

fn at(kind: &str, paths: &[&str]) -> Vec<FieldSpec> {
    paths.iter().map(|path| FieldSpec::new(of(kind), path, false)).collect()
}

fn known() -> Config {
    const RBAC: &str = "rbac.authorization.k8s.io";
    let name = || vec![FieldSpec::new(Type::default(), "metadata/name", false)];
    let selectors = |group: &str, kind: &str, create: bool, paths: &[&str]| -> Vec<FieldSpec> {
        paths.iter().map(|path| FieldSpec::new(of_group(group, "", kind), path, create)).collect()
    };
    let on_templates = |what: &str, groups: &[(&str, &str, &str)]| {
        let mut specs = vec![FieldSpec::of_all(&format!("metadata/{what}"))];
        for (group, version, kind) in groups {
            let roots: &[&str] = match *kind {
                "CronJob" => &["spec/jobTemplate", "spec/jobTemplate/spec/template"],
                _ => &["spec/template"],
            };
            specs.extend(roots.iter().map(|root| FieldSpec::new(of_group(group, version, kind), &format!("{root}/metadata/{what}"), true)));
        }
        specs
    };
    let mut template_labels = on_templates(
        "labels",
        &[
            ("", "v1", "ReplicationController"),
            ("", "", "Deployment"),
            ("", "", "ReplicaSet"),
            ("", "", "DaemonSet"),
            ("apps", "", "StatefulSet"),
            ("batch", "", "Job"),
            ("batch", "", "CronJob"),
        ],
    );
    template_labels.push(FieldSpec::new(of_group("apps", "", "StatefulSet"), "spec/volumeClaimTemplates[]/metadata/labels", true));
    let mut common_labels = vec![
        FieldSpec::new(of_group("", "v1", "Service"), "spec/selector", true),
        FieldSpec::new(of_group("", "v1", "ReplicationController"), "spec/selector", true),
    ];
    for (group, kind) in [("", "Deployment"), ("", "ReplicaSet"), ("", "DaemonSet"), ("apps", "StatefulSet")] {
        common_labels.extend(selectors(group, kind, true, &["spec/selector/matchLabels"]));
    }
    for kind in ["Deployment", "StatefulSet"] {
        common_labels.extend(selectors(
            "apps",
            kind,
            false,
            &[
                "spec/template/spec/affinity/podAffinity/preferredDuringSchedulingIgnoredDuringExecution/podAffinityTerm/labelSelector/matchLabels",
                "spec/template/spec/affinity/podAffinity/requiredDuringSchedulingIgnoredDuringExecution/labelSelector/matchLabels",
                "spec/template/spec/affinity/podAntiAffinity/preferredDuringSchedulingIgnoredDuringExecution/podAffinityTerm/labelSelector/matchLabels",
                "spec/template/spec/affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution/labelSelector/matchLabels",
                "spec/template/spec/topologySpreadConstraints/labelSelector/matchLabels",
            ],
        ));
    }
    common_labels.extend(selectors("batch", "Job", false, &["spec/selector/matchLabels"]));
    common_labels.extend(selectors("batch", "CronJob", false, &["spec/jobTemplate/spec/selector/matchLabels"]));
    common_labels.extend(selectors("policy", "PodDisruptionBudget", false, &["spec/selector/matchLabels"]));
    common_labels.extend(selectors(
        "networking.k8s.io",
        "NetworkPolicy",
        false,
        &["spec/podSelector/matchLabels", "spec/ingress/from/podSelector/matchLabels", "spec/egress/to/podSelector/matchLabels"],
    ));
    common_labels.extend(template_labels.iter().cloned());
    let annotations = on_templates(
        "annotations",
        &[
            ("", "v1", "ReplicationController"),
            ("", "", "Deployment"),
            ("", "", "ReplicaSet"),
            ("", "", "DaemonSet"),
            ("", "", "StatefulSet"),
            ("batch", "", "Job"),
            ("batch", "", "CronJob"),
        ],
    );
    let mut namespace = vec![
        FieldSpec::new(of("Namespace"), "metadata/name", true),
        FieldSpec::new(of_group("apiregistration.k8s.io", "", "APIService"), "spec/service/namespace", true),
    ];
    namespace.push(FieldSpec::new(
        of_group("apiextensions.k8s.io", "", "CustomResourceDefinition"),
        "spec/conversion/webhook/clientConfig/service/namespace",
        false,
    ));
    let pods = ["spec", "spec/template/spec"];
    let image_paths = ["containers[]/image", "initContainers[]/image", "volumes[]/image/reference"];
    let images = pods.iter().flat_map(|root| image_paths.iter().map(move |path| FieldSpec::of_all(&format!("{root}/{path}")))).collect();
    let replicas = ["Deployment", "ReplicationController", "ReplicaSet", "StatefulSet"]
        .iter()
        .map(|kind| FieldSpec::new(of(kind), "spec/replicas", true))
        .collect();
    Config {
        prefix: name(),
        suffix: name(),
        namespace,
        common_labels,
        labels: Vec::new(),
        template_labels,
        annotations,
        references: references(RBAC),
        variables: variables(),
        images,
        replicas,
    }
}

fn references(rbac: &str) -> Vec<Reference> {
    let mut found = Vec::new();
    let mut refer = |target: Type, fields: Vec<FieldSpec>| found.push(Reference { target, fields });
    for kind in ["Deployment", "ReplicationController", "ReplicaSet", "StatefulSet"] {
        refer(of(kind), at("HorizontalPodAutoscaler", &["spec/scaleTargetRef/name"]));
    }
    let mut fields = below(
        POD_MAKERS,
        &[
            "volumes/configMap/name",
            "containers/env/valueFrom/configMapKeyRef/name",
            "initContainers/env/valueFrom/configMapKeyRef/name",
            "containers/envFrom/configMapRef/name",
            "initContainers/envFrom/configMapRef/name",
            "volumes/projected/sources/configMap/name",
        ],
    );
    fields.extend(at("Node", &["spec/configSource/configMap"]));
    fields.extend(at("Role", &["rules/resourceNames"]));
    fields.extend(at("ClusterRole", &["rules/resourceNames"]));
    fields.extend(at("Ingress", &["metadata/annotations/nginx.ingress.kubernetes.io\\/fastcgi-params-configmap"]));
    refer(of_group("", "v1", "ConfigMap"), fields);

    let mut fields = below(
        POD_MAKERS,
        &[
            "volumes/secret/secretName",
            "containers/env/valueFrom/secretKeyRef/name",
            "initContainers/env/valueFrom/secretKeyRef/name",
            "containers/envFrom/secretRef/name",
            "initContainers/envFrom/secretRef/name",
            "imagePullSecrets/name",
            "volumes/projected/sources/secret/name",
        ],
    );
    fields.extend(at(
        "Ingress",
        &[
            "spec/tls/secretName",
            "metadata/annotations/ingress.kubernetes.io\\/auth-secret",
            "metadata/annotations/nginx.ingress.kubernetes.io\\/auth-secret",
            "metadata/annotations/nginx.ingress.kubernetes.io\\/auth-tls-secret",
        ],
    ));
    fields.extend(at("ServiceAccount", &["imagePullSecrets/name"]));
    fields.extend(at(
        "StorageClass",
        &["parameters/secretName", "parameters/adminSecretName", "parameters/userSecretName", "parameters/secretRef"],
    ));
    fields.extend(at("Role", &["rules/resourceNames"]));
    fields.extend(at("ClusterRole", &["rules/resourceNames"]));
    fields.push(FieldSpec::new(
        of_group("serving.knative.dev", "v1", "Service"),
        "spec/template/spec/containers/env/valueFrom/secretKeyRef/name",
        false,
    ));
    fields.extend(at("PersistentVolume", &["spec/azureFile/secretName"]));
    refer(of_group("", "v1", "Secret"), fields);

    let mut fields = vec![FieldSpec::new(of_group("apps", "", "StatefulSet"), "spec/serviceName", false)];
    fields.extend(at(
        "Ingress",
        &[
            "spec/rules/http/paths/backend/serviceName",
            "spec/backend/serviceName",
            "spec/rules/http/paths/backend/service/name",
            "spec/defaultBackend/service/name",
        ],
    ));
    fields.push(FieldSpec::new(of_group("apiregistration.k8s.io", "", "APIService"), "spec/service/name", false));
    for kind in ["ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"] {
        fields.push(FieldSpec::new(of_group("admissionregistration.k8s.io", "", kind), "webhooks/clientConfig/service", false));
    }
    refer(of_group("", "v1", "Service"), fields);

    let bindings = |kinds: &[&str], path: &str| -> Vec<FieldSpec> {
        kinds.iter().map(|kind| FieldSpec::new(of_group(rbac, "", kind), path, false)).collect()
    };
    refer(of_group(rbac, "", "Role"), bindings(&["RoleBinding"], "roleRef/name"));
    refer(of_group(rbac, "", "ClusterRole"), bindings(&["RoleBinding", "ClusterRoleBinding"], "roleRef/name"));
    let mut fields = bindings(&["RoleBinding", "ClusterRoleBinding"], "subjects");
    fields.extend(below(OWNERS, &["serviceAccountName"]));
    refer(of_group("", "v1", "ServiceAccount"), fields);
    refer(of_group("", "v1", "PersistentVolumeClaim"), below(OWNERS, &["volumes/persistentVolumeClaim/claimName"]));
    let mut fields = at("PersistentVolumeClaim", &["spec/volumeName"]);
    fields.extend(at("ClusterRole", &["rules/resourceNames"]));
    refer(of_group("", "v1", "PersistentVolume"), fields);
    let mut fields = at("PersistentVolume", &["spec/storageClassName"]);
    fields.extend(at("PersistentVolumeClaim", &["spec/storageClassName"]));
    fields.extend(at("StatefulSet", &["spec/volumeClaimTemplates/spec/storageClassName"]));
    refer(of_group("storage.k8s.io", "v1", "StorageClass"), fields);
    refer(of_group("scheduling.k8s.io", "v1", "PriorityClass"), below(OWNERS, &["priorityClassName"]));
    let policy = |kind| of_group("admissionregistration.k8s.io", "", kind);
    let fields = vec![FieldSpec::new(policy("ValidatingAdmissionPolicyBinding"), "spec/policyName", false)];
    refer(policy("ValidatingAdmissionPolicy"), fields);
    found
}

fn variables() -> Vec<FieldSpec> {
    const CONTAINER: &[&str] = &[
        "containers/args",
        "containers/command",
        "containers/env/value",
        "containers/volumeMounts/mountPath",
        "initContainers/args",
        "initContainers/command",
        "initContainers/env/value",
        "initContainers/volumeMounts/mountPath",
    ];
    let makers: Vec<(&str, &str)> = POD_MAKERS.iter().copied().filter(|(kind, _)| *kind != "PodTemplate").collect();
    let mut fields = below(&makers, CONTAINER);
    let servers: Vec<(&str, &str)> = makers.into_iter().filter(|(kind, _)| *kind != "CronJob").collect();
    fields.extend(below(&servers, &["volumes/nfs/server"]));
    // The specification of the pod is left out here, as it is in kustomize.
    fields.extend(at("CronJob", &["spec/jobTemplate/spec/template/volumes/nfs/server"]));
    fields.extend(at("Deployment", &["spec/template/metadata/annotations"]));
    fields.extend(at("Ingress", &["spec/rules/host", "spec/tls/hosts", "spec/tls/secretName"]));
    fields.extend(at("Service", &["spec/ports/port", "spec/ports/targetPort"]));
    fields.extend(at("StatefulSet", &["spec/volumeClaimTemplates/spec/nfs/server"]));
    fields.extend(at("PersistentVolume", &["spec/nfs/server"]));
    fields.extend(at("", &["metadata/labels", "metadata/annotations"]));
    fields
}
