//! Wrangler configuration: the top level and every `env.*`, with inheritance.

use super::{Artifact, Context, Layer, PathScope, Place, Placement, TargetKind, Variable};
use crate::finding::Object;
use crate::rule::ArtifactKind;
use crate::syntax::{Kind, Node};

/// Keys that an environment must repeat: bindings, variables and what goes with them.
const NOT_INHERITED: &[&str] = &[
    "env",
    "vars",
    "define",
    "secrets",
    "durable_objects",
    "workflows",
    "cloudchamber",
    "containers",
    "kv_namespaces",
    "r2_buckets",
    "d1_databases",
    "vectorize",
    "hyperdrive",
    "services",
    "queues",
    "analytics_engine_datasets",
    "mtls_certificates",
    "send_email",
    "browser",
    "ai",
    "ai_search",
    "ai_search_namespaces",
    "images",
    "media",
    "stream",
    "version_metadata",
    "unsafe",
    "unsafe_hello_world",
    "dispatch_namespaces",
    "tail_consumers",
    "streaming_tail_consumers",
    "secrets_store_secrets",
    "pipelines",
    "artifacts",
    "flagship",
    "ratelimits",
    "worker_loaders",
    "vpc_services",
    "vpc_networks",
];

/// Tables whose keys their authors choose.
const FREE: &[&str] = &["env", "vars", "define", "alias", "previews", "wasm_modules", "text_blobs", "data_blobs"];

fn inherited(path: &str) -> bool {
    !NOT_INHERITED.contains(&path.split('.').next().unwrap_or_default())
}

/// The entries of a worker's own tables: the items of its lists, and tables that are a binding by themselves.
pub(crate) fn worker_entries(worker: Node<'_>) -> Vec<(String, Node<'_>)> {
    let mut found = Vec::new();
    for (key, value) in worker.entries() {
        let Some(key) = key.text().filter(|key| !FREE.contains(key)) else { continue };
        found.extend(value.items().filter(|item| item.is_mapping()).map(|item| (key.to_owned(), item)));
        if !value.is_mapping() {
            continue;
        }
        if value.get("binding").is_some() {
            found.push((key.to_owned(), value));
        }
        for (inner, list) in value.entries() {
            let path = format!("{key}.{}", inner.text().unwrap_or_default());
            found.extend(list.items().filter(|item| item.is_mapping()).map(|item| (path.clone(), item)));
        }
    }
    found
}

pub(super) fn artifact<'d>(root: Node<'d>, context: &Context) -> Artifact<'d> {
    let name = root.text_of("name").unwrap_or_default();
    let object = Object { kind: "worker".to_owned(), name: name.to_owned(), ..Object::default() };
    let mut artifact = Artifact::new(ArtifactKind::Wrangler, root, object.clone(), context);
    let environments: Vec<(&str, Node<'d>)> = root
        .get("env")
        .into_iter()
        .flat_map(Node::entries)
        .filter(|(_, env)| env.is_mapping())
        .filter_map(|(key, env)| key.text().map(|key| (key, env)))
        .collect();
    let has_production = environments.iter().any(|(key, _)| PathScope::of_words(key) == PathScope::Production);
    let top = Place::new(TargetKind::Worker, root, object.clone(), context);
    // Where a production environment exists, the top level is not it.
    let top_scope = if has_production && context.scope == PathScope::Production { PathScope::Unscoped } else { context.scope };
    let production = !has_production && context.scope != PathScope::Development;
    let pages = root.get("pages_build_output_dir").is_some();
    let top = Place { scope: top_scope, production, pages, ..top };
    entries(&mut artifact, &top);
    artifact.places.push(top);
    variables(&mut artifact, root, top_scope);
    for (key, env) in environments {
        let scope = match PathScope::of_words(key) {
            PathScope::Unscoped => context.scope,
            scope => scope,
        };
        let mut place = Place::new(TargetKind::Worker, env, object.clone(), context);
        place.environment = key;
        place.scope = scope;
        place.production = scope == PathScope::Production;
        place.pages = pages;
        entries(&mut artifact, &place);
        place.layers = vec![Layer { node: root, inherits: inherited }];
        artifact.places.push(place);
        variables(&mut artifact, env, scope);
    }
    artifact
}

fn entries<'d>(artifact: &mut Artifact<'d>, worker: &Place<'d>) {
    for (list, node) in worker_entries(worker.node) {
        artifact.places.push(Place { kind: TargetKind::Entry, node, list, ..worker.clone() });
    }
}

fn variables<'d>(artifact: &mut Artifact<'d>, worker: Node<'d>, scope: PathScope) {
    let declared: Vec<&str> = worker.at_path(&["secrets", "required"]).into_iter().flat_map(Node::items).filter_map(Node::text).collect();
    let mut stack: Vec<Node<'d>> = worker.get("vars").into_iter().collect();
    while let Some(node) = stack.pop() {
        match node.kind() {
            Kind::Mapping => stack.extend(node.entries().into_iter().map(|(_, value)| value)),
            Kind::Sequence => stack.extend(node.items()),
            _ => {
                let name = node.key_text().or_else(|| node.parent().and_then(Node::key_text));
                if let (Some(name), Some(text), false) = (name, node.text(), node.is_null())
                    && !declared.contains(&name)
                {
                    let mut variable = Variable::new(name, text, node.span(), Placement::WranglerVar, node, scope);
                    variable.block = worker.span().start;
                    artifact.variables.push(variable);
                }
            }
        }
    }
    // Other literals, such as connection strings for local development.
    for (key, value) in worker.pairs() {
        if matches!(key.text(), Some("vars" | "env")) {
            continue;
        }
        for scalar in value.values() {
            if let (Some(name), Some(text), false) = (scalar.key_text(), scalar.text(), scalar.is_null()) {
                artifact.variables.push(Variable::new(name, text, scalar.span(), Placement::Setting, scalar, scope));
            }
        }
    }
}
