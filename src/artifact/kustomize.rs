//! Kustomization files: what they tie together, and the literals of their generators.

use super::{Artifact, Context, Placement, Variable};
use crate::finding::Object;
use crate::rule::ArtifactKind;
use crate::source::Span;
use crate::syntax::Node;

/// An entry of `images`: what it puts in place of an image's name, tag or digest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ImageOverride {
    pub(crate) name: String,
    pub(crate) renamed: bool,
    pub(crate) tag: bool,
    pub(crate) digest: bool,
}

/// What a kustomization names, as far as grouping needs it. Paths are as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kustomization {
    /// `resources`, `bases`, `components`.
    pub(crate) resources: Vec<String>,
    /// Files that are fragments: patches.
    pub(crate) patches: Vec<String>,
    /// Whether anything here may change an object beyond names and labels.
    pub(crate) changes_objects: bool,
    pub(crate) images: Vec<ImageOverride>,
    /// The namespace that every object gets.
    pub(crate) namespace: Option<String>,
    /// Keys of the labels that pods and selectors get.
    pub(crate) labels: Vec<String>,
    /// Whether it puts labels or annotations on every object.
    pub(crate) decorates: bool,
    /// Whether objects come from elsewhere than from files, such as from a chart.
    pub(crate) generates: bool,
}

impl Kustomization {
    pub(crate) fn read(root: Node<'_>) -> Self {
        let mut found = Self::default();
        for (key, value) in root.entries() {
            found.decorates |= matches!(key.text(), Some("commonLabels" | "labels" | "commonAnnotations"));
            match key.text().unwrap_or_default() {
                "resources" | "bases" => found.resources.extend(value.items().filter_map(Node::text).map(str::to_owned)),
                "components" => {
                    found.resources.extend(value.items().filter_map(Node::text).map(str::to_owned));
                    found.changes_objects |= value.items().next().is_some();
                }
                "patches" | "patchesStrategicMerge" | "patchesJson6902" => {
                    let paths =
                        value.items().filter_map(|item| item.text().or_else(|| item.text_of("path"))).filter(|path| !path.contains('\n'));
                    found.patches.extend(paths.map(str::to_owned));
                    found.changes_objects |= value.items().next().is_some();
                }
                "transformers" | "replacements" | "replicas" | "configurations" | "vars" => found.changes_objects = true,
                "images" => {
                    let set = |item: Node<'_>, key: &str| item.get(key).is_some_and(|value| !value.is_null());
                    found.images.extend(value.items().filter_map(|item| {
                        let name = item.text_of("name")?.to_owned();
                        Some(ImageOverride { name, renamed: set(item, "newName"), tag: set(item, "newTag"), digest: set(item, "digest") })
                    }));
                }
                "namespace" => found.namespace = value.text().filter(|_| !value.is_null()).map(str::to_owned),
                "commonLabels" => found.labels.extend(value.entries().iter().filter_map(|(key, _)| key.text()).map(str::to_owned)),
                "labels" => {
                    for added in value.items().filter(|item| {
                        ["includeSelectors", "includeTemplates"].iter().any(|key| item.get(key).and_then(Node::as_bool) == Some(true))
                    }) {
                        found.labels.extend(
                            added.get("pairs").into_iter().flat_map(Node::entries).filter_map(|(key, _)| key.text()).map(str::to_owned),
                        );
                    }
                }
                "helmCharts" | "helmChartInflationGenerator" | "generators" => found.generates = true,
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
