//! Native checks of pack availability over how workloads roll out, stop and are placed.

use std::collections::{BTreeSet, HashMap};

use super::availability::{Workload, is_open, related};
use super::compose::{self, datastore};
use super::probes::served;
use crate::artifact::{Artifact, Role};
use crate::check::Run;
use crate::finding::{Confidence, Severity};
use crate::project::{
    ConfigFacts, ContainerFacts, Detail, FactSort, Group, ObjectFacts, PodFacts, ProjectRun, Spanned, Timeout, WorkloadFacts, read_timeout,
    timeouts,
};
use crate::source::{Source, Span};
use crate::syntax::{self, Node, Syntax, number, parse_duration};

fn complete<'a>(group: &Group<'a>) -> impl Iterator<Item = Workload<'a>> {
    group.workloads_everywhere().filter(|(facts, _)| facts.complete)
}

/// The claim that a workload mounts under a name, where it is in the project and whole.
fn claim<'a>(group: &Group<'a>, of: &ObjectFacts, name: &str) -> Option<(&'a ObjectFacts, &'a [String])> {
    let is_meant = |facts: &&ObjectFacts| facts.complete && facts.may_share_namespace(of);
    let found = group.near_by_name(&of.path, FactSort::Claim, name).find(is_meant)?;
    match &found.detail {
        Detail::Claim { modes, .. } => Some((found, modes)),
        _ => None,
    }
}

fn is_shared(modes: &[String]) -> bool {
    modes.iter().any(|mode| matches!(mode.as_str(), "ReadWriteMany" | "ReadOnlyMany"))
}

/// Whether a workload is one that acts on the cluster, by its name.
fn is_controller(name: &str) -> bool {
    name.split(['-', '_', '.']).any(|word| matches!(word, "operator" | "controller"))
}

/// Whether a Service is there for monitoring alone.
fn is_for_metrics(service: &ObjectFacts) -> bool {
    let Detail::Service { face, .. } = &service.detail else { return false };
    let named = |name: &str| name.split('-').any(|word| word == "metrics");
    service.object.name.ends_with("-metrics")
        || !face.ports.is_empty() && face.ports.iter().all(|port| port.name.as_ref().is_some_and(|name| named(&name.text)))
}

/// Whether two pods of a workload may not run at the same time.
fn needs_to_be_alone(group: &Group<'_>, facts: &ObjectFacts, workload: &WorkloadFacts) -> bool {
    let pod = &workload.pod;
    if is_controller(&facts.object.name) || workload.containers.iter().any(|container| datastore(&container.image).is_some()) {
        return true;
    }
    let bound = |name: &Spanned| !claim(group, facts, &name.text).is_some_and(|(_, modes)| is_shared(modes));
    pod.host_network || pod.exclusive || pod.elects_leader || pod.claims.iter().any(bound)
}

fn percent(text: &str) -> Option<f64> {
    text.trim().strip_suffix('%')?.trim().parse().ok()
}

/// Updates during which a Service has nobody to send traffic to.
pub(crate) fn rollout_causes_outage(run: &mut ProjectRun<'_>) {
    let group = run.group;
    for (facts, workload) in complete(group).filter(|(facts, _)| matches!(facts.object.kind.as_str(), "Deployment" | "DeploymentConfig")) {
        let pod = &workload.pod;
        let replicas = group.effective_replicas(facts, workload);
        let asked = |service: &&ObjectFacts| service.shares_namespace(facts) && !is_for_metrics(service);
        let Some(service) = group.services(facts, workload).into_iter().find(asked) else { continue };
        if replicas == Some(0) || needs_to_be_alone(group, facts, workload) {
            continue;
        }
        let strategy = pod.strategy.as_ref();
        let (at, path, what) = match (strategy, &pod.max_unavailable) {
            (Some(kind), _) if kind.text == "Recreate" => (kind, "spec.strategy.type", "stops every pod before it starts a new one"),
            (_, Some(most)) if !is_open(&most.text) => {
                let all = match percent(&most.text) {
                    Some(percent) => percent >= 100.0,
                    None => most.text.parse::<i64>().ok().zip(replicas).is_some_and(|(most, replicas)| most >= replicas),
                };
                if !all {
                    continue;
                }
                (most, "spec.strategy.rollingUpdate.maxUnavailable", "may stop every pod before a new one is ready")
            }
            _ => continue,
        };
        let message = format!("a rollout of `{}` {what}, so Service `{}` answers nobody meanwhile", facts.object.name, service.object.name);
        let draft = run.report(facts, at.span, path, message);
        // There may be a reason to have only one pod.
        if replicas.is_none_or(|replicas| replicas < 2) {
            draft.confidence = draft.confidence.min(Confidence::Low);
        }
        draft.related.push(related(service, service.name_span, "the Service"));
    }
}

/// A volume that one node mounts, for pods on several.
pub(crate) fn read_write_once_volume_shared(run: &mut ProjectRun<'_>) {
    let group = run.group;
    let kinds = ["Deployment", "ReplicaSet", "ReplicationController", "DeploymentConfig", "Rollout"];
    for (facts, workload) in complete(group).filter(|(facts, _)| kinds.contains(&facts.object.kind.as_str())) {
        let pod = &workload.pod;
        let Some(replicas) = group.effective_replicas(facts, workload).filter(|replicas| *replicas > 0 && !pod.one_node) else { continue };
        let recreates = pod.strategy.as_ref().is_some_and(|kind| kind.text != "RollingUpdate" && kind.text != "Rolling");
        let no_surge = pod.max_surge.as_ref().is_some_and(|surge| matches!(surge.text.trim_end_matches('%'), "0") || is_open(&surge.text));
        let rolls = facts.object.kind == "Deployment" && !recreates && !no_surge;
        let mut seen = BTreeSet::new();
        for name in pod.claims.iter().filter(|name| seen.insert(&name.text)) {
            let Some((claim, modes)) = claim(group, facts, &name.text) else { continue };
            if modes.is_empty() || is_shared(modes) {
                continue;
            }
            let (workload_name, claim_name) = (&facts.object.name, &name.text);
            let message = if replicas > 1 {
                format!("the {replicas} pods of `{workload_name}` share claim `{claim_name}`, which only one node can mount")
            } else if rolls {
                format!(
                    "a rollout of `{workload_name}` starts a second pod while the first has claim `{claim_name}`, which only one node can mount"
                )
            } else {
                continue;
            };
            let draft = run.report(facts, name.span, "spec.template.spec.volumes", message);
            if replicas == 1 {
                draft.severity = Severity::Medium;
            }
            draft.related.push(related(claim, claim.name_span, "the claim"));
        }
    }
}

/// Labels by which parts of one application are known.
const NAMES: &[&str] = &["app", "app.kubernetes.io/name", "app.kubernetes.io/instance", "k8s-app", "name"];

/// Replicas that one failed zone stops.
pub(crate) fn single_zone_pin(run: &mut ProjectRun<'_>) {
    let group = run.group;
    // The same thing in other zones: the zones in which pods with the same name of an application run.
    let mut zones: HashMap<(&str, &str, &str), BTreeSet<&str>> = HashMap::new();
    for (facts, workload) in group.workloads_everywhere() {
        let Some(zone) = &workload.pod.zone else { continue };
        for (key, value) in workload.labels.iter().filter(|(key, _)| NAMES.contains(&key.as_str())) {
            zones.entry((facts.namespace(), key, value)).or_default().insert(&zone.text);
        }
    }
    let has_sibling = |facts: &ObjectFacts, workload: &WorkloadFacts| {
        workload.labels.iter().any(|(key, value)| zones.get(&(facts.namespace(), key, value)).is_some_and(|zones| zones.len() > 1))
    };
    let storage: HashMap<&str, (&ObjectFacts, &Spanned)> = group
        .all(FactSort::ZonalStorage)
        .filter_map(
            |facts| if let Detail::ZonalStorage(zone) = &facts.detail { Some((facts.object.name.as_str(), (facts, zone))) } else { None },
        )
        .collect();
    let mut said = BTreeSet::new();
    for (facts, workload) in complete(group).filter(|(facts, _)| facts.object.kind != "PodTemplate") {
        let Some(replicas) = group.effective_replicas(facts, workload).filter(|replicas| *replicas > 1) else { continue };
        let name = &facts.object.name;
        if let Some(zone) = &workload.pod.zone {
            if !is_open(&zone.text) && !has_sibling(facts, workload) {
                let message = format!("the {replicas} pods of `{name}` may run in zone `{}` only", zone.text);
                run.report(facts, zone.span, "spec.template.spec", message);
            }
            continue;
        }
        let of_claims = workload.pod.claims.iter().filter_map(|name| {
            match &group.near_by_name(&facts.path, FactSort::Claim, &name.text).next()?.detail {
                Detail::Claim { class, .. } => class.as_deref(),
                _ => None,
            }
        });
        let mut classes = workload.pod.template_classes.iter().map(String::as_str).chain(of_claims);
        if let Some((class, zone)) = classes.find_map(|class| storage.get(class)).filter(|(_, zone)| said.insert(zone.span)) {
            let message =
                format!("the volumes of the {replicas} pods of `{name}` are made in zone `{}` only, so the pods run there", zone.text);
            run.report(class, zone.span, "allowedTopologies", message).related.push(related(facts, facts.name_span, "the workload"));
        }
    }
}

/// What takes how long when a container is stopped.
struct Stop<'t> {
    name: &'t str,
    grace: f64,
    sleep: f64,
    timeout: Option<(&'t str, f64)>,
}

impl Stop<'_> {
    /// What is wrong, and whether the time is only just too short.
    fn fault(&self) -> Option<(String, bool)> {
        let Self { name, grace, sleep, timeout } = self;
        let total = sleep + timeout.map_or(0.0, |(_, seconds)| seconds);
        if total < *grace || total <= 0.0 {
            return None;
        }
        let needs = match (timeout, *sleep > 0.0) {
            (Some((setting, seconds)), true) => format!("a preStop hook of {sleep}s and then up to {seconds}s for `{setting}`"),
            (Some((setting, seconds)), false) => format!("up to {seconds}s for `{setting}`"),
            (None, _) => format!("a preStop hook of {sleep}s"),
        };
        Some((format!("`{name}` is killed after {grace}s, but its shutdown takes {needs}"), total <= *grace))
    }
}

/// Pods that are killed while they still shut down.
pub(crate) fn grace_period_too_short(run: &mut ProjectRun<'_>) {
    let group = run.group;
    for (facts, workload) in complete(group).filter(|(_, workload)| workload.long_running) {
        let pod = &workload.pod;
        let written = pod.grace.as_ref().filter(|grace| !is_open(&grace.text));
        let Some(grace) = written.map_or(Some(30.0), |grace| number(&grace.text)).filter(|_| pod.grace.is_some() == written.is_some())
        else {
            continue;
        };
        for container in workload.containers.iter().filter(|container| container.role == Role::Main) {
            let longest = longest(group, facts, pod, container);
            let stop = Stop {
                name: &container.name,
                grace,
                sleep: container.pre_stop.unwrap_or_default(),
                timeout: longest.map(|(_, timeout)| (timeout.name.as_str(), timeout.seconds)),
            };
            let Some((message, equal)) = stop.fault() else { continue };
            let (span, path) = match written {
                Some(grace) => (grace.span, "spec.template.spec.terminationGracePeriodSeconds"),
                None => (container.span, container.path.as_str()),
            };
            let draft = run.report(facts, span, path, message);
            draft.object.container.clone_from(&container.name);
            if equal {
                draft.severity = Severity::Low;
            }
            if let Some((place, timeout)) = longest {
                draft.related.push(related(place, timeout.span, "how long the application waits"));
            }
        }
    }
}

/// The longest shutdown that the environment of a container sets, and the object that holds it.
fn longest<'a>(
    group: &Group<'a>,
    facts: &'a ObjectFacts,
    pod: &'a PodFacts,
    container: &ContainerFacts,
) -> Option<(&'a ObjectFacts, &'a Timeout)> {
    let own = pod.timeouts.iter().filter(|timeout| timeout.container == container.name).map(|timeout| (facts, timeout));
    let names = pod.config_env.iter().filter(|(of, _)| *of == container.name).map(|(_, name)| name);
    let is_source = |other: &&ObjectFacts| other.object.kind == "ConfigMap" && other.may_share_namespace(facts);
    let configs = names.flat_map(|name| group.near_by_name(&facts.path, FactSort::Config, name)).filter(is_source);
    let shared = configs.flat_map(|config| match &config.detail {
        Detail::Config(ConfigFacts { timeouts, .. }) => timeouts.iter().map(|timeout| (config, timeout)).collect(),
        _ => Vec::new(),
    });
    // What the container sets itself wins over what it takes from elsewhere.
    let mut all: Vec<(&ObjectFacts, &Timeout)> = own.collect();
    let set: BTreeSet<&str> = all.iter().map(|(_, timeout)| timeout.name.as_str()).collect();
    let more: Vec<_> = shared.filter(|(_, timeout)| !set.contains(timeout.name.as_str())).collect();
    all.extend(more);
    all.into_iter().max_by(|(_, one), (_, other)| one.seconds.total_cmp(&other.seconds))
}

/// Services of Compose that are killed while they still shut down.
pub(crate) fn compose_grace_period_too_short(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts().filter(|artifact| artifact.kind == crate::rule::ArtifactKind::Compose) {
        let all = timeouts(&artifact.variables);
        for place in compose::services(artifact).filter(|place| place.complete && !place.one_shot) {
            let written = place.get(&["stop_grace_period"]);
            let Some(grace) = written.map_or(Some(10.0), |node| node.text().and_then(parse_duration)) else { continue };
            let mut own: Vec<(String, f64, Option<Span>)> = all
                .iter()
                .filter(|timeout| timeout.container == place.name())
                .map(|timeout| (timeout.name.clone(), timeout.seconds, Some(timeout.span)))
                .collect();
            // What the service sets itself wins over its files.
            let more: Vec<_> =
                from_files(run, place.get(&["env_file"])).into_iter().filter(|(name, _)| !sets(artifact, place.name(), name)).collect();
            own.extend(more.into_iter().map(|(name, seconds)| (name, seconds, None)));
            let Some((setting, seconds, span)) = own.into_iter().max_by(|one, other| one.1.total_cmp(&other.1)) else { continue };
            let stop = Stop { name: place.name(), grace, sleep: 0.0, timeout: Some((&setting, seconds)) };
            let Some((message, equal)) = stop.fault() else { continue };
            let at = written.unwrap_or(place.node);
            let draft = match span.filter(|_| written.is_none()) {
                Some(span) => run.report(span, artifact.object_at(at, place.name()), message),
                None => run.report_at(place, at, message),
            };
            if equal {
                draft.severity = Severity::Low;
            }
        }
    }
}

fn sets(artifact: &Artifact<'_>, service: &str, name: &str) -> bool {
    artifact.variables.iter().any(|variable| variable.container == service && variable.name == name)
}

/// The shutdown timeouts in the environment files of a service.
fn from_files(run: &Run<'_, '_>, files: Option<Node<'_>>) -> Vec<(String, f64)> {
    let Some(files) = files else { return Vec::new() };
    let listed: Vec<Node<'_>> = if files.is_scalar() { vec![files] } else { files.items().collect() };
    let mut found: Vec<(String, f64)> = Vec::new();
    for path in listed.into_iter().filter_map(|file| file.text().or_else(|| file.text_of("path"))) {
        let Some(text) = compose::text_beside(run, path.trim_start_matches("./")) else { continue };
        let source = std::sync::Arc::new(Source { path: path.into(), text, bom: false });
        let parsed = syntax::parse(&source, Syntax::Dotenv);
        for (key, value) in parsed.documents.iter().flat_map(|document| document.root().pairs()) {
            let Some((name, seconds)) = key.text().zip(value.text()).and_then(|(name, value)| Some((name, read_timeout(name, value)?)))
            else {
                continue;
            };
            // The last file wins.
            found.retain(|(known, _)| known != name);
            found.push((name.to_owned(), seconds));
        }
    }
    found
}

/// Stateless workloads that do not follow their load.
pub(crate) fn hpa_missing(run: &mut ProjectRun<'_>) {
    let group = run.group;
    let Some(selector) = run.active.text("selector") else { return };
    let wanted: Vec<(&str, &str)> = selector.split(',').filter_map(|part| part.trim().split_once('=')).collect();
    for (facts, workload) in complete(group).filter(|(facts, _)| facts.object.kind == "Deployment") {
        let selected = wanted.iter().all(|(key, value)| workload.labels.get(*key).is_some_and(|known| known == value));
        let pod = &workload.pod;
        let name = &facts.object.name;
        let operator = pod.elects_leader || is_controller(name);
        let singleton = pod.strategy.as_ref().is_some_and(|kind| kind.text == "Recreate");
        let sized = group.near(&facts.path, FactSort::VerticalAutoscaler).any(|other| {
            let Detail::VerticalAutoscaler { target: (kind, target) } = &other.detail else { return false };
            *kind == facts.object.kind && target == name && other.may_share_namespace(facts)
        });
        let stateful = !pod.claims.is_empty();
        if !wanted.is_empty() && selected && !operator && !singleton && !sized && !stateful && group.autoscalers(facts).next().is_none() {
            run.report(facts, facts.name_span, "metadata.name", format!("no autoscaler targets `{name}`"));
        }
    }
}

/// Containers that stop while traffic is still sent to them.
pub(crate) fn prestop_missing(run: &mut ProjectRun<'_>) {
    let group = run.group;
    for (facts, workload) in complete(group).filter(|(facts, workload)| workload.long_running && facts.object.kind != "PodTemplate") {
        let main: Vec<&ContainerFacts> = workload.containers.iter().filter(|container| container.role == Role::Main).collect();
        let is_headless = |service: &ObjectFacts| matches!(&service.detail, Detail::Service { face, .. } if face.headless);
        let mut seen = BTreeSet::new();
        for (index, service) in served(group, facts, workload) {
            let Some(container) = main.get(index).filter(|container| container.complete && container.pre_stop.is_none()) else { continue };
            // An application that times its shutdown drains by itself.
            let drains = workload.pod.timeouts.iter().any(|timeout| timeout.container == container.name);
            if drains || is_headless(service) || is_for_metrics(service) || !seen.insert(index) {
                continue;
            }
            let message = format!(
                "container `{}` gets the traffic of Service `{}` but has no preStop hook that waits for it to end",
                container.name, service.object.name
            );
            let draft = run.report(facts, container.span, &container.path, message);
            draft.object.container.clone_from(&container.name);
        }
    }
}
