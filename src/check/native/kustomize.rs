//! Native checks of pack kustomize.

use crate::artifact::is_remote;
use crate::check::{Run, shorten};

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
