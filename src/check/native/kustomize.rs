//! Native checks of pack kustomize.

use crate::artifact::{is_kubernetes, is_remote, kubernetes};
use crate::check::{Run, shorten};
use crate::environment::{Problem, ProblemKind};
use crate::finding::Object;
use crate::survey::join;
use crate::syntax::{Document, Syntax};
use crate::tree::parent;

/// Fields that Kustomize has replaced.
const DEPRECATED: &[(&str, &str)] = &[
    ("bases", "`resources`"),
    ("patchesStrategicMerge", "`patches` with `path`"),
    ("patchesJson6902", "`patches` with `target`"),
    ("commonLabels", "`labels` with `includeSelectors: true`"),
    ("vars", "`replacements`"),
    ("imageTags", "`images`"),
];

/// Reports fields that Kustomize has replaced.
pub(crate) fn deprecated_field(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts() {
        for (key, value) in artifact.root.pairs() {
            let Some((field, instead)) = DEPRECATED.iter().find(|(field, _)| key.text() == Some(field)) else { continue };
            run.report(key.place(), artifact.object_at(value, ""), format!("`{field}` is deprecated; write {instead}"));
        }
    }
}

/// Names of branches that move.
const BRANCHES: &[&str] =
    &["main", "master", "HEAD", "head", "develop", "development", "dev", "trunk", "next", "latest", "stable", "edge", "nightly"];

/// Why a remote resource is not the same at every build.
fn fault(url: &str) -> Option<String> {
    if url.contains("@sha256:") || url.starts_with("oci://") {
        return None;
    }
    let (address, query) = url.split_once('?').unwrap_or((url, ""));
    let reference = query.split('&').find_map(|part| part.strip_prefix("ref=").or_else(|| part.strip_prefix("version=")));
    if let Some(reference) = reference {
        return BRANCHES.contains(&reference).then(|| format!("follows `{reference}`, which moves"));
    }
    let path = address.split_once("://").map_or(address, |(_, path)| path);
    let parts: Vec<&str> = path.split('/').collect();
    let file =
        [".yaml", ".yml", ".json"].iter().any(|ending| address.ends_with(ending)) && address.contains("://") && !address.contains(".git//");
    if file {
        // The address of a single file has its version in the path, where it has one.
        let host = parts.first().copied().unwrap_or_default();
        let reference = match host {
            "raw.githubusercontent.com" if parts.get(3..5) == Some(&["refs", "heads"]) => parts.get(5),
            "raw.githubusercontent.com" => parts.get(3),
            "github.com" if matches!(parts.get(3), Some(&("raw" | "blob"))) => parts.get(4),
            "github.com" if parts.get(3..5) == Some(&["releases", "latest"]) => parts.get(4),
            _ => None,
        };
        return reference.filter(|reference| BRANCHES.contains(reference)).map(|reference| match *reference {
            "latest" => "follows the latest release".to_owned(),
            reference => format!("follows `{reference}`, which moves"),
        });
    }
    Some("has no `ref`, so it follows the default branch".to_owned())
}

/// Reports remote resources that change without a change here.
pub(crate) fn remote_base_unpinned(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts() {
        for list in ["resources", "bases", "components", "crds"].iter().filter_map(|key| artifact.root.get(key)) {
            for item in list.items() {
                let Some(url) = item.text().filter(|url| is_remote(url) && !url.contains(['$', '{', '\n'])) else { continue };
                if let Some(fault) = fault(url) {
                    let shown = shorten(without_user(url));
                    run.report(item.place(), artifact.object_at(item, ""), format!("`{shown}` {fault}"));
                }
            }
        }
    }
}

/// A URL from its host on, where it names a user or a password.
fn without_user(url: &str) -> &str {
    let from = url.find("://").map_or(0, |at| at + 3);
    let host = url.get(from..).unwrap_or_default();
    match host.split('/').next().and_then(|authority| authority.rfind('@')) {
        Some(at) if from > 0 => host.get(at + 1..).unwrap_or_default(),
        _ => url,
    }
}

/// Reports what a build names and does not have.
fn report(run: &mut Run<'_, '_>, kind: ProblemKind, message: impl Fn(&Problem) -> String) {
    for problem in run.file.problems.iter().filter(|problem| problem.kind == kind) {
        let object = Object { kind: "Kustomization".to_owned(), ..Object::default() };
        run.report(problem.span, object, message(problem));
    }
}

/// Reports entries that name a path which is not there.
pub(crate) fn reference_missing(run: &mut Run<'_, '_>) {
    report(run, ProblemKind::Path, |problem| format!("`{}` does not exist, or holds no kustomization, so the build fails", problem.name));
}

/// Reports patches, replica counts and replacements for objects that the build does not have.
pub(crate) fn patch_target_missing(run: &mut Run<'_, '_>) {
    report(run, ProblemKind::Target, |problem| format!("no object of the build is `{}`", problem.name));
    report(run, ProblemKind::Field, |problem| format!("the object has no `{}` here, so the build fails", problem.name));
}

/// Reports images that the build does not use.
pub(crate) fn image_override_unused(run: &mut Run<'_, '_>) {
    report(run, ProblemKind::Image, |problem| format!("no object of the build uses the image `{}`", problem.name));
}

/// Reports manifests beside a kustomization that no kustomization uses.
pub(crate) fn manifest_not_applied(run: &mut Run<'_, '_>) {
    let folder = parent(&run.file.source.path).unwrap_or_default();
    for artifact in run.artifacts() {
        let Some(resources) = artifact.root.get("resources").filter(|resources| resources.items().next().is_some()) else { continue };
        for name in run.file.tree.names(folder) {
            // What another field of the kustomization names is used in another way.
            if !is_manifest_name(&name) || run.file.source.text.contains(&name) {
                continue;
            }
            let Some(path) = join(folder, &name).filter(|path| !run.file.files.is_composed(path)) else { continue };
            let Some(parsed) = run.file.files.parsed(&path, Syntax::Yaml).filter(|parsed| parsed.errors.is_empty()) else { continue };
            let is_applied = |document: &Document| {
                let root = document.root();
                let group = kubernetes::api_group(root.text_of("apiVersion").unwrap_or_default());
                // Configuration of tools, and what a delivery tool starts from.
                is_kubernetes(root) && root.get("metadata").is_some() && !group.ends_with("config.k8s.io") && !is_delivery(group)
            };
            if !parsed.documents.is_empty() && parsed.documents.iter().all(is_applied) {
                let object = artifact.object_at(resources, "");
                run.report(resources.place(), object, format!("`{name}` stands beside this kustomization, and none applies it"));
            }
        }
    }
}

/// API groups of tools that deploy what others wrote.
fn is_delivery(group: &str) -> bool {
    group.ends_with(".fluxcd.io") || group.ends_with("toolkit.fluxcd.io") || group == "argoproj.io" || group == "skaffold"
}

/// Whether a file's name is that of a manifest that is meant to be applied.
fn is_manifest_name(name: &str) -> bool {
    const NOT: &[&str] = &[
        "values",
        "example",
        "examples",
        "sample",
        "samples",
        "template",
        "test",
        "patch",
        "patches",
        "kustomization",
        "old",
        "backup",
        "disabled",
    ];
    let lower = name.to_ascii_lowercase();
    let yaml = lower.ends_with(".yaml") || lower.ends_with(".yml");
    let hidden = lower.starts_with(['_', '.']);
    yaml && !hidden && !lower.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| NOT.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::fault;

    #[test]
    fn pinned_addresses_are_told_apart() {
        for good in [
            "github.com/example/config//base?ref=v1.4.0",
            "https://github.com/example/config//base?ref=0123456789abcdef0123456789abcdef01234567&timeout=90s",
            "https://raw.githubusercontent.com/example/config/v1.4.0/install.yaml",
            "https://github.com/example/config/releases/download/v1.4.0/install.yaml",
            "https://example.com/install/1.4.0/install.yaml",
        ] {
            assert_eq!(fault(good), None, "{good}");
        }
        for bad in [
            "github.com/example/config//base",
            "https://github.com/example/config.git//base?ref=main",
            "git@github.com:example/config.git",
            "https://raw.githubusercontent.com/example/config/main/install.yaml",
            "https://raw.githubusercontent.com/example/config/refs/heads/main/install.yaml",
            "https://github.com/example/config/releases/latest/download/install.yaml",
        ] {
            assert!(fault(bad).is_some(), "{bad}");
        }
    }
}
