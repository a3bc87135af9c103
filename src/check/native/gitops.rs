//! Native checks of pack gitops.

use super::cron::is_filled_later;
use crate::artifact::Artifact;
use crate::artifact::kubernetes::api_group;
use crate::check::{Run, shorten};
use crate::project::{Delivered, delivered};
use crate::survey::join;
use crate::syntax::Node;

/// A path that a delivery names: where it stands and what it is.
struct Named<'d> {
    node: Node<'d>,
    /// From the root of the repository.
    path: String,
    what: &'static str,
}

/// The values files of a source, which Argo CD finds from its path, or from the root where they begin with a slash.
fn values<'d>(source: &Delivered<'d>) -> Vec<Named<'d>> {
    let helm = source.node.get("helm");
    if helm.is_none_or(|helm| helm.get("ignoreMissingValueFiles").and_then(Node::as_bool) == Some(true)) {
        return Vec::new();
    }
    let files = helm.and_then(|helm| helm.get("valueFiles")).into_iter().flat_map(Node::items);
    files
        .filter_map(|node| {
            let text = node.text().filter(|text| !text.contains("://") && !is_filled_later(text))?;
            let path = match text.strip_prefix('/') {
                Some(rest) => join("", rest)?,
                None => join(&source.path, text)?,
            };
            Some(Named { node, path, what: "the values file" })
        })
        .collect()
}

/// Reports paths of this repository that are not in it.
pub(crate) fn source_missing(run: &mut Run<'_, '_>) {
    let artifacts: Vec<&Artifact<'_>> = run.artifacts().filter(|artifact| artifact.complete).collect();
    for artifact in artifacts {
        surroundings_missing(run, artifact);
        for source in delivered(artifact.root) {
            let tree = run.file.tree;
            let mut missing = Vec::new();
            if !tree.is_folder(&source.path) && !tree.is_file(&source.path) {
                missing.push(Named { node: source.at, path: source.path.clone(), what: "the path" });
            } else {
                missing.extend(values(&source).into_iter().filter(|named| !tree.is_file(&named.path)));
            }
            // Of other repositories nothing is known.
            if missing.is_empty() || !run.file.files.is_own_repository(&source.repository) {
                continue;
            }
            for named in missing {
                let kind = &artifact.object.kind;
                let message =
                    format!("{} `{}` of {kind} `{}` is not in this repository", named.what, shorten(&named.path), artifact.object.name);
                let draft = run.report(named.node.place(), artifact.object_at(named.node, ""), message);
                // Another revision may hold what this one does not.
                let revision = source.node.text_of("targetRevision").unwrap_or("HEAD");
                if !matches!(revision, "" | "HEAD" | "main" | "master") {
                    draft.confidence = draft.confidence.lower();
                }
            }
        }
    }
}

/// Reports an Application whose project or namespace the repository, which defines others, does not.
fn surroundings_missing(run: &mut Run<'_, '_>, artifact: &Artifact<'_>) {
    let root = artifact.root;
    if artifact.object.kind != "Application" || api_group(root.text_of("apiVersion").unwrap_or_default()) != "argoproj.io" {
        return;
    }
    let options = root.at_path(&["spec", "syncPolicy", "syncOptions"]).into_iter().flat_map(Node::items);
    let makes_namespace = options.filter_map(Node::text).any(|option| option == "CreateNamespace=true");
    let project = Some(("AppProject", root.at_path(&["spec", "project"])));
    let namespace = Some(("Namespace", root.at_path(&["spec", "destination", "namespace"]))).filter(|_| !makes_namespace);
    for (kind, node) in [project, namespace].into_iter().flatten() {
        let Some((node, name)) = node.and_then(|node| Some((node, node.text()?))) else { continue };
        let files = run.file.files;
        let given = matches!(name, "default" | "kube-system" | "kube-public" | "argocd") || is_filled_later(name);
        if given || !files.is_whole() || files.is_external(kind, name) {
            continue;
        }
        let known = files.needed(kind);
        if known.is_empty() || known.contains(name) {
            continue;
        }
        // What another repository deploys may bring its namespace along.
        let sources = delivered(root);
        let own = || !sources.is_empty() && sources.iter().all(|source| files.is_own_repository(&source.repository));
        if kind == "Namespace" && !own() {
            continue;
        }
        let message = format!("the repository defines no {kind} `{}`", shorten(name));
        let draft = run.report(node.place(), artifact.object_at(node, ""), message);
        if kind == "Namespace" {
            // It may have been made when the cluster was.
            draft.confidence = draft.confidence.lower();
        }
    }
}
