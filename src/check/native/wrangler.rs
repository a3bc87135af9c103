//! Native checks of pack wrangler.

use crate::artifact::{Artifact, PathScope, Place, TargetKind, worker_entries};
use crate::check::native::cron::is_filled_later;
use crate::check::{Field, FieldType, Run, WranglerFields, shorten};
use crate::finding::{Confidence, Location, Object, Related, Severity};
use crate::rule::did_you_mean;
use crate::source::Span;
use crate::suppress::Date;
use crate::syntax::{Node, Syntax};

/// Lists whose entries name no binding.
const NO_BINDINGS: &[&str] = &[
    "queues.consumers",
    "tail_consumers",
    "streaming_tail_consumers",
    "containers",
    "migrations",
    "routes",
    "rules",
    "observability.logs",
    "observability.traces",
];

/// Lists whose entries are named by `name`.
const BOUND_BY_NAME: &[&str] = &["durable_objects.bindings", "send_email", "ratelimits", "unsafe.bindings", "logfwdr.bindings"];

/// What an environment puts into `env` of the code.
#[derive(Clone)]
struct Bound<'d> {
    list: String,
    name: &'d str,
    span: Span,
    node: Node<'d>,
}

fn bound(worker: Node<'_>) -> Vec<Bound<'_>> {
    let mut found = Vec::new();
    for (list, entry) in worker_entries(worker) {
        if NO_BINDINGS.contains(&list.as_str()) {
            continue;
        }
        let by_name = || entry.get("name").filter(|_| BOUND_BY_NAME.contains(&list.as_str()));
        if let Some(node) = entry.get("binding").or_else(by_name)
            && let Some(name) = node.text().filter(|name| !name.is_empty())
        {
            found.push(Bound { name, span: node.place(), node, list });
        }
    }
    for (key, node) in worker.get("vars").into_iter().flat_map(Node::entries) {
        found.extend(key.text().map(|name| Bound { list: "vars".to_owned(), name, span: key.span(), node }));
    }
    found
}

fn tokens(name: &str) -> impl Iterator<Item = &str> {
    name.split(['_', '-'])
}

fn object(place: &Place<'_>, node: Node<'_>) -> Object {
    Object { path: node.path(), ..place.object.clone() }
}

/// What a worker is in messages.
pub(super) fn whose(place: &Place<'_>) -> String {
    if place.environment.is_empty() { "the top level".to_owned() } else { format!("environment `{}`", place.environment) }
}

/// The artifacts that people write, and their workers.
fn written<'a, 'd>(run: &Run<'a, 'd>) -> Vec<(&'a Artifact<'d>, Vec<&'a Place<'d>>)> {
    let fields = &run.file.rules.data.wrangler;
    let artifacts = run.artifacts().filter(|artifact| !fields.is_generated(artifact.root));
    artifacts.map(|artifact| (artifact, artifact.targets(TargetKind::Worker).collect())).collect()
}

pub(super) fn each_worker<'a, 'd>(run: &mut Run<'a, 'd>, check: impl Fn(&mut Run<'a, 'd>, &'a Artifact<'d>, &'a Place<'d>)) {
    for (artifact, places) in written(run) {
        for place in places {
            check(run, artifact, place);
        }
    }
}

/// Fields that Wrangler does not know where they stand.
pub(crate) fn unknown_field(run: &mut Run<'_, '_>) {
    let fields = &run.file.rules.data.wrangler;
    each_worker(run, |run, _, place| {
        let top = place.environment.is_empty();
        for (key, value) in place.node.entries() {
            let Some(name) = key.text() else { continue };
            if fields.removed.iter().any(|(removed, _)| removed == name) {
                continue;
            }
            if fields.outer(name, top).is_some() {
                unknown_within(run, place, fields, name, value);
                continue;
            }
            if let Some((_, instead)) = fields.retired.iter().find(|(retired, _)| retired == name) {
                run.report(key.span(), object(place, value), format!("`{name}` is no longer read: {instead}"));
                continue;
            }
            if fields.outer(name, true).is_some() {
                let message = format!("`{name}` is read at the top level only, not in {}", whose(place));
                run.report(key.span(), object(place, value), message);
                continue;
            }
            let known = fields.environment.iter().chain(fields.top.iter().filter(|_| top)).map(|field| field.name.as_str());
            unknown(run, place, (key, value), known, "a configuration");
        }
    });
}

fn unknown<'d, 'f>(
    run: &mut Run<'_, 'd>,
    place: &Place<'d>,
    (key, value): (Node<'d>, Node<'d>),
    known: impl Iterator<Item = &'f str>,
    owner: &str,
) {
    let name = key.text().unwrap_or_default();
    let near = did_you_mean(name, known);
    let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    let draft = run.report(key.span(), object(place, value), format!("`{}` is no field of {owner}{hint}", shorten(name)));
    if near.is_none() {
        // It may be newer than the table.
        draft.severity = draft.severity.min(Severity::Low);
        draft.confidence = draft.confidence.min(Confidence::Medium);
    }
}

fn unknown_within<'d>(run: &mut Run<'_, 'd>, place: &Place<'d>, fields: &WranglerFields, path: &str, node: Node<'d>) {
    let Some(known) = fields.table(path) else { return };
    for item in node.items() {
        unknown_in_table(run, place, fields, (path, known), item);
    }
    unknown_in_table(run, place, fields, (path, known), node);
}

fn unknown_in_table<'d>(
    run: &mut Run<'_, 'd>,
    place: &Place<'d>,
    fields: &WranglerFields,
    (path, known): (&str, &[Field]),
    table: Node<'d>,
) {
    for (key, value) in table.entries() {
        let Some(name) = key.text() else { continue };
        if known.iter().any(|field| field.name == name) {
            unknown_within(run, place, fields, &format!("{path}.{name}"), value);
        } else if fields.outer(name, true).is_some() {
            let slipped = table.doc.syntax == Syntax::Toml;
            let why = if slipped { ": a key after the header of a table belongs to that table" } else { "" };
            let message = format!("`{name}` stands in `{path}`, where Wrangler does not read it{why}");
            run.report(key.span(), object(place, value), message);
        } else {
            unknown(run, place, (key, value), known.iter().map(|field| field.name.as_str()), &format!("`{path}`"));
        }
    }
}

/// Values and combinations that Wrangler refuses.
pub(crate) fn schema_invalid(run: &mut Run<'_, '_>) {
    let fields = &run.file.rules.data.wrangler;
    each_worker(run, |run, artifact, place| {
        let top = place.environment.is_empty();
        for (key, value) in place.node.entries() {
            let Some(name) = key.text() else { continue };
            if let Some((_, instead)) = fields.removed.iter().find(|(removed, _)| removed == name) {
                run.report(key.span(), object(place, value), format!("`{name}` is no longer supported: {instead}"));
            } else if let Some(field) = fields.outer(name, top) {
                typed(run, place, fields, (name, field), value);
            }
        }
        if let Some(name) = place.node.get("name")
            && name.text().is_some_and(|text| !is_filled_later(text) && !is_worker_name(text))
        {
            let message = "a Worker's name is of lower-case letters, digits, dashes and underscores, and does not begin with a dash";
            run.report_at(place, name, message);
        }
        if let (Some(_), Some(routes)) = (place.node.get("route"), place.node.get("routes")) {
            run.report_at(place, routes, "`route` and `routes` stand side by side, and Wrangler takes only one of them");
        }
        if top {
            for (key, env) in artifact.root.get("env").into_iter().flat_map(Node::entries) {
                if !env.is_mapping() && !env.is_null() {
                    run.report(key.span(), object(place, env), format!("environment `{}` is no table", key.text().unwrap_or_default()));
                }
            }
        }
        for (list, entry) in worker_entries(place.node) {
            value_invalid(run, place, &list, entry);
        }
    });
}

fn value_invalid<'d>(run: &mut Run<'_, 'd>, place: &Place<'d>, list: &str, entry: Node<'d>) {
    let text = |key: &str| entry.get(key).and_then(|node| Some((node, node.text().filter(|text| !is_filled_later(text))?)));
    match list {
        "r2_buckets" => {
            if let Some((node, name)) = text("bucket_name").filter(|(_, name)| !is_bucket_name(name)) {
                let message = format!(
                    "`{}` is no bucket name: 3 to 63 lower-case letters, digits and dashes, with no dash at either end",
                    shorten(name)
                );
                run.report_at(place, node, message);
            }
        }
        "ratelimits" => {
            let period = entry.at_path(&["simple", "period"]).filter(|node| node.is_scalar());
            if let Some(node) = period.filter(|node| !matches!(node.text(), Some("10" | "60"))) {
                run.report_at(place, node, "`period` of a rate limit is 10 or 60 seconds");
            }
        }
        _ => {}
    }
}

fn is_worker_name(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    name.bytes().next().is_none_or(is_part) && name.bytes().all(|byte| is_part(byte) || byte == b'-')
}

fn is_bucket_name(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (3..=63).contains(&name.len()) && name.bytes().all(is_part) && !name.starts_with('-') && !name.ends_with('-')
}

fn typed<'d>(run: &mut Run<'_, 'd>, place: &Place<'d>, fields: &WranglerFields, (path, field): (&str, &Field), value: Node<'d>) {
    if value.is_null() {
        return;
    }
    if !field.kind.takes(value) {
        let later = value.text().is_some_and(|text| !text.is_empty() && is_filled_later(text));
        if !later {
            run.report_at(place, value, format!("`{path}` takes {}, not {}", field.kind.said(), found(value)));
        }
        return;
    }
    let Some(known) = fields.table(path) else { return };
    let tables: Vec<Node<'d>> = match field.kind {
        FieldType::List => {
            for item in value.items().filter(|item| !item.is_mapping() && path != "routes") {
                run.report_at(place, item, format!("an entry of `{path}` is a table, not {}", found(item)));
            }
            value.items().filter(|item| item.is_mapping()).collect()
        }
        _ => vec![value].into_iter().filter(|table| table.is_mapping()).collect(),
    };
    for table in tables {
        for inner in known {
            match table.get(&inner.name) {
                Some(value) => typed(run, place, fields, (&format!("{path}.{}", inner.name), inner), value),
                None if inner.required && place.complete => {
                    run.report_at(place, table, format!("an entry of `{path}` has no `{}`", inner.name));
                }
                None => {}
            }
        }
    }
}

fn found(value: Node<'_>) -> &'static str {
    let types = [FieldType::List, FieldType::Table, FieldType::Bool, FieldType::Number];
    types.into_iter().find(|kind| kind.takes(value)).unwrap_or(FieldType::Text).said()
}

/// Fields that still work or are ignored.
pub(crate) fn deprecated_field(run: &mut Run<'_, '_>) {
    let fields = &run.file.rules.data.wrangler;
    each_worker(run, |run, _, place| {
        for (path, instead) in &fields.deprecated {
            let keys: Vec<&str> = path.split('.').collect();
            let mut nodes = vec![place.node];
            for key in &keys {
                nodes = nodes
                    .into_iter()
                    .flat_map(|node| node.items().chain([node]).filter_map(|item| item.get(key)).collect::<Vec<_>>())
                    .collect();
            }
            for node in nodes.into_iter().filter(|node| !node.is_null()) {
                let span = node.key().map_or_else(|| node.place(), Node::span);
                run.report(span, object(place, node), format!("`{path}` is deprecated: {instead}"));
            }
        }
        for binding in place.node.at_path(&["unsafe", "bindings"]).into_iter().flat_map(Node::items) {
            if let Some(kind) = binding.get("type").filter(|kind| kind.text() == Some("metadata")) {
                run.report_at(place, kind, "unsafe bindings of type `metadata` are deprecated: use `version_metadata`");
            }
        }
    });
}

/// Bindings and variables that a named environment does not get.
pub(crate) fn environment_loses_bindings(run: &mut Run<'_, '_>) {
    // What tests deploy may be meant to lack something.
    for (_, places) in written(run).into_iter().filter(|(artifact, _)| artifact.scope != PathScope::Development) {
        let Some((top, environments)) = places.split_first() else { continue };
        let mut all = bound(top.node);
        for (key, node) in top.node.get("define").into_iter().flat_map(Node::entries) {
            all.extend(key.text().map(|name| Bound { list: "define".to_owned(), name, span: key.span(), node }));
        }
        for place in environments {
            let own: Vec<Bound<'_>> = bound(place.node);
            let defines = place.node.get("define");
            // A Pages environment inherits everything until it sets one of the tables that are not inherited.
            let sets = |key: Node<'_>| key.text().is_some_and(|key| place.layers.iter().any(|layer| !(layer.inherits)(key)));
            if place.pages && !place.node.pairs().any(|(key, _)| sets(key)) {
                continue;
            }
            let inherits = |list: &str| place.layers.iter().any(|layer| (layer.inherits)(list));
            let lost: Vec<&Bound<'_>> = all
                .iter()
                .filter(|one| !inherits(&one.list))
                .filter(|one| !own.iter().any(|other| other.name == one.name))
                // An empty text is as good as none, and where it is named like a credential the secret is stored elsewhere.
                .filter(|one| one.list != "vars" || one.node.text() != Some(""))
                .filter(|one| one.list != "define" || defines.is_none_or(|table| table.get(one.name).is_none()))
                .filter(|one| {
                    one.list != "vars" || !tokens(one.name).any(|word| matches!(word, "DEV" | "DEBUG" | "LOCAL" | "TEST" | "MOCK"))
                })
                .collect();
            let Some(first) = lost.first().filter(|_| place.complete) else { continue };
            let mut names: Vec<String> = lost.iter().take(5).map(|one| format!("`{}`", shorten(one.name))).collect();
            if lost.len() > names.len() {
                names.push(format!("{} more", lost.len() - names.len()));
            }
            let end = names.pop().unwrap_or_default();
            let shown = if names.is_empty() { end } else { format!("{} and {end}", names.join(", ")) };
            let message = format!("environment `{}` has no {shown}: what the top level binds is not inherited", place.environment);
            let related = Related {
                location: Location { path: std::sync::Arc::clone(&run.file.source.path), span: first.span },
                label: "the top level has it".to_owned(),
            };
            let draft = run.report_at(place, place.node, message);
            draft.related.push(related);
            if place.scope == PathScope::Development {
                draft.confidence = draft.confidence.lower();
            }
        }
    }
}

/// Environments that would take over the custom domain of the top level.
pub(crate) fn environment_inherits_custom_domain(run: &mut Run<'_, '_>) {
    for (_, places) in written(run) {
        let Some((top, environments)) = places.split_first() else { continue };
        let routes = top.node.get("routes").into_iter().flat_map(Node::items).chain(top.node.get("route"));
        let custom = routes.into_iter().find(|route| route.get("custom_domain").and_then(Node::as_bool) == Some(true));
        let Some(pattern) = custom.and_then(|route| route.get("pattern")) else { continue };
        for place in environments {
            let own = place.node.get("routes").is_some() || place.node.get("route").is_some();
            let never_deployed =
                tokens(place.environment).any(|word| matches!(word, "local" | "test" | "tests" | "testing" | "e2e" | "ci"));
            // What is called production is meant to have the domain.
            if own || place.production || never_deployed {
                continue;
            }
            let message = format!(
                "environment `{}` inherits the custom domain `{}` and takes it over when it is deployed",
                place.environment,
                shorten(pattern.text().unwrap_or_default())
            );
            let related = Related {
                location: Location { path: std::sync::Arc::clone(&run.file.source.path), span: pattern.place() },
                label: "the domain".to_owned(),
            };
            let draft = run.report_at(place, place.node, message);
            draft.related.push(related);
            if place.scope == PathScope::Development {
                draft.confidence = draft.confidence.lower();
            }
        }
    }
}

/// Lists whose entries name a resource that holds data, and the key that does.
const RESOURCES: &[(&str, &str, &str)] = &[
    ("kv_namespaces", "id", "KV namespace"),
    ("d1_databases", "database_id", "D1 database"),
    ("r2_buckets", "bucket_name", "R2 bucket"),
    ("hyperdrive", "id", "Hyperdrive configuration"),
    ("queues.producers", "queue", "queue"),
    ("queues.consumers", "queue", "queue"),
    ("vectorize", "index_name", "Vectorize index"),
];

fn resources(worker: Node<'_>) -> Vec<(&'static str, &str, Node<'_>)> {
    let entries = worker_entries(worker).into_iter().filter_map(|(list, entry)| {
        let (_, key, what) = RESOURCES.iter().find(|(known, ..)| *known == list)?;
        let node = entry.get(key)?;
        let id = node.text().filter(|id| !is_filled_later(id) && !is_dummy(id))?;
        Some((*what, id, node))
    });
    entries.collect()
}

/// Whether an identifier is made of one character or is an obvious stand-in.
fn is_dummy(id: &str) -> bool {
    let mut signs = id.bytes().filter(|byte| *byte != b'-');
    let first = signs.next();
    let lower = id.to_ascii_lowercase();
    signs.all(|byte| Some(byte) == first) || lower.contains("your") || lower.contains("placeholder") || lower.contains("todo")
}

/// Data that production shares with another environment.
pub(crate) fn environment_resource_shared(run: &mut Run<'_, '_>) {
    for (_, places) in written(run) {
        let production: Vec<_> = places.iter().filter(|place| place.production).flat_map(|place| resources(place.node)).collect();
        let named = places.iter().any(|place| place.production && !place.environment.is_empty());
        for place in places.iter().filter(|place| !(place.production || named && place.environment.is_empty())) {
            for (what, id, node) in resources(place.node) {
                let Some((.., other)) = production.iter().find(|(kind, known, _)| *kind == what && *known == id) else { continue };
                let related = Related {
                    location: Location { path: std::sync::Arc::clone(&run.file.source.path), span: other.place() },
                    label: "production uses it".to_owned(),
                };
                let message = format!("{} uses the {what} of production", whose(place));
                run.report_at(place, node, message).related.push(related);
            }
        }
    }
}

/// Names that an environment gives to two things.
pub(crate) fn binding_name_duplicated(run: &mut Run<'_, '_>) {
    each_worker(run, |run, _, place| {
        let mut all = bound(place.node);
        for layer in &place.layers {
            all.extend(bound(layer.node).into_iter().filter(|one| (layer.inherits)(&one.list) && place.node.get(&one.list).is_none()));
        }
        for name in place.get(&["secrets", "required"]).into_iter().flat_map(Node::items) {
            all.extend(name.text().map(|text| Bound { list: "secrets.required".to_owned(), name: text, span: name.place(), node: name }));
        }
        all.sort_by_key(|one| one.span);
        for (index, one) in all.iter().enumerate() {
            let Some(first) = all.iter().take(index).find(|other| other.name == one.name && other.span != one.span) else { continue };
            let related = Related {
                location: Location { path: std::sync::Arc::clone(&run.file.source.path), span: first.span },
                label: format!("the first, in `{}`", first.list),
            };
            let message = if place.environment.is_empty() {
                format!("`{}` names a second thing at the top level", shorten(one.name))
            } else {
                format!("`{}` names a second thing in {}", shorten(one.name), whose(place))
            };
            run.report(one.span, object(place, one.node), message).related.push(related);
        }
    });
}

/// Durable Object classes that no migration makes.
pub(crate) fn durable_object_without_migration(run: &mut Run<'_, '_>) {
    each_worker(run, |run, _, place| {
        let tried_only = place.scope == PathScope::Development;
        if tried_only || place.pages || !place.complete || place.get(&["exports"]).is_some() {
            return;
        }
        let migrations: Vec<Node<'_>> = place.get(&["migrations"]).into_iter().flat_map(Node::items).collect();
        let listed = |class: &str| {
            migrations.iter().any(|migration| {
                let made = ["new_classes", "new_sqlite_classes"].into_iter().filter_map(|key| migration.get(key)).flat_map(Node::items);
                let moved = ["renamed_classes", "transferred_classes"].into_iter().filter_map(|key| migration.get(key));
                made.chain(moved.flat_map(Node::items).filter_map(|item| item.get("to"))).any(|name| name.text() == Some(class))
            })
        };
        for binding in place.node.at_path(&["durable_objects", "bindings"]).into_iter().flat_map(Node::items) {
            let Some((node, class)) = binding.get("class_name").and_then(|node| Some((node, node.text()?))) else { continue };
            if binding.get("script_name").is_none() && !is_filled_later(class) && !listed(class) {
                let message = format!("no migration makes the Durable Object class `{}`, so it cannot be deployed", shorten(class));
                run.report_at(place, node, message);
            }
        }
    });
}

/// Classes that the newest migration deletes with all they store.
pub(crate) fn migration_deletes_data(run: &mut Run<'_, '_>) {
    each_worker(run, |run, _, place| {
        let newest = place.node.get("migrations").into_iter().flat_map(Node::items).last();
        for class in newest.and_then(|migration| migration.get("deleted_classes")).into_iter().flat_map(Node::items) {
            let message = format!("the newest migration deletes every object of `{}`", shorten(class.text().unwrap_or_default()));
            run.report_at(place, class, message);
        }
    });
}

/// Module rules that an earlier one of their type ends.
pub(crate) fn module_rule_shadowed(run: &mut Run<'_, '_>) {
    each_worker(run, |run, _, place| {
        let mut ended: Vec<&str> = Vec::new();
        for rule in place.node.get("rules").into_iter().flat_map(Node::items) {
            let Some(kind) = rule.get("type") else { continue };
            let Some(name) = kind.text() else { continue };
            if ended.contains(&name) {
                run.report_at(
                    place,
                    kind,
                    format!("this rule is ignored: an earlier one of type `{}` has no `fallthrough`", shorten(name)),
                );
            } else if rule.get("fallthrough").and_then(Node::as_bool) != Some(true) {
                ended.push(name);
            }
        }
    });
}

/// Workers that tail themselves.
pub(crate) fn tail_consumer_is_self(run: &mut Run<'_, '_>) {
    each_worker(run, |run, artifact, place| {
        let own = place.node.text_of("name").map(str::to_owned);
        let derived = || artifact.root.text_of("name").map(|name| format!("{name}-{}", place.environment));
        let Some(name) = own.or_else(derived) else { return };
        for consumer in place.node.get("tail_consumers").into_iter().flat_map(Node::items) {
            let environment = consumer.text_of("environment").is_some();
            if let Some(service) = consumer.get("service").filter(|service| !environment && service.text() == Some(&name)) {
                run.report_at(place, service, "this Worker is its own tail consumer");
            }
        }
    });
}

/// Environments without the compliance region that others have.
pub(crate) fn compliance_region_inconsistent(run: &mut Run<'_, '_>) {
    for (_, places) in written(run) {
        let deployed: Vec<_> = places
            .into_iter()
            .filter(|place| place.scope != PathScope::Development && (place.production || !place.environment.is_empty()))
            .collect();
        let region = |place: &Place<'_>| place.get(&["compliance_region"]).is_some();
        if !deployed.iter().any(|place| region(place)) {
            continue;
        }
        for place in deployed.iter().filter(|place| !region(place)) {
            run.report_at(place, place.node, format!("{} has no `compliance_region`, which another environment sets", whose(place)));
        }
    }
}

/// Workers without a compatibility date.
pub(crate) fn compatibility_date_missing(run: &mut Run<'_, '_>) {
    for (artifact, places) in written(run) {
        let is_worker = ["main", "assets", "site"].into_iter().any(|key| places.iter().any(|place| place.get(&[key]).is_some()));
        let tried_only = artifact.scope == PathScope::Development;
        let Some(top) = places.first().filter(|top| is_worker && !tried_only && !top.pages && top.complete) else { continue };
        // The Vite plugin writes the configuration that is deployed, and puts a date into it.
        let folder = run.file.source.path.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
        let is_vite =
            |folder: &str| ["ts", "js", "mts", "mjs"].iter().any(|ending| run.file.tree.is_file(&format!("{folder}vite.config.{ending}")));
        if is_vite(&folder) {
            continue;
        }
        let dated = |place: &&&Place<'_>| place.get(&["compatibility_date"]).is_some();
        if places.iter().any(|place| dated(&place)) {
            // The top level need not be deployed where environments are dated one by one.
            for place in places.iter().skip(1).filter(|place| !dated(place) && place.scope != PathScope::Development) {
                run.report_at(place, place.node, format!("environment `{}` has no compatibility date", place.environment));
            }
        } else {
            let above = folder.match_indices('/').map(|(end, _)| folder.get(..=end).unwrap_or_default()).chain([""]);
            let may_be_vite = above.into_iter().any(is_vite);
            let draft = run.report_at(top, artifact.root, "this Worker has no compatibility date, so `wrangler deploy` refuses it");
            if may_be_vite {
                draft.confidence = draft.confidence.lower();
            }
        }
    }
}

fn dated<'d>(place: &Place<'d>) -> Option<(Node<'d>, &'d str)> {
    let node = place.node.get("compatibility_date")?;
    node.text().filter(|text| !is_filled_later(text)).map(|text| (node, text))
}

/// Days that are none, or not yet.
pub(crate) fn compatibility_date_invalid(run: &mut Run<'_, '_>) {
    let today = run.file.today;
    each_worker(run, |run, _, place| {
        let Some((node, text)) = dated(place) else { return };
        match text.parse::<Date>() {
            Err(_) => {
                run.report_at(place, node, format!("`{}` is no day of the form yyyy-mm-dd", shorten(text)));
            }
            Ok(date) if today.is_some_and(|today| date > today) => {
                run.report_at(place, node, format!("the compatibility date {date} lies in the future"));
            }
            Ok(_) => {}
        }
    });
}

/// Compatibility dates of long ago.
pub(crate) fn compatibility_date_stale(run: &mut Run<'_, '_>) {
    let Some(today) = run.file.today.or(run.file.rules.data.wrangler.as_of) else { return };
    let Some(most) = run.active.number("max-age-months") else { return };
    each_worker(run, |run, _, place| {
        if place.scope == PathScope::Development {
            return;
        }
        let Some((node, date)) = dated(place).and_then(|(node, text)| Some((node, text.parse::<Date>().ok()?))) else { return };
        let age = today.months_since(date);
        if age as f64 >= most {
            run.report_at(place, node, format!("the compatibility date is {age} months old"));
        }
    });
}

/// Previews that write into production.
pub(crate) fn preview_uses_production_id(run: &mut Run<'_, '_>) {
    const PAIRS: &[(&str, &str, &str)] = &[
        ("kv_namespaces", "id", "preview_id"),
        ("d1_databases", "database_id", "preview_database_id"),
        ("r2_buckets", "bucket_name", "preview_bucket_name"),
    ];
    each_worker(run, |run, _, place| {
        if place.scope == PathScope::Development {
            return;
        }
        for (list, entry) in worker_entries(place.node) {
            let Some((_, main, preview)) = PAIRS.iter().find(|(known, ..)| *known == list) else { continue };
            let (Some(id), Some(other)) = (entry.text_of(main), entry.get(preview)) else { continue };
            if other.text() == Some(id) && !is_dummy(id) && !is_filled_later(id) {
                run.report_at(
                    place,
                    other,
                    format!("`{preview}` is the same as `{main}`, so previews work on the data of the deployed Worker"),
                );
            }
        }
    });
}

pub(super) fn consumers(worker: Node<'_>) -> impl Iterator<Item = Node<'_>> {
    worker.at_path(&["queues", "consumers"]).into_iter().flat_map(Node::items)
}

/// Consumers whose failed messages are lost.
pub(crate) fn queue_without_dead_letter(run: &mut Run<'_, '_>) {
    each_worker(run, |run, artifact, place| {
        if place.scope == PathScope::Development {
            return;
        }
        for consumer in consumers(place.node) {
            let Some(queue) = consumer.get("queue") else { continue };
            let name = queue.text().unwrap_or_default();
            let lower = name.to_ascii_lowercase().replace(['-', '_', '.'], "");
            let is_end = lower.contains("dlq")
                || lower.contains("deadletter")
                || artifact
                    .targets(TargetKind::Worker)
                    .flat_map(|worker| consumers(worker.node))
                    .any(|other| other.text_of("dead_letter_queue") == Some(name));
            if is_end {
                continue;
            }
            let shown = shorten(name);
            if consumer.get("dead_letter_queue").is_none() {
                run.report_at(
                    place,
                    queue,
                    format!("messages of `{shown}` that keep failing are lost: its consumer has no `dead_letter_queue`"),
                );
            } else if consumer.get("max_retries").is_none() {
                let message = format!("the consumer of `{shown}` leaves `max_retries` at what Cloudflare sets");
                run.report_at(place, queue, message).severity = Severity::Info;
            }
        }
    });
}

/// Fields that a Pages project does not take.
pub(crate) fn pages_field_unsupported(run: &mut Run<'_, '_>) {
    let fields = &run.file.rules.data.wrangler;
    each_worker(run, |run, _, place| {
        if !place.pages {
            return;
        }
        for (key, value) in place.node.entries() {
            let Some(name) = key.text() else { continue };
            if fields.outer(name, true).is_some() && !fields.pages.iter().any(|known| known == name) {
                run.report(key.span(), object(place, value), format!("Pages projects do not support `{name}`"));
            }
        }
        if let Some(consumers) = place.node.at_path(&["queues", "consumers"]) {
            run.report_at(place, consumers, "Pages projects cannot consume queues");
        }
    });
}

/// Folders of files that hold the configuration itself.
pub(crate) fn assets_directory_exposes_repository(run: &mut Run<'_, '_>) {
    const FOLDERS: &[&[&str]] = &[&["assets", "directory"], &["site", "bucket"], &["pages_build_output_dir"]];
    let file = run.file;
    each_worker(run, |run, _, place| {
        for keys in FOLDERS {
            let Some((node, text)) = place.node.at_path(keys).and_then(|node| Some((node, node.text()?.trim()))) else { continue };
            let steps: Vec<&str> = text.split('/').filter(|step| !step.is_empty() && *step != ".").collect();
            if text.is_empty() || text.starts_with('/') || !steps.iter().all(|step| *step == "..") {
                continue;
            }
            let mut folder = file.source.path.rsplit_once('/').map_or("", |(folder, _)| folder);
            for _ in &steps {
                folder = folder.rsplit_once('/').map_or("", |(parent, _)| parent);
            }
            let what = if steps.is_empty() { "the folder of this file" } else { "a folder above this file" };
            let name = keys.join(".");
            let draft = run.report_at(place, node, format!("`{name}` is {what}, so sources and settings are published with the files"));
            let list = if folder.is_empty() { ".assetsignore".to_owned() } else { format!("{folder}/.assetsignore") };
            if name == "assets.directory" && file.tree.is_file(&list) {
                draft.severity = Severity::Low;
            }
        }
    });
}

/// Files that are served without asking the Worker, though it seems to know who asks.
pub(crate) fn assets_skip_worker(run: &mut Run<'_, '_>) {
    each_worker(run, |run, _, place| {
        let (Some(assets), Some(_)) = (place.get(&["assets"]), place.get(&["main"])) else { return };
        if assets.get("run_worker_first").is_some() || assets.get("directory").is_none() {
            return;
        }
        let secrets = place.get(&["secrets", "required"]).into_iter().flat_map(Node::items).filter_map(Node::text);
        let names: Vec<String> = bound(place.node).iter().map(|one| one.name).chain(secrets).map(str::to_ascii_uppercase).collect();
        let sign = names.iter().find(|name| {
            tokens(name).any(|word| {
                matches!(word, "AUTH" | "OAUTH" | "OAUTH2" | "OIDC" | "SESSION" | "SESSIONS" | "JWT" | "LOGIN" | "CLERK" | "AUTH0")
            })
        });
        if let Some(sign) = sign {
            let message = format!("files are served before the Worker runs, which seems to check who asks (`{}`)", shorten(sign));
            run.report_at(place, assets, message);
        }
    });
}

/// Bindings that code cannot name.
pub(crate) fn binding_name_invalid(run: &mut Run<'_, '_>) {
    each_worker(run, |run, _, place| {
        for one in bound(place.node) {
            let is_letter = |c: char| c.is_alphabetic() || c == '_' || c == '$';
            let valid = one.name.starts_with(is_letter) && one.name.chars().all(|c| is_letter(c) || c.is_ascii_digit());
            if !valid && !is_filled_later(one.name) {
                run.report(one.span, object(place, one.node), format!("`{}` is no JavaScript identifier", shorten(one.name)));
            }
        }
    });
}

/// Routes on a path under which the served folder has nothing.
pub(crate) fn route_asset_path_mismatch(run: &mut Run<'_, '_>) {
    let tree = run.file.tree;
    each_worker(run, |run, _, place| {
        let Some(assets) = place.get(&["assets"]) else { return };
        let Some(directory) = assets.text_of("directory").filter(|text| !text.starts_with('/') && !is_filled_later(text)) else { return };
        let first = assets.get("run_worker_first");
        if first.is_some_and(|first| first.as_bool() != Some(false)) {
            return;
        }
        let base = run.file.source.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let Some(served) = joined(base, directory).filter(|served| tree.is_folder(served)) else { return };
        let routes = place.node.get("routes").into_iter().flat_map(Node::items).chain(place.node.get("route"));
        for node in routes.filter_map(|route| if route.is_mapping() { route.get("pattern") } else { Some(route) }) {
            let Some(pattern) = node.text() else { continue };
            let rest = pattern.split_once("://").map_or(pattern, |(_, rest)| rest);
            let path = rest.split_once('/').map_or("", |(_, path)| path);
            // Only whole folders of the path tell where files have to lie.
            let Some((folder, _)) = path.rsplit_once('/').filter(|(folder, _)| !folder.is_empty() && !folder.contains('*')) else {
                continue;
            };
            if !tree.is_folder(&format!("{served}/{folder}")) {
                let message =
                    format!("requests of `{}` look for files under `{folder}`, which `{directory}` does not have", shorten(pattern));
                run.report_at(place, node, message);
            }
        }
    });
}

/// A relative path from a folder; nothing where it leaves the root or stays where it began.
fn joined(base: &str, relative: &str) -> Option<String> {
    let mut parts: Vec<&str> = base.split('/').filter(|part| !part.is_empty()).collect();
    for step in relative.split('/').filter(|step| !step.is_empty() && *step != ".") {
        if step == ".." {
            parts.pop()?;
        } else {
            parts.push(step);
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}
