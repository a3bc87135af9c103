//! Native checks of pack datastores over where data is kept and who may read it.

use super::compose::{self, datastore, is_fragment, named_volume, networks, text_beside};
use super::datastores::span_of;
use crate::artifact::{Artifact, PathScope, Place, Placement, Role, TargetKind, switched_off};
use crate::check::Run;
use crate::project::{ConfigFacts, Detail, FactSort, ObjectFacts, ProjectRun, Start, is_redis, redis_guards, redis_start};
use crate::rule::ArtifactKind;
use crate::syntax::Node;

/// Folders where data stores keep their data, by a word of their image's name; caches are none.
const FOLDERS: &[(&str, &[&str])] = &[
    ("postgres", &["/var/lib/postgresql", "/bitnami/postgresql"]),
    ("postgresql", &["/var/lib/postgresql", "/bitnami/postgresql"]),
    ("postgis", &["/var/lib/postgresql"]),
    ("pgvector", &["/var/lib/postgresql"]),
    ("timescaledb", &["/var/lib/postgresql", "/home/postgres/pgdata"]),
    ("mysql", &["/var/lib/mysql", "/bitnami/mysql"]),
    ("mariadb", &["/var/lib/mysql", "/bitnami/mariadb"]),
    ("percona", &["/var/lib/mysql"]),
    ("mssql", &["/var/opt/mssql"]),
    ("cockroach", &["/cockroach/cockroach-data"]),
    ("mongo", &["/data/db"]),
    ("mongodb", &["/data/db", "/bitnami/mongodb"]),
    ("elasticsearch", &["/usr/share/elasticsearch/data", "/bitnami/elasticsearch"]),
    ("opensearch", &["/usr/share/opensearch/data"]),
    ("rabbitmq", &["/var/lib/rabbitmq", "/bitnami/rabbitmq"]),
    ("kafka", &["/var/lib/kafka", "/bitnami/kafka", "/tmp/kraft-combined-logs"]),
    ("redpanda", &["/var/lib/redpanda"]),
    ("clickhouse", &["/var/lib/clickhouse"]),
    ("cassandra", &["/var/lib/cassandra"]),
    ("scylla", &["/var/lib/scylla"]),
    ("couchdb", &["/opt/couchdb/data"]),
    ("arangodb", &["/var/lib/arangodb3"]),
    ("neo4j", &["/data"]),
    ("influxdb", &["/var/lib/influxdb", "/var/lib/influxdb2"]),
    ("qdrant", &["/qdrant/storage"]),
    ("meilisearch", &["/meili_data"]),
    ("prometheus", &["/prometheus", "/data"]),
    ("grafana", &["/var/lib/grafana"]),
];

/// The name of an image without registry and tag.
fn last_part(image: &str) -> &str {
    let name = image.split('@').next().unwrap_or_default();
    name.rsplit('/').next().unwrap_or_default().split(':').next().unwrap_or_default()
}

/// What an image stores, and where.
fn stored(image: &str) -> Option<(&'static str, &'static [&'static str])> {
    let word = match last_part(image) {
        "prometheus" => "prometheus",
        "grafana" | "grafana-oss" | "grafana-enterprise" => "grafana",
        // What only mentions a store in its name may use one.
        name => {
            datastore(image).map(|(word, _)| word).filter(|word| name == "server" || name.split(['-', '_', '.']).next() == Some(word))?
        }
    };
    FOLDERS.iter().copied().find(|(known, _)| *known == word)
}

/// Whether one of two paths is, or lies in, the other.
fn overlap(one: &str, other: &str) -> bool {
    let parts = |path: &'_ str| path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    parts(one).iter().zip(&parts(other)).all(|(a, b)| a == b)
}

/// Words of names that say that nothing of it has to stay.
fn may_be_lost(name: &str) -> bool {
    name.to_ascii_lowercase()
        .split(['-', '_', '.', '/'])
        .any(|word| matches!(word, "test" | "tests" | "testing" | "e2e" | "ci" | "cache" | "dev" | "local" | "ephemeral" | "temp" | "tmp"))
}

/// Whether a container of the image of a data store only talks to one, or keeps its data in another one.
fn stores_elsewhere(artifact: &Artifact<'_>, place: &Place<'_>) -> bool {
    const CLIENTS: &[&str] = &["psql", "mysql", "mariadb", "mysqldump", "mongo", "mongosh", "mongodump", "cqlsh", "rabbitmqadmin"];
    let commands = artifact.commands.iter().filter(|command| command.container == place.name());
    let words: Vec<&str> = commands.flat_map(|command| &command.words).filter_map(|node| node.text()).collect();
    let client = words.iter().any(|word| word.split_whitespace().any(|word| CLIENTS.contains(&word) || word.starts_with("pg_")));
    let agent = words.iter().any(|word| *word == "--agent" || word.contains("enable-feature=agent"));
    let database = |name: &str| matches!(name, "GF_DATABASE_TYPE" | "GF_DATABASE_HOST" | "GF_DATABASE_URL");
    let other = artifact.variables.iter().any(|variable| variable.container == place.name() && database(&variable.name));
    let set = |name: &str| name.eq_ignore_ascii_case("NODE_DATA") || name.eq_ignore_ascii_case("node.data");
    let no_data =
        artifact.variables.iter().any(|variable| variable.container == place.name() && set(&variable.name) && variable.value == "false");
    client || agent || other || no_data
}

/// Data that is gone with its container.
pub(crate) fn volume_ephemeral(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts().filter(|artifact| artifact.scope != PathScope::Development) {
        match artifact.kind {
            ArtifactKind::Compose if !is_fragment(artifact) => compose_volumes(run, artifact),
            ArtifactKind::Kubernetes if !may_be_lost(&artifact.object.name) && !may_be_lost(&artifact.object.namespace) => {
                pod_volumes(run, artifact);
            }
            ArtifactKind::HelmValues if artifact.complete => value_volumes(run, artifact),
            _ => {}
        }
    }
}

fn pod_volumes<'d>(run: &mut Run<'_, 'd>, artifact: &Artifact<'d>) {
    let Some(pod) = artifact.targets(TargetKind::Pod).next().filter(|pod| pod.long_running) else { return };
    if matches!(artifact.object.kind.as_str(), "DaemonSet" | "PodTemplate") {
        return;
    }
    let volume = |name: &str| pod.node.get("volumes").into_iter().flat_map(Node::items).find(|volume| volume.text_of("name") == Some(name));
    for place in artifact.targets(TargetKind::Container).filter(|place| matches!(place.role, Role::Main | Role::Sidecar) && !place.idle) {
        let Some((word, folders)) = stored(place.image).filter(|_| !stores_elsewhere(artifact, place)) else { continue };
        let mut kept = false;
        let mut lost = None;
        for mount in place.node.get("volumeMounts").into_iter().flat_map(Node::items) {
            let Some(path) = mount.text_of("mountPath") else { continue };
            match mount.text_of("name").and_then(volume) {
                Some(volume) => {
                    if let Some(empty) = volume.get("emptyDir") {
                        let asked_for = empty.text_of("medium").is_some_and(|medium| !medium.is_empty());
                        if folders.iter().any(|folder| overlap(folder, path)) {
                            kept |= asked_for;
                            lost.get_or_insert(empty);
                        }
                    } else {
                        kept |= !["configMap", "secret", "projected", "downwardAPI"].iter().any(|kind| volume.get(kind).is_some());
                    }
                }
                // One of the templates for claims, or added later.
                None => kept = true,
            }
        }
        if kept || (lost.is_none() && !place.complete) {
            continue;
        }
        let (at, message) = match (lost, place.node.get("image")) {
            (Some(empty), _) => {
                (empty, format!("container `{}` keeps the data of {word} in an emptyDir, which is deleted with its pod", place.name()))
            }
            (None, Some(image)) => {
                (image, format!("container `{}` keeps the data of {word} in no volume, so it is lost with the container", place.name()))
            }
            _ => continue,
        };
        run.report_at(place, at, message);
    }
}

fn compose_volumes<'d>(run: &mut Run<'_, 'd>, artifact: &Artifact<'d>) {
    for place in compose::services(artifact).filter(|place| place.complete && !place.one_shot && !place.idle && !may_be_lost(place.name()))
    {
        let Some((word, folders)) = stored(place.image).filter(|_| !stores_elsewhere(artifact, place)) else { continue };
        let profiles = place.get(&["profiles"]).into_iter().flat_map(Node::items).filter_map(Node::text);
        if profiles.into_iter().any(may_be_lost) || ["tmpfs", "volumes_from", "build"].iter().any(|key| place.get(&[key]).is_some()) {
            continue;
        }
        let mut kept = false;
        let mut anonymous = None;
        for item in place.get(&["volumes"]).into_iter().flat_map(Node::items) {
            kept |= named_volume(item).is_some() || item.is_mapping() && item.text_of("type").is_some_and(|kind| kind != "volume");
            let path = item.text_of("target").or_else(|| item.text()).unwrap_or_default();
            if folders.iter().any(|folder| overlap(folder, path)) {
                anonymous.get_or_insert(item);
            }
        }
        if kept {
            continue;
        }
        let Some(image) = place.get(&["image"]) else { continue };
        if let Some(item) = anonymous {
            let message = format!(
                "service `{}` keeps the data of {word} in a volume without a name, which the next container does not find",
                place.name()
            );
            let draft = run.report_at(place, item, message);
            draft.confidence = draft.confidence.lower();
        } else {
            let message =
                format!("service `{}` keeps the data of {word} in no volume that stays, so it is lost with the container", place.name());
            run.report_at(place, image, message);
        }
    }
}

/// Words of the keys around a value.
fn around(node: Node<'_>) -> Vec<String> {
    let keys = node.keys();
    keys.iter().flat_map(|key| key.split(|c: char| !c.is_ascii_alphanumeric())).map(str::to_ascii_lowercase).collect()
}

fn value_volumes<'d>(run: &mut Run<'_, 'd>, artifact: &Artifact<'d>) {
    const OTHERS: &[&str] = &["alertmanager", "pushgateway", "exporter", "metrics", "backup", "redis", "cache", "replica", "readreplicas"];
    for variable in artifact.variables.iter().filter(|variable| variable.name == "enabled" && variable.value == "false") {
        let Some(volume) = variable.node.parent().filter(|node| matches!(node.key_text(), Some("persistence" | "persistentVolume"))) else {
            continue;
        };
        let words = around(volume);
        let word = words.iter().find_map(|word| FOLDERS.iter().find(|(known, _)| word == known || word.strip_suffix("ha") == Some(known)));
        let Some((word, _)) = word.filter(|_| !words.iter().any(|word| OTHERS.contains(&word.as_str()))) else { continue };
        if !volume.parent().is_some_and(switched_off) {
            let object = artifact.object_at(variable.node, "");
            run.report(span_of(variable), object, format!("the data of {word} is kept in no volume that stays"));
        }
    }
}

/// Redis in Compose files and values that lets everybody in.
pub(crate) fn redis_file_without_auth(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts().filter(|artifact| artifact.scope != PathScope::Development) {
        match artifact.kind {
            ArtifactKind::Compose if !is_fragment(artifact) => {
                compose_redis(run, artifact);
                compose_clients(run, artifact);
            }
            ArtifactKind::HelmValues => value_redis(run, artifact),
            _ => {}
        }
    }
}

/// The words of a command of Compose.
fn words<'d>(place: &Place<'d>) -> Vec<&'d str> {
    let of = |node: Node<'d>| -> Vec<&'d str> {
        match node.text() {
            Some(text) => text.split_whitespace().map(|word| word.trim_matches(['"', '\''])).collect(),
            None => node.items().filter_map(Node::text).collect(),
        }
    };
    ["entrypoint", "command"].iter().filter_map(|key| place.get(&[key])).flat_map(of).collect()
}

fn compose_redis<'d>(run: &mut Run<'_, 'd>, artifact: &Artifact<'d>) {
    for place in compose::services(artifact).filter(|place| place.complete && is_redis(place.image) && !may_be_test(place.name())) {
        let set = |wanted: &str| {
            let own = artifact.variables.iter().find(|variable| variable.container == place.name() && variable.name == wanted);
            own.map(|variable| &*variable.value).or_else(|| place.get(&["env_file"]).map(|_| "$"))
        };
        let open = match redis_start(place.image, &words(place), set) {
            Start::Open => true,
            Start::Guarded => false,
            Start::Config => {
                let mounted = place.get(&["volumes"]).into_iter().flat_map(Node::items).filter_map(|item| Some(named_volume(item)?.0));
                let file = mounted.into_iter().find(|path| path.ends_with(".conf"));
                file.and_then(|path| text_beside(run, path.trim_start_matches("./"))).is_some_and(|text| !redis_guards(&text))
            }
        };
        let own = networks(place);
        let meets = |other: &Place<'_>| other.name() != place.name() && networks(other).iter().any(|network| own.contains(network));
        let reachable = place.get(&["ports"]).is_some() || compose::services(artifact).any(meets);
        let Some(image) = place.get(&["image"]).filter(|_| open && reachable) else { continue };
        run.report_at(place, image, format!("service `{}` runs Redis without a password", place.name()));
    }
}

/// Names of the variables that a service sets or takes over.
fn set_names<'d>(place: &Place<'d>) -> Vec<&'d str> {
    let listed = place.get(&["environment"]);
    let items = listed.into_iter().flat_map(Node::items).filter_map(|item| item.text()?.split('=').next());
    let keys = listed.into_iter().flat_map(Node::entries).filter_map(|(key, _)| key.text());
    items.chain(keys).collect()
}

/// Clients that do not know the password which their server asks for.
fn compose_clients<'d>(run: &mut Run<'_, 'd>, artifact: &Artifact<'d>) {
    let asks = |place: &&Place<'_>| is_redis(place.image) && words(place).iter().any(|word| word.contains("requirepass"));
    let servers: Vec<&str> = compose::services(artifact).filter(asks).map(Place::name).collect();
    for place in compose::services(artifact).filter(|place| !servers.is_empty() && place.get(&["env_file"]).is_none()) {
        let secret = |name: &str| ["PASS", "AUTH", "SECRET", "USER"].iter().any(|word| name.to_ascii_uppercase().contains(word));
        if set_names(place).iter().any(|name| name.to_ascii_uppercase().contains("REDIS") && secret(name)) {
            continue;
        }
        for variable in artifact.variables.iter().filter(|variable| variable.container == place.name()) {
            let address = variable.value.strip_prefix("redis://").or_else(|| variable.value.strip_prefix("rediss://"));
            let Some(host) = address.and_then(|address| address.split(['/', '?']).next()).filter(|host| !host.contains(['@', '$'])) else {
                continue;
            };
            let host = host.split(':').next().unwrap_or_default();
            if servers.contains(&host) && variable.placement == Placement::ComposeEnvironment {
                let message = format!("service `{}` connects to `{host}` without the password that it asks for", place.name());
                run.report(span_of(variable), artifact.object_at(variable.node, place.name()), message);
            }
        }
    }
}

fn may_be_test(name: &str) -> bool {
    name.split(['-', '_', '.']).any(|word| matches!(word, "test" | "tests" | "testing" | "e2e" | "ci"))
}

fn value_redis<'d>(run: &mut Run<'_, 'd>, artifact: &Artifact<'d>) {
    for variable in artifact.variables.iter().filter(|variable| variable.value == "false" && variable.placement == Placement::HelmValue) {
        let Some(parent) = variable.node.parent() else { continue };
        let server = match &*variable.name {
            "enabled" if parent.key_text() == Some("auth") => parent.parent(),
            "usePassword" => Some(parent),
            _ => None,
        };
        let Some(server) = server else { continue };
        let words = around(server);
        let is_server = words.iter().any(|word| matches!(word.as_str(), "redis" | "valkey" | "keydb"));
        let other = words.iter().any(|word| matches!(word.as_str(), "external" | "metrics" | "exporter" | "sentinel"));
        if is_server && !other && !switched_off(server) {
            let object = artifact.object_at(variable.node, "");
            run.report(span_of(variable), object, format!("with this `{}` Redis lets everybody in", variable.name));
        }
    }
}

/// Redis behind a Service that lets everybody in.
pub(crate) fn redis_without_auth(run: &mut ProjectRun<'_>) {
    let group = run.group;
    let development = |path: &str| PathScope::of_path(path) == PathScope::Development;
    for facts in group.all(FactSort::Config).filter(|facts| !development(&facts.path)) {
        let Detail::Config(ConfigFacts { open_redis: Some(true), unprotected: Some(span), .. }) = &facts.detail else { continue };
        let message = "this configuration switches the protected mode of Redis off and sets no password";
        run.report(facts, *span, "data", message);
    }
    for (facts, workload) in group.workloads_everywhere().filter(|(facts, workload)| workload.long_running && !development(&facts.path)) {
        if workload.pod.redis.is_empty() || may_be_test(&facts.object.name) || may_be_test(&facts.object.namespace) {
            continue;
        }
        // Nobody is led to a server without a Service.
        let services = group.services(facts, workload);
        let Some(service) = services.into_iter().find(|service| service.shares_namespace(facts)) else { continue };
        for redis in &workload.pod.redis {
            let configs: Vec<Option<&ConfigFacts>> = redis
                .configs
                .iter()
                .map(|name| {
                    let is_meant = |other: &&ObjectFacts| other.object.kind == "ConfigMap" && other.may_share_namespace(facts);
                    group.near_by_name(&facts.path, FactSort::Config, name).find(is_meant).and_then(|other| match &other.detail {
                        Detail::Config(config) => Some(config),
                        _ => None,
                    })
                })
                .collect();
            // A configuration that is not known may set a password; one that switches the protection off is reported itself.
            let open =
                |config: Option<&ConfigFacts>| config.is_some_and(|config| config.open_redis == Some(true) && config.unprotected.is_none());
            if !configs.iter().copied().all(open) {
                continue;
            }
            let message = format!("container `{}` runs Redis without a password behind Service `{}`", redis.container, service.object.name);
            let draft = run.report(facts, redis.span, &redis.path, message);
            draft.object.container.clone_from(&redis.container);
        }
    }
}
