//! Native checks of pack probes.

use std::collections::BTreeSet;

use super::limits::{image_name, is_server_image};
use crate::artifact::{Place, Role, TargetKind};
use crate::check::{Run, shorten};
use crate::finding::{Confidence, Related, Severity};
use crate::project::{ContainerFacts, Detail, Group, ObjectFacts, ProjectRun, WorkloadFacts, location};
use crate::rule::ArtifactKind;
use crate::syntax::{Node, parse_duration};

const PROBES: [&str; 3] = ["startupProbe", "readinessProbe", "livenessProbe"];
const HANDLERS: [&str; 3] = ["httpGet", "tcpSocket", "grpc"];

/// Reports probes and hooks at ports that nothing declares.
pub(crate) fn probe_port_undefined(run: &mut Run<'_, '_>) {
    for artifact in run.file.artifacts.iter().filter(|artifact| artifact.kind == ArtifactKind::Kubernetes) {
        let pod = artifact.targets(TargetKind::Pod).next();
        let of_host = pod.and_then(|pod| pod.node.get("hostNetwork")).and_then(Node::as_bool) == Some(true);
        let of_pod: Vec<i64> = artifact
            .targets(TargetKind::Container)
            .flat_map(|place| ports(place.node))
            .filter_map(|port| port.get("containerPort"))
            .filter_map(Node::as_int)
            .collect();
        // A patch may leave the ports to the object it changes.
        for place in artifact.targets(TargetKind::Container).filter(|place| place.complete) {
            for (holder, port) in asked_ports(place.node) {
                let Some(text) = port.text().filter(|text| !port.is_null() && !text.contains(['{', '$'])) else { continue };
                let declares_none = ports(place.node).next().is_none();
                if let Ok(number) = text.parse::<i64>() {
                    if !declares_none && !of_host && !of_pod.contains(&number) {
                        let draft = run.report_at(
                            place,
                            port,
                            format!("{holder} of container `{}` uses port {number}, which no container of the pod declares", place.name()),
                        );
                        // The kubelet probes an undeclared port as well.
                        draft.severity = Severity::Low;
                        draft.confidence = Confidence::Medium;
                    }
                } else if !ports(place.node).any(|declared| declared.text_of("name") == Some(text)) {
                    let elsewhere = artifact
                        .targets(TargetKind::Container)
                        .any(|other| ports(other.node).any(|declared| declared.text_of("name") == Some(text)));
                    let hint = if elsewhere { "; only another container does" } else { "" };
                    run.report_at(
                        place,
                        port,
                        format!("{holder} uses port `{}`, which container `{}` does not declare{hint}", shorten(text), place.name()),
                    );
                }
            }
        }
    }
}

fn ports(container: Node<'_>) -> impl Iterator<Item = Node<'_>> {
    container.get("ports").into_iter().flat_map(Node::items)
}

/// The port values of probes and hooks, with the name of what uses them.
fn asked_ports(container: Node<'_>) -> Vec<(&'static str, Node<'_>)> {
    let hooks = ["postStart", "preStop"].map(|hook| (hook, container.at_path(&["lifecycle", hook])));
    let probes = PROBES.map(|probe| (probe, container.get(probe)));
    let all = probes.into_iter().chain(hooks);
    all.filter_map(|(name, holder)| Some((name, holder?)))
        .flat_map(|(name, holder)| HANDLERS.iter().filter_map(move |handler| Some((name, holder.get(handler)?.get("port")?))))
        .collect()
}

/// Reports timings that contradict each other.
pub(crate) fn probe_timing_invalid(run: &mut Run<'_, '_>) {
    for artifact in run.file.artifacts {
        for place in artifact.targets(TargetKind::Container) {
            for name in PROBES {
                let Some(probe) = place.node.get(name).filter(|probe| probe.is_mapping()) else { continue };
                let timeout = number(probe, "timeoutSeconds");
                let period = number(probe, "periodSeconds");
                let ends = !place.long_running && probe.get("exec").is_some();
                if let Some((timeout, node)) = timeout
                    && exceeds(timeout, period.map(|(period, _)| period), 10, ends)
                {
                    let even = period.is_some_and(|(period, _)| period == timeout);
                    let period = period.map_or("the default period of 10 s".to_owned(), |(period, _)| format!("the period of {period} s"));
                    let draft = run.report_at(
                        place,
                        node,
                        format!("{name} of container `{}` may take {timeout} s, which is not below {period}", place.name()),
                    );
                    if even {
                        // The next attempt waits for this one: nothing is lost but the pause.
                        draft.severity = Severity::Low;
                    }
                }
                if let Some((successes, node)) =
                    number(probe, "successThreshold").filter(|(successes, _)| name != "readinessProbe" && *successes != 1)
                {
                    run.report_at(
                        place,
                        node,
                        format!("{name} of container `{}` has successThreshold {successes}; the API server takes only 1", place.name()),
                    );
                }
            }
            budget(run, place);
        }
        for place in artifact.targets(TargetKind::Service) {
            slow_healthcheck(run, place);
        }
    }
}

/// Docker waits for the interval after each check, so a long timeout does not make checks overlap; but with every retry a
/// service that hangs counts as healthy for longer. What Docker's own defaults allow is reported only where it is written.
fn slow_healthcheck<'d>(run: &mut Run<'_, 'd>, place: &Place<'d>) {
    const DEFAULT: f64 = 30.0;
    let seconds = |key| place.get(&["healthcheck", key]).and_then(|node| Some((parse_duration(node.text()?)?, node)));
    let Some((timeout, node)) = seconds("timeout") else { return };
    let written = seconds("interval").map(|(interval, _)| interval).filter(|interval| *interval > 0.0);
    let interval = written.unwrap_or(DEFAULT);
    let retries = place.get(&["healthcheck", "retries"]).and_then(Node::as_int).unwrap_or(3).max(1);
    let unnoticed = (interval + timeout) * retries as f64;
    if timeout < DEFAULT || timeout < interval || timeout <= interval && written.is_none() || unnoticed < 6.0 * DEFAULT {
        return;
    }
    let interval = if written.is_some() { format!("the interval of {interval} s") } else { "the default interval of 30 s".to_owned() };
    let message = format!(
        "healthcheck of service `{}` may take {timeout} s, which is not below {interval}, so a service that hangs counts as healthy for {unnoticed} s",
        place.name()
    );
    let draft = run.report_at(place, node, message);
    draft.severity = Severity::Low;
    draft.confidence = Confidence::Low;
}

fn number<'d>(probe: Node<'d>, key: &str) -> Option<(i64, Node<'d>)> {
    let node = probe.get(key)?;
    Some((node.as_int()?, node))
}

/// Whether a timeout leaves no pause; of a default only what lies above it counts, since it is not written.
fn exceeds(timeout: i64, period: Option<i64>, default: i64, may_equal: bool) -> bool {
    match period {
        Some(period) => timeout > period || timeout == period && !may_equal,
        None => timeout > default,
    }
}

/// A liveness probe that gives up before the readiness probe at the same endpoint.
fn budget<'d>(run: &mut Run<'_, 'd>, place: &Place<'d>) {
    let (Some(liveness), Some(readiness)) = (place.node.get("livenessProbe"), place.node.get("readinessProbe")) else { return };
    let Some(endpoint) = endpoint(liveness).filter(|endpoint| self::endpoint(readiness).as_ref() == Some(endpoint)) else { return };
    let budget = |probe| {
        number(probe, "periodSeconds")
            .map_or(10, |(period, _)| period)
            .saturating_mul(number(probe, "failureThreshold").map_or(3, |(failures, _)| failures))
    };
    let written = number(liveness, "failureThreshold").or_else(|| number(liveness, "periodSeconds"));
    if let (Some((_, node)), true) = (written, budget(liveness) < budget(readiness)) {
        let message = format!(
            "livenessProbe of container `{}` restarts after {} s, before the readinessProbe at the same {endpoint} gives up after {} s",
            place.name(),
            budget(liveness),
            budget(readiness)
        );
        run.report_at(place, node, message);
    }
}

/// What a probe asks, as a text that two probes of one endpoint share.
fn endpoint(probe: Node<'_>) -> Option<String> {
    let text = |node: Node<'_>, key| node.text_of(key).unwrap_or_default().to_owned();
    if let Some(get) = probe.get("httpGet") {
        let path = text(get, "path");
        return Some(format!("URL path `{}` on port {}", if path.is_empty() { "/" } else { &path }, text(get, "port")));
    }
    if let Some(socket) = probe.get("tcpSocket") {
        return Some(format!("port {}", text(socket, "port")));
    }
    probe.get("grpc").map(|grpc| format!("gRPC service `{}` on port {}", text(grpc, "service"), text(grpc, "port")))
}

/// Which main container gets the traffic of which Service, for sure.
pub(super) fn served<'a>(group: &Group<'a>, facts: &'a ObjectFacts, workload: &'a WorkloadFacts) -> Vec<(usize, &'a ObjectFacts)> {
    let main: Vec<(usize, &ContainerFacts)> =
        workload.containers.iter().filter(|container| container.role == Role::Main).enumerate().collect();
    let mut served = Vec::new();
    for service in group.services(facts, workload) {
        let Detail::Service { selector: Some(selector), ports, .. } = &service.detail else { continue };
        // A label that only a kustomization adds, or a namespace that only one of the two writes, may be another one.
        if !selector.selects(&workload.labels) || !facts.shares_namespace(service) {
            continue;
        }
        for port in ports {
            let is_port = |container: &&(usize, &ContainerFacts)| {
                container
                    .1
                    .ports
                    .iter()
                    .any(|declared| declared.name == port.text || declared.number.is_some_and(|number| number.to_string() == port.text))
            };
            // A port that an init or injected container declares is not the author's.
            let elsewhere = workload.containers.iter().any(|container| container.role != Role::Main && is_port(&&(0, container)));
            if let Some(container) = main.iter().find(is_port).or(main.first()).filter(|_| !elsewhere) {
                served.push((container.0, service));
            }
        }
    }
    served
}

/// Reports containers that get traffic without a readiness probe.
pub(crate) fn readiness_probe_missing(run: &mut ProjectRun<'_>) {
    let group = run.group;
    for facts in &group.objects {
        let Detail::Workload(workload) = &facts.detail else { continue };
        if !facts.complete || !workload.long_running || facts.object.kind == "PodTemplate" {
            continue;
        }
        let main: Vec<(usize, &ContainerFacts)> =
            workload.containers.iter().filter(|container| container.role == Role::Main).enumerate().collect();
        let Some(&(_, first)) = main.first() else { continue };
        let served = served(group, facts, workload);
        let probed = main.iter().any(|(_, container)| container.has_readiness);
        let mut at: BTreeSet<usize> = served.iter().map(|(index, _)| *index).collect();
        if !probed && (!served.is_empty() || main.iter().any(|(_, container)| !container.ports.is_empty())) {
            at.insert(0);
        }
        for index in at {
            let Some((_, container)) = main.get(index).filter(|(_, container)| !container.has_readiness && container.complete) else {
                continue;
            };
            let service = served.iter().find(|(served, _)| *served == index).map(|(_, service)| *service);
            let message = match service {
                Some(service) => format!(
                    "container `{}` gets the traffic of Service `{}` but has no readiness probe",
                    container.name, service.object.name
                ),
                None if first.ports.is_empty() => format!(
                    "another container beside `{}` declares a port, but no container of the pod has a readiness probe",
                    container.name
                ),
                None => format!("container `{}` declares a port but has no readiness probe", container.name),
            };
            let draft = run.report(facts, container.span, &container.path, message);
            draft.object.container.clone_from(&container.name);
            if let Some(service) = service {
                // A Service that only monitoring asks sends nobody to a pod that is not ready.
                if served.iter().filter(|(served, _)| *served == index).all(|(_, service)| service.object.name.ends_with("-metrics")) {
                    draft.confidence = Confidence::Low;
                }
                draft.related.push(Related { location: location(service, service.name_span), label: "the Service".to_owned() });
            }
        }
    }
}

/// Seconds and counts of a probe as the kubelet takes them.
fn timing(probe: Node<'_>, key: &str, default: i64) -> i64 {
    number(probe, key).map_or(default, |(value, _)| value)
}

/// What a probe does, as a text that two equal probes share.
fn handler(probe: Node<'_>) -> Option<String> {
    if let Some(get) = probe.get("httpGet") {
        let scheme = get.text_of("scheme").unwrap_or("HTTP").to_ascii_uppercase();
        // A server may answer by the headers.
        let headers = get.get("httpHeaders").into_iter().flat_map(Node::items);
        let mut headers: Vec<(&str, &str)> =
            headers.map(|header| (header.text_of("name").unwrap_or_default(), header.text_of("value").unwrap_or_default())).collect();
        headers.sort_unstable();
        return Some(format!("{scheme} {} {} {headers:?}", get.text_of("host").unwrap_or_default(), endpoint(probe)?));
    }
    let Some(exec) = probe.get("exec") else { return endpoint(probe) };
    let words: Vec<&str> = exec.get("command").into_iter().flat_map(Node::items).filter_map(Node::text).collect();
    (!words.is_empty()).then(|| words.join("\u{0}"))
}

/// Reports liveness probes that fail whenever the readiness probe does.
pub(crate) fn probes_identical(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts() {
        for place in artifact.targets(TargetKind::Container) {
            let (Some(liveness), Some(readiness)) = (place.node.get("livenessProbe"), place.node.get("readinessProbe")) else { continue };
            let same = handler(liveness).is_some_and(|one| handler(readiness).is_some_and(|other| one == other));
            let pace = |probe| (timing(probe, "periodSeconds", 10), timing(probe, "failureThreshold", 3));
            if same && pace(liveness) == pace(readiness) {
                let (period, failures) = pace(liveness);
                let message = format!(
                    "container `{}` is restarted as soon as it is not ready: both probes ask the same and give up after {failures} failures {period} s apart",
                    place.name()
                );
                run.report_at(place, liveness, message);
            }
        }
    }
}

/// Reports slow servers that their liveness probe may kill while they start.
pub(crate) fn startup_probe_missing(run: &mut Run<'_, '_>) {
    let images = run.active.texts("images");
    let wanted = run.active.number("max-start-seconds").unwrap_or(60.0);
    for artifact in run.artifacts() {
        for place in artifact.targets(TargetKind::Container).filter(|place| place.role == Role::Main && place.complete) {
            let Some(liveness) = place.node.get("livenessProbe").filter(|probe| probe.is_mapping()) else { continue };
            if place.node.get("startupProbe").is_some_and(|probe| !probe.is_null()) || !is_server_image(place.image, images) {
                continue;
            }
            let patience = timing(liveness, "initialDelaySeconds", 0)
                .saturating_add(timing(liveness, "periodSeconds", 10).saturating_mul(timing(liveness, "failureThreshold", 3)));
            if (patience as f64) < wanted {
                let (name, _) = image_name(place.image);
                let message = format!(
                    "`{name}` of container `{}` is restarted if it takes more than {patience} s to start, and it has no startupProbe",
                    place.name()
                );
                run.report_at(place, liveness, message);
            }
        }
    }
}
