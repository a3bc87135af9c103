//! Releases of charts: the values that a chart is installed with, merged as Helm does it.

use std::sync::Arc;

use super::value::TooLarge;
use super::{Composed, Joined, Value};
use crate::artifact::LineMap;
use crate::config;
use crate::source::{Source, Span};
use crate::survey::join;
use crate::syntax::{self, Builder, Node, Syntax};
use crate::tree::Tree;

/// Where values of a release stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Values {
    /// A whole file.
    File(String),
    /// A mapping inside of a document, such as `spec.values` of a Flux `HelmRelease`, or a text that is one.
    Inside { path: String, document: usize, keys: Vec<String> },
}

/// A chart of the tree with the values that it is installed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Release {
    pub(crate) name: String,
    /// Where it is installed; empty where that is not said.
    pub(crate) namespace: String,
    /// Which environment it belongs to; empty where that is not said.
    pub(crate) environment: String,
    /// Folder of the chart.
    pub(crate) chart: String,
    /// Values beside the chart's own, later ones win.
    pub(crate) values: Vec<Values>,
}

impl Release {
    /// A release of the configuration.
    pub(crate) fn of_config(release: &config::Release) -> Self {
        Self {
            name: release.name.clone(),
            namespace: release.namespace.clone(),
            environment: release.environment.clone(),
            chart: release.chart.clone(),
            values: release.values.iter().cloned().map(Values::File).collect(),
        }
    }

    /// Whether its chart is in the tree.
    pub(crate) fn is_here(&self, tree: &Tree) -> bool {
        join(&self.chart, "Chart.yaml").is_some_and(|path| tree.is_file(&path))
    }

    /// The merged values.
    pub(crate) fn compose(&self, tree: &Tree) -> Composed {
        let name: String = [&self.chart, &self.environment, &self.name].into_iter().filter(|part| !part.is_empty()).fold(
            String::new(),
            |mut name, part| {
                name.push_str(part);
                name.push('/');
                name
            },
        );
        let own = ["values.yaml", "values.yml"].iter().filter_map(|name| join(&self.chart, name)).find(|path| tree.is_file(path));
        let layers: Vec<Values> = own.map(Values::File).into_iter().chain(self.values.iter().cloned()).collect();
        compose(tree, &name, &layers)
    }

    /// What an Argo CD `Application` or a Flux `HelmRelease` installs, where the chart's path is one of the repository.
    /// `document` is the number of the document in the file.
    pub(crate) fn of_object(path: &str, document: usize, root: Node<'_>) -> Vec<Self> {
        let name = root.at_path(&["metadata", "name"]).and_then(Node::text).unwrap_or_default().to_owned();
        let inside =
            |node: Node<'_>| Values::Inside { path: path.to_owned(), document, keys: node.keys().into_iter().map(str::to_owned).collect() };
        let text = |node: Node<'_>, key| node.text_of(key).unwrap_or_default().to_owned();
        match root.text_of("kind") {
            Some("HelmRelease") => {
                let Some(spec) = root.get("spec") else { return Vec::new() };
                let Some(chart) = spec.at_path(&["chart", "spec"]) else { return Vec::new() };
                let folder = chart.text_of("chart").and_then(|chart| join("", chart)).filter(|chart| !chart.is_empty());
                if !matches!(chart.at_path(&["sourceRef", "kind"]).and_then(Node::text), Some("GitRepository" | "Bucket")) {
                    return Vec::new();
                }
                let Some(folder) = folder else { return Vec::new() };
                let files = chart.get("valuesFiles").into_iter().flat_map(Node::items).filter_map(Node::text);
                let files = files.filter_map(|file| join("", file)).map(Values::File);
                vec![Self {
                    name,
                    namespace: text(spec, "targetNamespace"),
                    environment: String::new(),
                    chart: folder,
                    values: files.chain(spec.get("values").map(inside)).collect(),
                }]
            }
            Some("Application") => {
                let Some(spec) = root.get("spec") else { return Vec::new() };
                let namespace = spec.get("destination").map(|destination| text(destination, "namespace")).unwrap_or_default();
                let sources = spec.get("source").into_iter().chain(spec.get("sources").into_iter().flat_map(Node::items));
                sources
                    .filter_map(|source| {
                        let chart = source.text_of("path").and_then(|chart| join("", chart))?;
                        let helm = source.get("helm")?;
                        let files = helm.get("valueFiles").into_iter().flat_map(Node::items).filter_map(Node::text);
                        let files = files.filter_map(|file| match file.strip_prefix('$').and_then(|file| file.split_once('/')) {
                            // A file of another source of the Application, which may be this repository.
                            Some((_, file)) => join("", file),
                            None => join(&chart, file.strip_prefix('/').unwrap_or(file)),
                        });
                        let values = files
                            .map(Values::File)
                            .chain(helm.get("values").map(inside))
                            .chain(helm.get("valuesObject").map(inside))
                            .collect();
                        let name = helm.text_of("releaseName").unwrap_or(&name).to_owned();
                        Some(Self { name, namespace: namespace.clone(), environment: String::new(), chart, values })
                    })
                    .collect()
            }
            _ => Vec::new(),
        }
    }
}

/// The values of a release; later ones win. The environment gets `name`.
fn compose(tree: &Tree, name: &str, layers: &[Values]) -> Composed {
    let mut joined = Joined::default();
    let mut merged: Option<Value> = None;
    let mut not_evaluated = Vec::new();
    for layer in layers {
        let (Values::File(path) | Values::Inside { path, .. }) = layer;
        // A chart needs no values of its own.
        if !tree.is_file(path) {
            continue;
        }
        match read(tree, &mut joined, layer) {
            Ok(Some(value)) => match &mut merged {
                Some(merged) => merge(merged, value),
                None => merged = Some(value),
            },
            Ok(None) => {}
            Err((span, message)) => not_evaluated.push((span, format!("`{path}` {message}, so the values that it sets are not known"))),
        }
    }
    let (source, origins) = joined.finish(name);
    let documents = merged
        .into_iter()
        .map(|value| {
            let mut builder = Builder::new(&source, Syntax::Yaml, 256);
            value.write(&mut builder);
            builder.finish(source.text.len())
        })
        .collect();
    Composed { source, origins, documents, not_evaluated, open: true, problems: Vec::new(), incomplete: Vec::new() }
}

fn read(tree: &Tree, joined: &mut Joined, layer: &Values) -> Result<Option<Value>, (Span, String)> {
    let (Values::File(path) | Values::Inside { path, .. }) = layer;
    let (source, start) = joined.add(tree, path).map_err(|error| (Span::default(), error))?;
    let parsed = syntax::parse(&Arc::new(source), Syntax::Yaml);
    let (number, keys): (usize, &[String]) = match layer {
        Values::File(_) => (0, &[]),
        Values::Inside { document, keys, .. } => (*document, keys),
    };
    if let Some(error) = parsed.errors.first() {
        return Err((error.span.moved(start), "does not parse".to_owned()));
    }
    let root = parsed.documents.get(number).map(|document| document.root());
    let node = root.and_then(|root| keys.iter().try_fold(root, |node, key| node.get(key)));
    let Some(node) = node.filter(|node| !node.is_null()) else { return Ok(None) };
    let too_large = |error: TooLarge| (node.span().moved(start), error.to_string());
    if let (Some(text), Values::Inside { .. }) = (node.text(), layer) {
        let map = LineMap::new(node.style(), node.value_span(), node.doc.source.slice(node.value_span()), text);
        let inner = Arc::new(Source { path: "".into(), text: text.to_owned(), bom: false });
        let parsed = syntax::parse(&inner, Syntax::Yaml);
        let root = parsed.documents.first().map(|document| document.root()).filter(|root| root.is_mapping() && parsed.errors.is_empty());
        let Some(mut value) = root.map(|root| Value::read(root, 0)).transpose().map_err(too_large)? else { return Ok(None) };
        value.relocate(&|span| map.outer(span).moved(start));
        return Ok(Some(value));
    }
    if !node.is_mapping() {
        return Ok(None);
    }
    Value::read(node, start).map(Some).map_err(too_large)
}

/// Mappings are merged, a null takes a value away, anything else replaces it.
fn merge(into: &mut Value, from: Value) {
    let Value::Mapping { entries, .. } = from else {
        *into = from;
        return;
    };
    for (key, value) in entries {
        match into.get_mut(&key.text) {
            Some(known) if known.is_mapping() && value.is_mapping() => merge(known, value),
            _ if value.is_null() => {
                into.remove(&key.text);
            }
            _ => into.set(key, value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_values_win_and_keep_their_places() -> Result<(), &'static str> {
        let tree = Tree::default()
            .with("chart/values.yaml", "image:\n  repository: shop\n  tag: latest\nlist: [a, b]\ndebug: true\n")
            .with("prod.yaml", "image:\n  tag: 1.4.2\nlist: [c]\n")
            .with("release.yaml", "kind: HelmRelease\nspec:\n  values:\n    debug: null\n    replicas: 3\n");
        let layers = [
            Values::File("chart/values.yaml".to_owned()),
            Values::File("prod.yaml".to_owned()),
            Values::File("missing.yaml".to_owned()),
            Values::Inside { path: "release.yaml".to_owned(), document: 0, keys: vec!["spec".to_owned(), "values".to_owned()] },
        ];
        let composed = compose(&tree, "shop (prod)", &layers);
        let document = composed.documents.first().ok_or("no document")?;
        let at = |path: &[&str]| {
            let node = document.root().at_path(path)?;
            let location = composed.origins.locate(node.span())?;
            Some((node.text().unwrap_or_default().to_owned(), location.path.to_string()))
        };
        assert_eq!(at(&["image", "repository"]), Some(("shop".to_owned(), "chart/values.yaml".to_owned())));
        assert_eq!(at(&["image", "tag"]), Some(("1.4.2".to_owned(), "prod.yaml".to_owned())));
        assert_eq!(at(&["replicas"]), Some(("3".to_owned(), "release.yaml".to_owned())));
        assert_eq!(document.root().get("debug"), None);
        assert_eq!(document.root().get("list").map(|list| list.items().count()), Some(1));
        Ok(())
    }
}
