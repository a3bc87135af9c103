//! Native checks of pack limits.

use crate::artifact::{Artifact, Place, Role, TargetKind};
use crate::check::Run;
use crate::finding::{Location, Related};
use crate::project::{Detail, Excuse, FactSort, ProjectRun, location};
use crate::syntax::{Node, parse_quantity};

/// Utilisation of a resource that a container of the target does not request.
pub(crate) fn hpa_target_without_request(run: &mut ProjectRun<'_>) {
    let group = run.group;
    for hpa in group.all(FactSort::Autoscaler) {
        let Detail::Autoscaler { keda: false, target_kind, target_name: Some(target), metrics, .. } = &hpa.detail else { continue };
        for metric in metrics.iter().filter(|metric| metric.target == "Utilization") {
            let targets = group.named(hpa, target_kind, &target.text).filter(|(facts, _)| facts.complete && facts.shares_namespace(hpa));
            for (facts, workload) in targets {
                if group.has_limit_range(&facts.path, facts.namespace(), &format!("defaultRequest.{}", metric.resource)) {
                    continue;
                }
                let lacking = workload.containers.iter().find(|container| {
                    let measured = metric.container.as_ref().is_none_or(|name| *name == container.name);
                    measured
                        && matches!(container.role, Role::Main | Role::Sidecar | Role::Injected)
                        && !container.requests.contains(&metric.resource)
                });
                let Some(container) = lacking else { continue };
                let message = format!(
                    "autoscaler `{}` cannot compute {} utilisation: container `{}` of `{}` requests no {}",
                    hpa.object.name, metric.resource, container.name, facts.object.name, metric.resource
                );
                let label = format!("this container requests no {}", metric.resource);
                run.report(hpa, metric.span, "spec.metrics", message)
                    .related
                    .push(Related { location: location(facts, container.span), label });
            }
        }
    }
}

/// A limit and the request of the same resource; without one of the two there is nothing to compare.
struct Pair<'d> {
    resource: &'d str,
    limit: Node<'d>,
    request: Node<'d>,
}

fn pairs<'d>(place: &Place<'d>) -> Vec<Pair<'d>> {
    let mut found = Vec::new();
    let mut compare = |limits: Option<Node<'d>>, requests: Option<Node<'d>>| {
        let Some(requests) = requests else { return };
        for (key, limit) in limits.into_iter().flat_map(Node::entries) {
            if let Some((resource, request)) = key.text().and_then(|resource| Some((resource, requests.get(resource)?))) {
                found.push(Pair { resource, limit, request });
            }
        }
    };
    match place.kind {
        // What a pod sets is no limit of its containers.
        TargetKind::Container | TargetKind::Pod => {
            compare(place.node.at_path(&["resources", "limits"]), place.node.at_path(&["resources", "requests"]));
        }
        TargetKind::Resources => compare(place.node.get("limits"), place.node.get("requests")),
        TargetKind::Service => {
            compare(place.get(&["deploy", "resources", "limits"]), place.get(&["deploy", "resources", "reservations"]));
            if let (Some(limit), Some(request)) = (place.get(&["mem_limit"]), place.get(&["mem_reservation"])) {
                found.push(Pair { resource: "memory", limit, request });
            }
        }
        _ => {}
    }
    found
}

/// A limit that the request of the same resource exceeds.
pub(crate) fn limit_below_request(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts() {
        for place in &artifact.places {
            let compose = place.kind == TargetKind::Service;
            for Pair { resource, limit, request } in pairs(place) {
                let (Some(limit_text), Some(request_text)) = (limit.text(), request.text()) else { continue };
                let (Some(most), Some(least)) = (parse_quantity(limit_text, compose), parse_quantity(request_text, compose)) else {
                    continue;
                };
                // Zero is no limit in Compose; decimal fractions are not exact.
                if most >= least * (1.0 - 1e-9) || (compose && most <= 0.0) {
                    continue;
                }
                let word = if compose { "reservation" } else { "request" };
                let span = request.place();
                let path = std::sync::Arc::clone(&run.file.source.path);
                let message = format!("{resource} limit `{}` is below the {word} `{}`", limit_text.trim(), request_text.trim());
                let draft = run.report_at(place, limit, message);
                draft.related.push(Related { location: Location { path, span }, label: format!("the {word}") });
            }
        }
    }
}

/// The field's sort of quantity.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Measure {
    Cpu,
    Memory,
    /// Small volumes are no mistake.
    Storage,
}

/// Quantities of a target that are measured in a known way; devices and extended resources are counted in their own.
fn quantities<'d>(place: &Place<'d>) -> Vec<(Measure, Node<'d>)> {
    let lists: &[&[&str]] = match place.kind {
        TargetKind::Container | TargetKind::Pod => &[&["resources", "requests"], &["resources", "limits"]],
        TargetKind::Resources => &[&["requests"], &["limits"]],
        TargetKind::Service => &[&["deploy", "resources", "limits"], &["deploy", "resources", "reservations"]],
        _ => return Vec::new(),
    };
    let measure = |key: &str| match key {
        "cpu" | "cpus" => Some(Measure::Cpu),
        "memory" | "mem_limit" | "mem_reservation" => Some(Measure::Memory),
        "ephemeral-storage" => Some(Measure::Storage),
        _ => None,
    };
    // A service's own keys stand beside the list.
    let own = (place.kind == TargetKind::Service).then_some(place.node);
    let nodes = lists.iter().filter_map(|keys| place.node.at_path(keys)).chain(own);
    nodes
        .flat_map(Node::entries)
        .filter_map(|(key, value)| Some((measure(key.text()?)?, value)))
        .filter(|(_, value)| value.is_scalar() && !value.is_null())
        .collect()
}

/// Below this no container starts (Docker refuses less than 6 MiB).
const LEAST_MEMORY: f64 = 4.0 * 1024.0 * 1024.0;
/// More cores than nearly all machines have.
const MANY_CORES: f64 = 256.0;

/// What is wrong with a quantity, if it is almost surely not what was meant.
fn suspect(measure: Measure, text: &str, compose: bool) -> Option<String> {
    let text = text.trim();
    // What does not begin like a number is filled in later, or belongs to the schema.
    let digits = text.trim_start_matches(['-', '+']).starts_with(|first: char| first.is_ascii_digit() || first == '.');
    if !digits || text.contains(['$', '{', '<', '%']) {
        return None;
    }
    let amount = match measure {
        Measure::Cpu if compose => crate::syntax::number(text),
        _ => parse_quantity(text, compose),
    };
    let Some(amount) = amount else {
        let meant = match (measure, compose) {
            (Measure::Cpu, true) => "cores, such as `0.5`",
            (Measure::Cpu, false) => "cores, such as `500m` or `0.5`",
            (_, true) => "a size such as `512m` or `1g`",
            (_, false) => "a size such as `512Mi` or `1Gi`",
        };
        return Some(format!("`{text}` is no quantity here; write {meant}"));
    };
    match measure {
        Measure::Cpu if amount >= MANY_CORES && !text.ends_with(['m', 'u', 'n']) => {
            let bare = !compose && text.bytes().all(|byte| byte.is_ascii_digit());
            let help = if bare { format!("; thousandths are `{text}m`") } else { String::new() };
            Some(format!("`{text}` is {amount} cores{help}"))
        }
        Measure::Memory | Measure::Storage if !compose && amount > 0.0 && text.ends_with('m') && amount < LEAST_MEMORY => {
            Some(format!("`{text}` is thousandths of a byte; write `{}Mi`", text.trim_end_matches('m')))
        }
        Measure::Memory if amount > 0.0 && amount < LEAST_MEMORY => {
            Some(format!("`{text}` of memory is {}, which no container starts with", size(amount)))
        }
        _ => None,
    }
}

fn size(bytes: f64) -> String {
    if bytes < 1024.0 { format!("{bytes} bytes") } else { format!("{:.0} KiB", bytes / 1024.0) }
}

/// Quantities whose unit is almost surely a mistake.
pub(crate) fn quantity_suspect(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts() {
        for place in &artifact.places {
            for (measure, node) in quantities(place) {
                if let Some(message) = node.text().and_then(|text| suspect(measure, text, place.kind == TargetKind::Service)) {
                    run.report_at(place, node, message);
                }
            }
        }
    }
}

/// A quantity of a container's own resources.
fn own_quantity<'d>(place: &Place<'d>, list: &str, resource: &str) -> Option<(f64, Node<'d>)> {
    let node = place.node.at_path(&["resources", list, resource]).filter(|node| !node.is_null())?;
    Some((parse_quantity(node.text()?, false)?, node))
}

/// Containers that share in what their pod reserves.
fn running<'a, 'd>(run: &Run<'a, 'd>) -> impl Iterator<Item = (&'a Artifact<'d>, &'a Place<'d>)> + use<'a, 'd> {
    run.artifacts().flat_map(|artifact| {
        artifact.targets(TargetKind::Container).filter(|place| place.role != Role::Ephemeral).map(move |place| (artifact, place))
    })
}

/// A request below the limit of the same resource; one above it is another rule's.
fn request_below_limit(run: &mut Run<'_, '_>, resource: &str) {
    for (_, place) in running(run) {
        let pair = own_quantity(place, "limits", resource).zip(own_quantity(place, "requests", resource));
        let Some(((most, limit), (least, request))) = pair else { continue };
        if least < most * (1.0 - 1e-9) {
            let text = |node: Node<'_>| node.text().unwrap_or_default().trim().to_owned();
            let message =
                format!("{resource} request `{}` of container `{}` is below the limit `{}`", text(request), place.name(), text(limit));
            let (path, span) = (std::sync::Arc::clone(&run.file.source.path), limit.place());
            let draft = run.report_at(place, request, message);
            draft.related.push(Related { location: Location { path, span }, label: "the limit".to_owned() });
        }
    }
}

/// A CPU request below the limit.
pub(crate) fn cpu_request_differs_from_limit(run: &mut Run<'_, '_>) {
    request_below_limit(run, "cpu");
}

/// A memory request below the limit.
pub(crate) fn memory_request_differs_from_limit(run: &mut Run<'_, '_>) {
    request_below_limit(run, "memory");
}

/// A request of local storage below the limit.
pub(crate) fn ephemeral_storage_request_differs_from_limit(run: &mut Run<'_, '_>) {
    request_below_limit(run, "ephemeral-storage");
}

/// CPU limits below one core.
pub(crate) fn cpu_limit_below_one_core(run: &mut Run<'_, '_>) {
    for (_, place) in running(run).filter(|(_, place)| place.role == Role::Main) {
        let Some((most, limit)) = own_quantity(place, "limits", "cpu").filter(|(most, _)| *most > 0.0 && *most < 1.0) else { continue };
        // A batch job that asks for what it may use knows its share.
        let batch = !place.long_running && own_quantity(place, "requests", "cpu").is_none_or(|(least, _)| least >= most);
        if !batch {
            let text = limit.text().unwrap_or_default().trim();
            run.report_at(place, limit, format!("CPU limit `{text}` of container `{}` is below one core", place.name()));
        }
    }
}

/// Containers that may fill the disk of their node.
pub(crate) fn ephemeral_storage_unset(run: &mut Run<'_, '_>) {
    const STORAGE: &str = "ephemeral-storage";
    for (artifact, place) in running(run).filter(|(_, place)| place.complete && place.image != "auto") {
        // A limit is the request, too; a request alone holds nobody back.
        if place.node.at_path(&["resources", "limits", STORAGE]).is_some() {
            continue;
        }
        let requested = place.node.at_path(&["resources", "requests", STORAGE]).is_some();
        let volumes = artifact.targets(TargetKind::Pod).filter_map(|pod| pod.node.get("volumes")).flat_map(Node::items);
        let mounts = |volume: Node<'_>| {
            let mounts = place.node.get("volumeMounts").into_iter().flat_map(Node::items);
            mounts.into_iter().any(|mount| mount.text_of("name") == volume.text_of("name"))
        };
        // A volume in memory is no disk.
        let on_disk = |volume: Node<'_>| volume.get("emptyDir").is_some_and(|volume| volume.text_of("medium") != Some("Memory"));
        let scratch = volumes.into_iter().any(|volume| on_disk(volume) && mounts(volume));
        let read_only = place.node.at_path(&["securityContext", "readOnlyRootFilesystem"]).and_then(Node::as_bool) == Some(true);
        if read_only && !scratch {
            continue;
        }
        let at = place.node.get("resources").filter(|resources| resources.is_mapping() && !resources.is_alias()).unwrap_or(place.node);
        let missing = if requested { "limit" } else { "request or limit" };
        let message = format!("container `{}` has no {missing} of {STORAGE}", place.name());
        let default_request = (!requested).then_some("limit-range.defaultRequest.ephemeral-storage");
        let facts = std::iter::once("limit-range.default.ephemeral-storage").chain(default_request);
        run.report_at(place, at, message).unless = facts.map(|fact| Excuse::new(fact, artifact)).collect();
    }
}

/// The name of an image without registry, path, tag and digest, and its tag.
pub(super) fn image_name(image: &str) -> (&str, &str) {
    let image = image.split('@').next().unwrap_or_default();
    let last = image.rsplit('/').next().unwrap_or_default();
    last.split_once(':').unwrap_or((last, ""))
}

/// Whether an image is the server that a word names, and not one of the tools around it.
pub(super) fn is_server_image(image: &str, words: &[String]) -> bool {
    const SERVERS: [&str; 5] = ["openai", "server", "serving", "inference", "oss"];
    let (name, _) = image_name(image);
    words.iter().any(|word| {
        name.strip_prefix(word.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.strip_prefix('-').is_some_and(|rest| SERVERS.contains(&rest)))
    })
}

fn is_gpu(resource: &str) -> bool {
    resource.ends_with("/gpu")
        || resource.ends_with(".com/gpu.shared")
        || resource.starts_with("nvidia.com/mig-")
        || resource.starts_with("gpu.intel.com/")
}

/// Why a pod is surely meant for a node with a GPU: where that is said, and how.
fn gpu_sign(pod: Node<'_>) -> Option<(Node<'_>, &'static str)> {
    let selector = pod.get("nodeSelector").into_iter().flat_map(Node::entries).find_map(|(key, value)| {
        let name = key.text()?;
        (name.starts_with("nvidia.com/gpu") || name.starts_with("amd.com/gpu") || name == "cloud.google.com/gke-accelerator")
            .then_some(value)
    });
    if let Some(node) = selector {
        return Some((node, "its pod selects nodes with a GPU"));
    }
    let tolerated = pod
        .get("tolerations")
        .into_iter()
        .flat_map(Node::items)
        .find_map(|toleration| toleration.get("key").filter(|key| key.text().is_some_and(is_gpu)));
    tolerated.map(|key| (key, "its pod tolerates the taint of GPU nodes"))
}

/// Containers that need a GPU and are given none.
pub(crate) fn gpu_limit_missing(run: &mut Run<'_, '_>) {
    let images = run.active.texts("images");
    for artifact in run.artifacts() {
        // Agents of a node run beside what uses its GPUs.
        if artifact.object.kind == "DaemonSet" {
            continue;
        }
        let containers: Vec<&Place<'_>> = artifact.targets(TargetKind::Container).filter(|place| place.role != Role::Ephemeral).collect();
        let limit = |place: &Place<'_>| {
            let limits = place.get(&["resources", "limits"]).into_iter().flat_map(Node::entries);
            limits.into_iter().any(|(key, _)| key.text().is_some_and(is_gpu)) || place.node.at_path(&["resources", "claims"]).is_some()
        };
        for place in &containers {
            for (key, request) in place.node.at_path(&["resources", "requests"]).into_iter().flat_map(Node::entries) {
                let Some(resource) = key.text().filter(|resource| is_gpu(resource)) else { continue };
                let most = place.node.at_path(&["resources", "limits", resource]).and_then(Node::text);
                // One above the limit is another rule's.
                let above = || {
                    let count = |text: Option<&str>| text.and_then(|text| parse_quantity(text, false));
                    count(request.text()).zip(count(most)).is_some_and(|(least, most)| least > most)
                };
                if most != request.text() && (most.is_some() || place.complete) && !above() {
                    let limit = most.map_or_else(|| "no limit".to_owned(), |most| format!("a limit of `{most}`"));
                    let least = request.text().unwrap_or_default();
                    let message =
                        format!("container `{}` requests `{least}` of `{resource}` with {limit}; the two have to be equal", place.name());
                    run.report_at(place, request, message);
                }
            }
        }
        let asks = |place: &&&Place<'_>| {
            place
                .node
                .at_path(&["resources", "requests"])
                .into_iter()
                .flat_map(Node::entries)
                .any(|(key, _)| key.text().is_some_and(is_gpu))
        };
        if containers.iter().any(|place| limit(place)) || containers.iter().any(|place| asks(&place)) {
            continue;
        }
        let main: Vec<&&Place<'_>> = containers.iter().filter(|place| place.role == Role::Main && place.complete).collect();
        let served = main.iter().find(|place| {
            let (_, tag) = image_name(place.image);
            is_server_image(place.image, images) && !tag.split(['-', '_', '.']).any(|word| word == "cpu")
        });
        if let Some(place) = served {
            let at = place.node.get("resources").filter(|node| node.is_mapping() && !node.is_alias()).unwrap_or(place.node);
            let (name, _) = image_name(place.image);
            run.report_at(place, at, format!("container `{}` runs `{name}` without the limit of a GPU", place.name()));
            continue;
        }
        let asked = main.iter().find_map(|place| {
            let variable = artifact.variables.iter().find(|variable| {
                variable.container == place.name()
                    && matches!(&*variable.name, "NVIDIA_VISIBLE_DEVICES" | "CUDA_VISIBLE_DEVICES")
                    && !matches!(variable.value.trim(), "" | "none" | "void" | "-1" | "NoDevFiles")
            })?;
            Some((place, variable.node, format!("`{}` is set", variable.name)))
        });
        let sign = || {
            let pod = artifact.targets(TargetKind::Pod).next()?;
            let (node, why) = gpu_sign(pod.node)?;
            main.first().map(|place| (place, node, why.to_owned()))
        };
        if let Some((place, node, why)) = asked.or_else(sign) {
            run.report_at(place, node, format!("container `{}` has no limit of a GPU, though {why}", place.name()));
        }
    }
}
