//! Native checks of pack references over several objects: names that lead nowhere.

use std::collections::{BTreeMap, BTreeSet};

use super::availability::{
    has_neighbours, is_open, is_operators, key, makes_pods, pod_labels, related, renders_elsewhere, selected, variant_matches,
};
use crate::artifact::Role;
use crate::check::Version;
use crate::finding::{Confidence, Severity};
use crate::project::{
    ContainerFacts, Detail, FactSort, Group, ISTIO_GATEWAY, ObjectFacts, ProjectRun, Provided, Reference, Selector, WorkloadFacts,
};

/// Whether what a reference names is nowhere: in no file of the group, in no group that may be deployed with it, and
/// not declared to exist elsewhere.
pub(super) fn is_missing(run: &ProjectRun<'_>, from: &ObjectFacts, reference: &Reference) -> bool {
    let (kind, name) = (reference.kind, reference.name.at.text.as_str());
    let namespace = from.namespace_for(reference);
    let word = if kind == ISTIO_GATEWAY { "Gateway" } else { kind };
    from.complete
        && run.group.lacks(from, kind, name, namespace)
        && !run.group.varies(from, kind, name, namespace)
        && !run.is_external(word, name)
        && !run.commands.create(kind, name)
        && !run.commands.install(name)
        && !run.groups.iter().any(|other| !std::ptr::eq(other, run.group) && other.offers(run.group, kind, name, namespace))
}

/// Labels that are put on running pods, which no template has.
const SET_AT_RUN_TIME: &[&str] = &["role", "spilo-role", "job-name", "apps.kubernetes.io/pod-index", "statefulset.kubernetes.io/pod-name"];

/// Namespaces whose pods a distribution makes.
fn is_system(namespace: &str) -> bool {
    namespace.starts_with("kube-") || namespace.starts_with("openshift-")
}

/// Services that send nothing to anybody.
pub(crate) fn service_selects_nothing(run: &mut ProjectRun<'_>) {
    let group = run.group;
    let selected = selected(group, FactSort::Service);
    let mut known: Option<BTreeSet<&str>> = None;
    for service in group.all(FactSort::Service).filter(|service| service.complete) {
        let Detail::Service { selector: Some(selector), selector_span, .. } = &service.detail else { continue };
        let namespace = service.namespace();
        let declared = run.is_external("Service", &service.object.name)
            || selector.labels.values().any(|value| run.is_external("Pod", value) || run.is_external("Deployment", value));
        if selected.contains_key(&key(service)) || is_system(namespace) || declared || renders_elsewhere(group, service) {
            continue;
        }
        let labels = known.get_or_insert_with(|| pod_labels(group));
        if is_operators(selector, labels) || makes_pods(group, service, selector) || may_match(run, service, selector) {
            continue;
        }
        let elsewhere = group.workloads(&service.path).find(|(_, workload)| selector.selects(&workload.labels));
        // Where a namespace has no workloads at all, they are deployed in another way, unless they stand beside the Service.
        let beside = elsewhere.is_some_and(|(facts, _)| facts.path == service.path);
        if !beside && !has_neighbours(group, service) {
            continue;
        }
        let asked: Vec<String> = selector.labels.iter().map(|(key, value)| format!("`{key}: {value}`")).collect();
        let message =
            format!("Service `{}` sends nothing anywhere: no pods of its namespace have {}", service.object.name, asked.join(" and "));
        let nearest = nearest(group, service, selector);
        let draft = run.report(service, *selector_span, "spec.selector", message);
        if let Some((facts, _)) = elsewhere {
            draft.related.push(related(
                facts,
                facts.name_span,
                format!("the pods of `{}` have, but in another namespace", facts.object.name),
            ));
        } else if let Some(facts) = nearest {
            draft.related.push(related(facts, facts.name_span, format!("the pods of `{}` have some of these labels", facts.object.name)));
        }
    }
}

/// Whether pods that are not wholly known may have the labels of a selector.
fn may_match(run: &ProjectRun<'_>, service: &ObjectFacts, selector: &Selector) -> bool {
    let group = run.group;
    let bare = || {
        let labels = selector.labels.iter().filter(|(key, _)| !SET_AT_RUN_TIME.contains(&key.as_str()));
        Selector { labels: labels.map(|(key, value)| (key.clone(), value.clone())).collect(), expressions: Vec::new() }
    };
    let at_run_time = selector.labels.keys().any(|key| SET_AT_RUN_TIME.contains(&key.as_str())).then(bare);
    let partly = group.workloads(&service.path).any(|(facts, workload)| {
        let open = !facts.complete || workload.labels.iter().any(|(key, value)| is_open(key) || is_open(value));
        let set = at_run_time.as_ref().is_some_and(|bare| bare.selects(&workload.labels));
        (open || set) && facts.may_share_namespace(service)
    });
    let made = || {
        group
            .near(&service.path, FactSort::Other)
            .any(|facts| facts.links.labels.iter().any(|labels| selector.selects(labels)) && facts.may_share_namespace(service))
    };
    let deployed_beside = || {
        run.groups.iter().filter(|other| !std::ptr::eq(*other, group)).any(|other| {
            let found = other
                .all(FactSort::Workload)
                .filter(|facts| matches!(&facts.detail, Detail::Workload(workload) if selector.selects(&workload.labels)));
            found.into_iter().any(|facts| group.goes_with(other, service.namespace(), facts.namespace()))
        })
    };
    partly || made() || deployed_beside() || variant_matches(group, service, selector)
}

/// The workload of the namespace that has most of the labels of a selector.
fn nearest<'a>(group: &Group<'a>, service: &ObjectFacts, selector: &Selector) -> Option<&'a ObjectFacts> {
    let shared = |labels: &BTreeMap<String, String>| selector.labels.iter().filter(|(key, value)| labels.get(*key) == Some(*value)).count();
    let near = group.workloads(&service.path).filter(|(facts, _)| facts.shares_namespace(service));
    let best = near.map(|(facts, workload)| (shared(&workload.labels), facts)).max_by_key(|(count, _)| *count);
    best.filter(|(count, _)| *count > 0).map(|(_, facts)| facts)
}

pub(super) type Providers<'a> = Vec<(&'a ObjectFacts, &'a Provided)>;

/// The providers of a reference, where all of them say what they have and none has the key that is asked for.
pub(super) fn without_key<'a>(group: &Group<'a>, from: &ObjectFacts, reference: &Reference) -> Option<Providers<'a>> {
    let asked = &reference.key.as_ref()?.at.text;
    let namespace = from.namespace_for(reference);
    let found: Providers<'a> = group.providers(from, reference.kind, &reference.name.at.text, namespace);
    let lacks = |(facts, provided): &(&ObjectFacts, &Provided)| {
        let sure = provided.everywhere || reference.kind == "DestinationRule" || facts.namespace() == namespace;
        facts.complete && sure && provided.keys.as_ref().is_some_and(|keys| !keys.contains(asked))
    };
    (!found.is_empty() && !is_open(asked) && !is_open(&reference.name.at.text) && from.complete && found.iter().all(lacks)).then_some(found)
}

/// What an object is called in a message.
pub(super) fn title(facts: &ObjectFacts) -> String {
    format!("{} `{}`", facts.object.kind, facts.object.name)
}

/// Requests that are sent to a Service, port, gateway or subset that is not there.
pub(crate) fn ingress_backend_missing(run: &mut ProjectRun<'_>) {
    let group = run.group;
    for from in group.objects.iter().copied().filter(|facts| is_route(&facts.object.kind)) {
        for reference in &from.links.references {
            let (name, kind) = (&reference.name.at.text, reference.kind);
            let namespace = from.namespace_for(reference);
            let whose = if reference.namespace.is_empty() { "its namespace".to_owned() } else { format!("namespace `{namespace}`") };
            // An ALB answers by itself what an annotation says.
            let action = reference.key.as_ref().is_some_and(|port| port.at.text == "use-annotation");
            if !matches!(kind, "Service" | "Gateway" | ISTIO_GATEWAY | "DestinationRule") || action {
                continue;
            }
            if let Some(found) = without_key(group, from, reference)
                && let Some(key) = &reference.key
            {
                let asked = &key.at.text;
                let message = match kind {
                    "Service" => format!("{} sends requests to port `{asked}`, which Service `{name}` does not have", title(from)),
                    "DestinationRule" => {
                        format!("{} sends requests to subset `{asked}`, which no DestinationRule of `{name}` has", title(from))
                    }
                    _ => format!("{} attaches to listener `{asked}`, which Gateway `{name}` does not have", title(from)),
                };
                let draft = run.report(from, key.at.span, &key.path, message);
                for (facts, _) in found.into_iter().take(3) {
                    draft.related.push(related(facts, facts.name_span, title(facts)));
                }
                continue;
            }
            if kind == "DestinationRule" || !group.has_kind(from, kind, namespace) || !is_missing(run, from, reference) {
                continue;
            }
            let verb = if kind == "Service" { "sends requests to" } else { "is attached to" };
            let message = format!("{} {verb} {kind} `{name}`, which is not in {whose}", title(from));
            run.report(from, reference.name.at.span, &reference.name.path, message);
        }
    }
}

fn is_route(kind: &str) -> bool {
    matches!(kind, "Ingress" | "VirtualService" | "HTTPRoute" | "GRPCRoute" | "TCPRoute" | "TLSRoute" | "UDPRoute")
}

/// Keys that pods ask of a `ConfigMap` or Secret that does not have them.
pub(crate) fn config_key_missing(run: &mut ProjectRun<'_>) {
    let group = run.group;
    for from in group.all(FactSort::Workload) {
        for reference in
            from.links.references.iter().filter(|reference| matches!(reference.kind, "ConfigMap" | "Secret") && !reference.optional)
        {
            let (Some(found), Some(key)) = (without_key(group, from, reference), &reference.key) else { continue };
            let (kind, name) = (reference.kind, &reference.name.at.text);
            let message = format!("{} needs key `{}`, which {kind} `{name}` does not have", title(from), key.at.text);
            let draft = run.report(from, key.at.span, &key.path, message);
            for (facts, _) in found.into_iter().take(3) {
                draft.related.push(related(facts, facts.name_span, title(facts)));
            }
        }
    }
}

/// Ports that sidecars open in pods whose manifests do not say so.
fn is_sidecars(port: &str) -> bool {
    match port.parse::<u16>() {
        Ok(number) => matches!(number, 15000..=15100 | 4140..=4143 | 4190 | 4191 | 3500 | 50001 | 8126 | 20200),
        Err(_) => ["http-envoy", "linkerd-", "dapr-"].iter().any(|prefix| port.starts_with(prefix)),
    }
}

/// Ports that no container of the selected pods listens on.
pub(crate) fn service_port_missing(run: &mut ProjectRun<'_>) {
    let group = run.group;
    let selected = selected(group, FactSort::Service);
    for service in group.all(FactSort::Service).filter(|service| service.complete) {
        let Detail::Service { ports, .. } = &service.detail else { continue };
        let workloads = selected.get(&key(service)).map(Vec::as_slice).unwrap_or_default();
        if workloads.is_empty() || workloads.iter().any(|(facts, _)| !facts.complete || !facts.shares_namespace(service)) {
            continue;
        }
        let containers = || workloads.iter().flat_map(|(_, workload)| &workload.containers).filter(|container| runs(container));
        for port in ports.iter().filter(|port| !is_open(&port.text) && !is_sidecars(&port.text)) {
            let number = port.text.parse::<i64>().ok();
            let declared = |container: &ContainerFacts| {
                container.ports.iter().any(|declared| match number {
                    Some(number) => declared.number == Some(number),
                    None => declared.name == port.text,
                })
            };
            let open = |container: &ContainerFacts| {
                let unlisted = number.is_some() && container.ports.is_empty();
                let unread = container.ports.iter().any(|port| is_open(&port.name) || (number.is_some() && port.number.is_none()));
                container.role == Role::Injected || unlisted || unread
            };
            let told = |(facts, _): &(&ObjectFacts, &WorkloadFacts)| number.is_some_and(|number| is_told(group, facts, number));
            if containers().any(|container| declared(container) || open(container)) || workloads.iter().any(told) {
                continue;
            }
            let names: BTreeSet<String> = workloads.iter().map(|(facts, _)| title(facts)).collect();
            let names: Vec<String> = names.into_iter().take(3).collect();
            let message = format!(
                "Service `{}` sends to port `{}`, which no container of {} declares",
                service.object.name,
                port.text,
                names.join(", ")
            );
            let draft = run.report(service, port.span, "spec.ports", message);
            if number.is_some() {
                // A process may listen on a port that its container does not list.
                draft.confidence = Confidence::Medium;
            }
            for (facts, workload) in workloads.iter().take(3) {
                let place =
                    workload.containers.iter().find(|container| runs(container)).map_or(facts.name_span, |container| container.span);
                draft.related.push(related(facts, place, format!("the pods of `{}`", facts.object.name)));
            }
        }
    }
}

/// Whether a number stands in the arguments or environment of a workload, or in a `ConfigMap` that it uses.
fn is_told(group: &Group<'_>, facts: &ObjectFacts, number: i64) -> bool {
    let has = |facts: &ObjectFacts| u16::try_from(number).is_ok_and(|number| facts.links.numbers.contains(&number));
    let read = facts.links.references.iter().filter(|reference| reference.kind == "ConfigMap");
    has(facts)
        || read
            .flat_map(|reference| group.providers(facts, "ConfigMap", &reference.name.at.text, facts.namespace_for(reference)))
            .any(|(config, _)| has(config))
}

fn runs(container: &ContainerFacts) -> bool {
    !matches!(container.role, Role::Init | Role::Ephemeral)
}

/// Reports the names of a kind that workloads ask for and nothing provides, each object and name once.
fn report_missing(run: &mut ProjectRun<'_>, kind: &str, verb: &str) {
    let group = run.group;
    for from in group.all(FactSort::Workload) {
        let mut seen = BTreeSet::new();
        for reference in from.links.references.iter().filter(|reference| reference.kind == kind && !reference.optional) {
            let name = &reference.name.at.text;
            let namespace = from.namespace_for(reference);
            // A project that holds none of the kind has them made in another way.
            if !seen.insert(name) || !group.has_kind(from, reference.kind, namespace) || !is_missing(run, from, reference) {
                continue;
            }
            let message = format!("{} {verb} {kind} `{name}`, which nothing in its namespace provides", title(from));
            run.report(from, reference.name.at.span, &reference.name.path, message);
        }
    }
}

/// `ConfigMaps` that workloads need and nothing provides.
pub(crate) fn configmap_missing(run: &mut ProjectRun<'_>) {
    report_missing(run, "ConfigMap", "needs");
}

/// Secrets that workloads need and nothing provides.
pub(crate) fn secret_missing(run: &mut ProjectRun<'_>) {
    report_missing(run, "Secret", "needs");
}

/// Accounts that pods run under and that do not exist.
pub(crate) fn service_account_missing(run: &mut ProjectRun<'_>) {
    report_missing(run, "ServiceAccount", "runs under");
}

/// Storage classes that distributions and clouds make.
const CLASSES: &[&str] = &[
    "standard",
    "standard-rwo",
    "premium-rwo",
    "enterprise-rwx",
    "standard-rwx",
    "gp2",
    "gp3",
    "gp2-csi",
    "gp3-csi",
    "io1",
    "io2",
    "default",
    "managed",
    "managed-premium",
    "managed-csi",
    "managed-csi-premium",
    "azurefile",
    "azurefile-csi",
    "azurefile-premium",
    "azurefile-csi-premium",
    "azureblob-nfs-premium",
    "local-path",
    "cdk-cinder",
    "hostpath",
    "docker-desktop",
    "microk8s-hostpath",
    "do-block-storage",
    "linode-block-storage",
    "linode-block-storage-retain",
    "vultr-block-storage",
    "vultr-block-storage-hdd",
    "hcloud-volumes",
    "scw-bssd",
    "oci",
    "oci-bv",
    "ibmc-block-gold",
    "alicloud-disk-essd",
    "csi-cinder-sc-delete",
    "cinder-csi",
    "openebs-hostpath",
    "longhorn",
    "topolvm-provisioner",
];

/// Claims and storage classes that do not exist.
pub(crate) fn volume_claim_missing(run: &mut ProjectRun<'_>) {
    report_missing(run, "PersistentVolumeClaim", "mounts");
    let group = run.group;
    for &from in &group.objects {
        for reference in from.links.references.iter().filter(|reference| reference.kind == "StorageClass") {
            let name = &reference.name.at.text;
            if CLASSES.contains(&name.as_str()) || !group.has_kind(from, "StorageClass", "") || !is_missing(run, from, reference) {
                continue;
            }
            let message = format!("{} asks for storage class `{name}`, which nothing in the project defines", title(from));
            run.report(from, reference.name.at.span, &reference.name.path, message);
        }
    }
}

/// `StatefulSets` whose pods have no names of their own in the DNS.
pub(crate) fn statefulset_service_missing(run: &mut ProjectRun<'_>) {
    let group = run.group;
    for from in group.all(FactSort::Workload).filter(|facts| facts.object.kind == "StatefulSet" && facts.complete) {
        let Detail::Workload(workload) = &from.detail else { continue };
        let few = group.effective_replicas(from, workload).is_none_or(|replicas| replicas <= 1);
        let Some(reference) = from.links.references.iter().find(|reference| reference.kind == "Service") else {
            // Since 1.33 the field may be left out.
            if run.kubernetes_version < (Version { major: 1, minor: 33 }) {
                let message =
                    format!("StatefulSet `{}` has no `serviceName`, so its pods have no DNS names of their own", from.object.name);
                let draft = run.report(from, from.name_span, "spec", message);
                if few {
                    draft.severity = Severity::Low;
                }
            }
            continue;
        };
        let name = &reference.name.at.text;
        let namespace = from.namespace();
        let found: Providers<'_> = group.providers(from, "Service", name, namespace);
        let governs = |(facts, _): &(&ObjectFacts, &Provided)| match &facts.detail {
            Detail::Service { face, selector, .. } => {
                face.headless && selector.as_ref().is_none_or(|selector| selector.selects(&workload.labels))
            }
            _ => true,
        };
        if is_open(name) || found.iter().any(|found| governs(found) || !found.0.complete) {
            continue;
        }
        let said = match found.first() {
            None if group.has_kind(from, "Service", namespace) && is_missing(run, from, reference) => "which is not in its namespace",
            None => continue,
            Some((facts, _)) if matches!(&facts.detail, Detail::Service { face, .. } if !face.headless) => "which is not headless",
            Some(_) => "which does not select its pods",
        };
        let message = format!("StatefulSet `{}` names its pods after Service `{name}`, {said}", from.object.name);
        let draft = run.report(from, reference.name.at.span, &reference.name.path, message);
        if few {
            draft.severity = Severity::Low;
        }
        for (facts, _) in found.into_iter().take(1) {
            draft.related.push(related(facts, facts.name_span, "the Service"));
        }
    }
}

/// Namespaces that clusters and their distributions make.
fn is_given(namespace: &str) -> bool {
    matches!(namespace, "default" | "argocd" | "flux-system" | "istio-system" | "cert-manager" | "ingress-nginx")
        || ["kube-", "openshift", "gke-", "gmp-", "cattle-", "calico-", "tigera-"].iter().any(|prefix| namespace.starts_with(prefix))
}

/// Namespaces that nothing creates, in a project that creates most of those it uses.
pub(crate) fn namespace_missing(run: &mut ProjectRun<'_>) {
    let group = run.group;
    let mut missing: BTreeMap<&str, &ObjectFacts> = BTreeMap::new();
    let mut created = BTreeSet::new();
    for from in group.objects.iter().copied().filter(|facts| matches!(facts.detail, Detail::Workload(_) | Detail::Service { .. })) {
        let namespace = from.object.namespace.as_str();
        if namespace.is_empty() || from.namespace() != namespace || is_given(namespace) || is_open(namespace) || !from.complete {
            continue;
        }
        let elsewhere = run.groups.iter().any(|other| other.offers(group, "Namespace", namespace, namespace));
        if elsewhere || run.is_external("Namespace", namespace) || run.commands.create("Namespace", namespace) {
            created.insert(namespace);
        } else if group.lacks(from, "Namespace", namespace, namespace) {
            missing.entry(namespace).or_insert(from);
        }
    }
    if created.len() < missing.len() {
        return;
    }
    for (namespace, from) in missing {
        let Some(span) = from.namespace_span else { continue };
        run.report(from, span, "metadata.namespace", format!("namespace `{namespace}` is created by nothing in the project"));
    }
}

/// Objects that one apply writes twice.
pub(crate) fn duplicate_resource(run: &mut ProjectRun<'_>) {
    let group = run.group;
    let mut seen: BTreeMap<(&str, &str, &str, &str), &ObjectFacts> = BTreeMap::new();
    let built = group.build.built;
    for facts in group.objects.iter().copied().filter(|facts| !facts.object.name.is_empty()) {
        let object = &facts.object;
        if is_open(&object.name) || is_open(&object.namespace) || facts.generated_name {
            continue;
        }
        let first = seen.entry((&facts.group, &object.kind, facts.namespace(), &object.name)).or_insert(facts);
        if std::ptr::eq(*first, facts) {
            continue;
        }
        // Plain files may be alternatives, and parts of a build may get names of their own; what one file holds is
        // applied together, and what one folder holds is built together.
        let folder = |path: &str| path.rsplit_once('/').map_or(String::new(), |(folder, _)| folder.to_owned());
        if first.path != facts.path && !(built && folder(&first.path) == folder(&facts.path)) {
            *first = facts;
            continue;
        }
        if first.path == facts.path && first.name_span == facts.name_span {
            continue;
        }
        let end = if built { "the build refuses that" } else { "the last one wins" };
        let message = format!("{} is defined twice; {end}", title(facts));
        let first = *first;
        run.report(facts, facts.name_span, "metadata.name", message).related.push(related(first, first.name_span, "the first one"));
    }
}
