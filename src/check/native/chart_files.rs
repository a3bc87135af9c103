//! Native checks of pack helm that look at the files of a chart: what is vendored, what is locked, and values of production.

use std::collections::{BTreeSet, HashMap};

use super::cron::is_filled_later;
use super::helm::{at, charts, written};
use crate::artifact::{Artifact, PathScope, switched_off};
use crate::check::{Run, shorten};
use crate::finding::{Confidence, Location, Related, Severity};
use crate::rule::ArtifactKind;
use crate::survey::{Sort, join};
use crate::syntax::{Node, Syntax};
use crate::tree::parent;

fn dependencies(root: Node<'_>) -> impl Iterator<Item = (Node<'_>, Node<'_>, &str)> {
    let items = root.get("dependencies").into_iter().flat_map(Node::items);
    items.filter_map(|item| Some((item, item.get("name")?, item.text_of("name")?))).filter(|(.., name)| !is_filled_later(name))
}

/// A path in the folder of the file.
fn beside(run: &Run<'_, '_>, name: &str) -> Option<String> {
    join(parent(&run.file.source.path).unwrap_or_default(), name)
}

/// Whether a dependency lies in the repository beside the chart.
fn is_local(repository: &str) -> bool {
    repository.starts_with("file:")
}

/// Reports dependencies that are not vendored, vendored charts that are not declared, and names that stand twice.
pub(crate) fn dependency_missing(run: &mut Run<'_, '_>) {
    let tree = run.file.tree;
    for artifact in charts(run) {
        let root = artifact.root;
        let Some(folder) = beside(run, "charts").filter(|_| root.is_mapping()) else { continue };
        let archives: Vec<String> = tree.names(&folder).into_iter().filter(|name| name.ends_with(".tgz")).collect();
        let mut names: HashMap<&str, Node<'_>> = HashMap::new();
        let locked = beside(run, "Chart.lock").is_some_and(|lock| tree.is_file(&lock));
        let is_kept = !tree.ignores(&folder, true);
        for (item, node, name) in dependencies(root) {
            let own = item.get("alias").filter(|alias| !alias.is_null()).unwrap_or(node);
            let Some(called) = own.text() else { continue };
            if let Some(first) = names.get(called) {
                let related = Related {
                    location: Location { path: std::sync::Arc::clone(&run.file.source.path), span: first.place() },
                    label: "the first".to_owned(),
                };
                let message = format!("two dependencies are called `{}`; give one of them an `alias`", shorten(called));
                run.report(own.place(), at(root, own), message).related.push(related);
                continue;
            }
            names.insert(called, own);
            let repository = item.get("repository").and_then(Node::text).unwrap_or_default();
            if is_local(repository) {
                let path = repository.trim_start_matches("file://").trim_start_matches("file:");
                let there =
                    is_filled_later(path) || beside(run, path).is_none_or(|path| tree.is_folder(&path) || tree.ignores(&path, true));
                if let Some(node) = item.get("repository").filter(|_| !there) {
                    run.report(node.place(), at(root, node), format!("dependency `{}` is a folder that is not there", shorten(name)));
                }
                continue;
            }
            let conditional = ["condition", "tags"].iter().any(|key| written(item, key).is_some());
            let vendored = join(&folder, name).is_some_and(|path| tree.is_folder(&path))
                || archives.iter().any(|archive| archive.strip_prefix(name).is_some_and(|rest| rest.starts_with('-')));
            let archive = join(&folder, &format!("{name}-{}.tgz", item.text_of("version").unwrap_or("0.0.0")));
            let is_kept = is_kept && !archive.is_some_and(|archive| tree.ignores(&archive, false));
            if vendored || conditional || (locked && !is_kept) {
                continue;
            }
            let message = format!("dependency `{}` is not in `charts/`, so Helm refuses to install the chart", shorten(name));
            let draft = run.report(node.place(), at(root, node), message);
            // Whoever deploys may run `helm dependency build` first.
            if locked {
                draft.confidence = draft.confidence.lower();
            }
        }
        // Charts of the first version keep their list elsewhere.
        if beside(run, "requirements.yaml").is_some_and(|path| tree.is_file(&path)) {
            continue;
        }
        let declared: BTreeSet<&str> = dependencies(root).map(|(.., name)| name).collect();
        let below = format!("{folder}/");
        let vendored: Vec<&str> = run
            .file
            .files
            .of_sort(Sort::VendoredChart)
            .filter_map(|path| path.strip_prefix(&below)?.strip_suffix("/Chart.yaml"))
            .filter(|name| !name.contains('/') && !declared.contains(name))
            .collect();
        for name in vendored {
            // Its folder may be called otherwise than the chart.
            let own = run.file.files.parsed(&format!("{below}{name}/Chart.yaml"), Syntax::Yaml);
            let own = own.as_ref().and_then(|parsed| parsed.documents.first()?.root().text_of("name"));
            if own.is_some_and(|own| declared.contains(own)) {
                continue;
            }
            let place = root.get("dependencies").or_else(|| root.get("name")).unwrap_or(root);
            let message = format!("`charts/{}` is no declared dependency, so nobody sees its version", shorten(name));
            run.report(place.place(), at(root, place), message).severity = Severity::Low;
        }
    }
}

/// Whether a version leaves open which one is taken.
fn is_range(version: &str) -> bool {
    let version = version.trim().trim_start_matches(['v', '=']).trim();
    let core = version.split(['-', '+']).next().unwrap_or_default();
    let parts: Vec<&str> = core.split('.').collect();
    parts.len() < 3 || parts.iter().any(|part| part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit())) || version.contains(' ')
}

/// Reports dependencies whose version is left open, locks that say something else, and conditions that nothing sets.
pub(crate) fn dependency_unpinned(run: &mut Run<'_, '_>) {
    for artifact in charts(run) {
        let root = artifact.root;
        let locked: HashMap<String, String> = beside(run, "Chart.lock")
            .and_then(|path| run.file.files.parsed(&path, Syntax::Yaml))
            .iter()
            .filter_map(|parsed| parsed.documents.first())
            .flat_map(|document| dependencies(document.root()))
            .filter_map(|(item, _, name)| Some((name.to_owned(), item.text_of("version")?.to_owned())))
            .collect();
        let values = beside(run, "values.yaml").and_then(|path| run.file.files.parsed(&path, Syntax::Yaml));
        let values = values.as_ref().and_then(|values| values.documents.first());
        for (item, node, name) in dependencies(root) {
            let repository = item.text_of("repository").unwrap_or_default();
            let local = is_local(repository) || repository.is_empty();
            let version = written(item, "version");
            let text = version.and_then(Node::text).unwrap_or_default();
            let lock = locked.get(name);
            // Every entry of a name that stands twice has one of the locked versions.
            let twice = dependencies(root).filter(|(.., other)| *other == name).count() > 1;
            let report = match (is_range(text), lock) {
                _ if local || (is_filled_later(text) && !text.is_empty()) => None,
                (true, None) if text.is_empty() => Some(format!("dependency `{}` has no version", shorten(name))),
                (true, None) => {
                    Some(format!("dependency `{}` takes any version of `{}`, and nothing locks it", shorten(name), shorten(text)))
                }
                (false, Some(lock)) if !twice && lock.trim_start_matches('v') != text.trim_start_matches(['v', '=']) => {
                    Some(format!("Chart.lock has version {} of dependency `{}`, not {}", shorten(lock), shorten(name), shorten(text)))
                }
                _ => None,
            };
            if let Some(message) = report {
                let place = version.unwrap_or(node);
                run.report(place.place(), at(root, place), message);
            }
            let (Some(condition), Some(values)) = (written(item, "condition"), values) else { continue };
            let paths: Vec<&str> = condition.text().unwrap_or_default().split(',').map(str::trim).collect();
            let is_set = |path: &&str| values.root().at_path(&path.split('.').collect::<Vec<_>>()).is_some();
            // The dependency's own values may set what begins with its name.
            let brought = join(parent(&run.file.source.path).unwrap_or_default(), &format!("charts/{name}/values.yaml"))
                .is_some_and(|path| run.file.tree.is_file(&path));
            if !paths.iter().any(is_set) && !brought && !paths.iter().any(|path| path.is_empty() || is_filled_later(path)) {
                let message = format!("values.yaml does not set `{}`, so the dependency is always installed", shorten(&paths.join(",")));
                let draft = run.report(condition.place(), at(root, condition), message);
                draft.severity = Severity::Low;
                draft.confidence = Confidence::Medium;
            }
        }
    }
    for artifact in
        run.file.artifacts.iter().filter(|artifact| artifact.kind == ArtifactKind::Kubernetes && artifact.object.kind == "HelmRelease")
    {
        release_unpinned(run, artifact);
    }
}

/// Reports a release that follows the newest chart; in production gitops/target-revision-mutable does.
fn release_unpinned<'d>(run: &mut Run<'_, 'd>, artifact: &Artifact<'d>) {
    let words = format!("{}-{}", artifact.object.name, artifact.object.namespace).to_ascii_lowercase();
    let production = words.split(['-', '_', '.']).any(|word| matches!(word, "prod" | "production"));
    let Some(chart) = artifact.root.at_path(&["spec", "chart", "spec"]) else { return };
    let repository = chart.at_path(&["sourceRef", "kind"]).and_then(Node::text);
    if artifact.scope != PathScope::Unscoped || production || !artifact.complete || repository != Some("HelmRepository") {
        return;
    }
    let version = chart.get("version").filter(|version| !version.is_null());
    let text = version.and_then(Node::text).unwrap_or_default();
    if !is_range(text) || text.contains(['$', '{']) {
        return;
    }
    let name = shorten(&artifact.object.name);
    let message = match version {
        Some(_) => format!("HelmRelease `{name}` takes any chart version of `{}`", shorten(text)),
        None => format!("HelmRelease `{name}` names no chart version and takes the newest"),
    };
    let place = version.or_else(|| chart.get("chart")).unwrap_or(chart);
    run.report(place.place(), artifact.object_at(place, ""), message);
}

/// What a switch of a values file is called, and what it switches.
const SWITCHES: &[(&[&str], &str)] = &[
    (&["autoscaling", "hpa", "keda", "horizontalpodautoscaler"], "autoscaling"),
    (&["poddisruptionbudget", "poddisruptionbudgets", "pdb"], "the disruption budget"),
    (&["networkpolicy", "networkpolicies"], "the network policy"),
    (&["servicemonitor", "podmonitor", "monitoring", "metrics", "prometheusrule"], "monitoring"),
    (&["persistence"], "persistence"),
    (&["tls"], "TLS"),
];

/// Reports what values of production leave out although the chart has it on.
pub(crate) fn production_values_unsafe(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts().filter(|artifact| artifact.kind == ArtifactKind::HelmValues && artifact.scope == PathScope::Production)
    {
        for node in artifact.root.values() {
            let Some(off) = node.get("enabled").filter(|off| node.is_mapping() && off.as_bool() == Some(false)) else { continue };
            let key = node.key_text().unwrap_or_default().to_ascii_lowercase();
            let Some((_, what)) = SWITCHES.iter().find(|(names, _)| names.contains(&key.as_str())) else { continue };
            // What is left out as a whole needs none of it.
            if node.parent().is_some_and(switched_off) {
                continue;
            }
            let keys = off.keys();
            let default = artifact.base.and_then(|base| base.at_path(&keys)).and_then(Node::as_bool);
            let replicas = node.parent().and_then(|around| around.get("replicaCount").or_else(|| around.get("replicas")));
            if *what == "autoscaling" && default != Some(true) && replicas.and_then(Node::as_int).is_some_and(|replicas| replicas > 1) {
                continue;
            }
            let message = format!("values of production turn {what} off (`{}`)", shorten(&keys.join(".")));
            let draft = run.report(off.place(), artifact.object_at(off, ""), message);
            // What the chart has off by default may not be needed.
            if default != Some(true) {
                draft.confidence = draft.confidence.lower();
            }
        }
        untagged(run, artifact);
    }
}

/// Reports an empty tag that stands for the version of a chart which has none.
fn untagged<'d>(run: &mut Run<'_, 'd>, artifact: &Artifact<'d>) {
    let folder = artifact.base.map_or(&*run.file.source.path, |base| &*base.doc.source.path);
    let Some(path) = parent(folder).and_then(|folder| join(folder, "Chart.yaml")) else { return };
    let tags = || artifact.root.values().into_iter().filter(|node| node.key_text() == Some("tag") && node.is_scalar());
    let empty: Vec<Node<'d>> = tags().filter(|tag| tag.is_null() || tag.text() == Some("")).filter(|tag| !switched_off(*tag)).collect();
    if empty.is_empty() {
        return;
    }
    let chart = run.file.files.parsed(&path, Syntax::Yaml);
    let version = chart.as_ref().and_then(|chart| chart.documents.first()?.root().text_of("appVersion")).unwrap_or_default();
    if !version.starts_with("0.0.0") {
        return;
    }
    for tag in empty {
        let message = format!("the tag is empty, and the appVersion {} of the chart names no image", shorten(version));
        run.report(tag.place(), artifact.object_at(tag, ""), message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_exact_or_ranges() {
        for version in ["1.2.3", "v1.2.3", "=1.2.3", "1.2.3-rc.1+5"] {
            assert!(!is_range(version), "{version}");
        }
        for version in ["", "*", "1.2", "^1.2.3", "~1.2.3", "1.2.x", ">=1.2.3", ">1.0.0 <2.0.0", "x"] {
            assert!(is_range(version), "{version}");
        }
    }
}
