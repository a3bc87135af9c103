//! Hosts in variables that lead nowhere: Services of a cluster and of Compose.

use std::collections::BTreeSet;

use super::dangling::{is_missing, title, without_key};
use crate::artifact::{Artifact, Placement, TargetKind, host_in};
use crate::check::Run;
use crate::project::{Detail, ProjectRun};
use crate::syntax::Node;

/// Variables of pods and `ConfigMaps` that name a Service, or a port of one, that is not there.
pub(crate) fn env_host_unresolvable(run: &mut ProjectRun<'_>) {
    let group = run.group;
    for from in group.objects.iter().copied().filter(|facts| facts.complete) {
        for reference in &from.links.hosts {
            let namespace = from.namespace_for(reference);
            let name = &reference.name.at.text;
            if let Some(found) = without_key(group, from, reference) {
                // The pods of a headless Service answer on any port.
                let headless = found.iter().any(|(facts, _)| matches!(&facts.detail, Detail::Service { face, .. } if face.headless));
                if let Some(port) = reference.key.as_ref().filter(|_| !headless) {
                    let message = format!("{} asks Service `{name}` at port `{}`, which it does not have", title(from), port.at.text);
                    let draft = run.report(from, port.at.span, &port.path, message);
                    for (facts, _) in found.into_iter().take(3) {
                        draft.related.push(super::availability::related(facts, facts.name_span, title(facts)));
                    }
                }
                continue;
            }
            if group.has_kind(from, "Service", namespace) && is_missing(run, from, reference) {
                let whose = if reference.namespace.is_empty() { "its namespace".to_owned() } else { format!("namespace `{namespace}`") };
                let message = format!("{} names host `{name}`, which is no Service of {whose}", title(from));
                run.report(from, reference.name.at.span, &reference.name.path, message);
            }
        }
    }
}

/// The names under which containers of a Compose file find each other.
fn names<'d>(artifact: &Artifact<'d>) -> BTreeSet<&'d str> {
    let mut names = BTreeSet::new();
    for root in std::iter::once(artifact.root).chain(artifact.base) {
        for (key, service) in root.get("services").into_iter().flat_map(Node::entries) {
            names.extend(key.text());
            names.extend(["container_name", "hostname"].iter().filter_map(|key| service.text_of(key)));
            for (_, network) in service.get("networks").into_iter().flat_map(Node::entries) {
                names.extend(network.get("aliases").into_iter().flat_map(Node::items).filter_map(Node::text));
            }
            let links = ["links", "external_links"].iter().filter_map(|key| service.get(key)).flat_map(Node::items).filter_map(Node::text);
            names.extend(links.flat_map(|link| link.split(':')));
            let hosts = service.get("extra_hosts");
            names.extend(hosts.into_iter().flat_map(Node::items).filter_map(Node::text).filter_map(|host| host.split([':', '=']).next()));
            names.extend(hosts.into_iter().flat_map(Node::entries).filter_map(|(key, _)| key.text()));
        }
    }
    names
}

/// Whether containers may find others that are not of this file.
fn meets_others(artifact: &Artifact<'_>) -> bool {
    std::iter::once(artifact.root).chain(artifact.base).any(|root| {
        let networks = root.get("networks").into_iter().flat_map(Node::entries);
        root.get("include").is_some()
            || networks.into_iter().any(|(_, network)| network.get("external").is_some())
            || root.get("services").into_iter().flat_map(Node::entries).any(|(_, service)| {
                service.at_path(&["extends", "file"]).is_some()
                    || service.text_of("network_mode").is_some_and(|mode| mode == "host" || mode.starts_with("container:"))
            })
    })
}

/// Whether another Compose file of the folder has a service of a name: the two may be merged.
fn stands_beside(run: &Run<'_, '_>, name: &str) -> bool {
    let own = &run.file.source.path;
    let folder = own.rsplit_once('/').map_or("", |(folder, _)| folder);
    let files = run.file.tree.walk(folder, false).files.into_iter().filter(|file| {
        let (beside, file_name) = file.rsplit_once('/').unwrap_or(("", file));
        beside == folder
            && **own != **file
            && file_name.contains("compose")
            && (file_name.ends_with(".yml") || file_name.ends_with(".yaml"))
    });
    let key = format!("{name}:");
    files
        .filter_map(|file| run.file.tree.read(&file).ok())
        .any(|bytes| String::from_utf8_lossy(&bytes).lines().any(|line| line.trim() == key))
}

/// Variables of a Compose service that name a host which no service answers to.
pub(crate) fn compose_host_unresolvable(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts().filter(|artifact| artifact.targets(TargetKind::Service).count() > 1) {
        if meets_others(artifact) {
            continue;
        }
        let names = names(artifact);
        for variable in artifact.variables.iter().filter(|variable| variable.placement == Placement::ComposeEnvironment) {
            let Some((host, _)) = host_in(&variable.name, &variable.value) else { continue };
            // The default of an interpolation is often that of a feature which is switched off.
            let default = variable.node.text().is_some_and(|text| text.contains('$'));
            // One with dots is a public one, or one that nobody can tell from it.
            if default || host.contains('.') || names.contains(host) || stands_beside(run, host) {
                continue;
            }
            let message = format!("`{}` names host `{host}`, which is no service of this file", variable.name);
            run.report(variable.span, artifact.object_at(variable.node, variable.container), message);
        }
    }
}
