//! Kustomization files: what they tie together, and the literals of their generators.

use super::{Artifact, Context, Placement, Variable};
use crate::finding::Object;
use crate::rule::ArtifactKind;
use crate::source::Span;
use crate::syntax::Node;

/// What a kustomization names, as far as grouping needs it. Paths are as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kustomization {
    /// `resources`, `bases`, `components`.
    pub(crate) resources: Vec<String>,
    /// Files that are fragments: patches.
    pub(crate) patches: Vec<String>,
}

impl Kustomization {
    pub(crate) fn read(root: Node<'_>) -> Self {
        let mut found = Self::default();
        for (key, value) in root.entries() {
            match key.text().unwrap_or_default() {
                "resources" | "bases" | "components" => found.resources.extend(value.items().filter_map(Node::text).map(str::to_owned)),
                "patches" | "patchesStrategicMerge" | "patchesJson6902" => {
                    let paths =
                        value.items().filter_map(|item| item.text().or_else(|| item.text_of("path"))).filter(|path| !path.contains('\n'));
                    found.patches.extend(paths.map(str::to_owned));
                }
                _ => {}
            }
        }
        found
    }
}

/// Whether a resource stands in another repository.
pub(crate) fn is_remote(resource: &str) -> bool {
    resource.contains("://")
        || resource.starts_with("git@")
        || resource.split('/').next().is_some_and(|host| host == "github.com" || host == "gitlab.com" || host == "bitbucket.org")
}

impl Kustomization {
    /// Whether a part of it cannot be read without a network.
    pub(crate) fn has_remote(&self) -> bool {
        self.resources.iter().any(|resource| is_remote(resource))
    }
}

pub(super) fn artifact<'d>(root: Node<'d>, context: &Context) -> Artifact<'d> {
    let object = Object {
        kind: "Kustomization".to_owned(),
        name: root.at_path(&["metadata", "name"]).and_then(Node::text).unwrap_or_default().to_owned(),
        ..Object::default()
    };
    let mut artifact = Artifact::new(ArtifactKind::Kustomize, root, object, context);
    for (generators, placement) in [("secretGenerator", Placement::SecretData), ("configMapGenerator", Placement::Generator)] {
        for generator in root.get(generators).into_iter().flat_map(Node::items) {
            for literal in generator.get("literals").into_iter().flat_map(Node::items) {
                let Some((name, value)) = literal.text().and_then(|text| text.split_once('=')) else { continue };
                let span = literal.value_span();
                let span = if literal.is_verbatim() {
                    Span::new((span.end as usize).saturating_sub(value.len()), span.end as usize)
                } else {
                    span
                };
                artifact.variables.push(Variable::new(name, value.trim_matches(['"', '\'']), span, placement, literal, context.scope));
            }
        }
    }
    artifact
}
