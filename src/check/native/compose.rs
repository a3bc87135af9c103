//! Native checks of pack compose: what a project publishes, starts and declares.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::limits::image_name;
use crate::artifact::{Artifact, Form, Part, PathScope, Place, TargetKind, interpolated, name_at, parts};
use crate::check::{Run, shorten};
use crate::finding::{Confidence, Location, Object, Related, Severity};
use crate::source::{Source, Span};
use crate::syntax::{self, Node, Syntax};

/// Stands for an interpolation whose value is not known.
const OPEN: char = '\u{1}';

/// A text with the defaults of interpolations put in; the others become `OPEN`.
fn effective(text: &str) -> String {
    let (text, _) = interpolated(text, Span::new(0, text.len()));
    let mut out = String::with_capacity(text.len());
    for part in parts(&text) {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Dollar => out.push('$'),
            Part::Variable(_) | Part::Refused(_) => out.push(OPEN),
        }
    }
    out
}

pub(super) fn services<'a, 'd>(artifact: &'a Artifact<'d>) -> impl Iterator<Item = &'a Place<'d>> + use<'a, 'd> {
    artifact.targets(TargetKind::Service)
}

/// Whether the file says only a part of what its services are.
pub(super) fn is_fragment(artifact: &Artifact<'_>) -> bool {
    !artifact.complete
        || is_completed(artifact)
        || services(artifact).any(|service| !service.complete && service.get(&["provider"]).is_none())
}

/// Whether a platform adds volumes, networks and restarts to the file before it runs: Coolify, by the variables that it makes
/// and the head of its templates.
pub(super) fn is_completed(artifact: &Artifact<'_>) -> bool {
    const MADE: &[&str] = &["SERVICE_FQDN_", "SERVICE_URL_", "SERVICE_PASSWORD_", "SERVICE_USER_", "SERVICE_BASE64_", "\n# slogan: "];
    MADE.iter().any(|name| artifact.root.doc.source.text.contains(name))
}

/// Whether the file is written for a swarm rather than for Compose.
pub(super) fn is_swarm(artifact: &Artifact<'_>) -> bool {
    const KEYS: &[&str] = &["placement", "update_config", "rollback_config", "endpoint_mode", "mode"];
    let path = artifact.root.doc.source.path.to_ascii_lowercase();
    path.split(['/', '-', '_', '.']).any(|word| matches!(word, "stack" | "stacks" | "swarm"))
        || services(artifact).any(|service| KEYS.iter().any(|key| service.get(&["deploy", key]).is_some()))
        || artifact
            .root
            .get("networks")
            .into_iter()
            .flat_map(Node::entries)
            .any(|(_, network)| network.text_of("driver") == Some("overlay"))
}

/// Whether profiles keep two services from running at once.
fn exclude_each_other(one: &Place<'_>, other: &Place<'_>) -> bool {
    let of = |place: &Place<'_>| -> Vec<String> {
        place.get(&["profiles"]).into_iter().flat_map(Node::items).filter_map(Node::text).map(str::to_owned).collect()
    };
    let (one, other) = (of(one), of(other));
    // A service with a profile may be an alternative to one without.
    (!one.is_empty() || !other.is_empty()) && !one.iter().any(|profile| other.contains(profile))
}

/// The whole number of a parameter list.
fn numbers(run: &Run<'_, '_>, name: &str) -> Vec<u16> {
    run.active.texts(name).iter().filter_map(|text| text.trim().parse().ok()).collect()
}

/// Host side of a published port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Host {
    /// Docker chooses one.
    Any,
    Fixed(u16, u16),
    Open,
}

/// An entry of `ports`.
#[derive(Debug)]
struct Port<'d> {
    /// The text to edit.
    place: Node<'d>,
    /// Address it is bound to; empty for every one, nothing where it is not known.
    address: Option<String>,
    host: Host,
    target: Option<(u16, u16)>,
    protocol: String,
    interpolated: bool,
    /// Swarm: published on the node alone.
    on_node: bool,
}

fn range(text: &str) -> Option<(u16, u16)> {
    match text.split_once('-') {
        Some((from, to)) => Some((from.trim().parse().ok()?, to.trim().parse().ok()?)),
        None => text.trim().parse().ok().map(|port| (port, port)),
    }
}

fn host(text: &str) -> Host {
    match range(text) {
        _ if text.is_empty() => Host::Any,
        Some((from, to)) => Host::Fixed(from, to),
        None => Host::Open,
    }
}

impl<'d> Port<'d> {
    fn read(item: Node<'d>) -> Option<Self> {
        if item.is_mapping() {
            return Self::long(item);
        }
        let raw = item.text().filter(|_| !item.is_null())?;
        let text = effective(raw);
        let (text, protocol) = text.rsplit_once('/').unwrap_or((&text, "tcp"));
        let mut address = Some(String::new());
        let (published, target) = match text.rsplit_once(':') {
            None => (Host::Any, text),
            Some((front, target)) => {
                let (ip, port) = if let Some((ip, port)) = front.strip_prefix('[').and_then(|front| front.split_once(']')) {
                    (Some(ip), port.strip_prefix(':').unwrap_or_default())
                } else if let Some((ip, port)) = front.rsplit_once(':') {
                    (Some(ip), port)
                } else if front.contains('.') {
                    (Some(front), "")
                } else {
                    (None, front)
                };
                match ip {
                    Some(ip) => address = (!ip.contains(OPEN)).then(|| ip.to_owned()),
                    // What fills in `${WEB}:80` may hold an address, too; of `${WEB_PORT}` its name says otherwise.
                    None if port.contains(OPEN) => address = names_a_port(raw).then(String::new),
                    None => {}
                }
                (host(port), target)
            }
        };
        Some(Self {
            place: item,
            address,
            host: published,
            target: range(target),
            protocol: protocol.to_ascii_lowercase(),
            interpolated: raw.contains('$'),
            on_node: false,
        })
    }

    fn long(item: Node<'d>) -> Option<Self> {
        let target = item.get("target")?;
        let published = item.get("published").filter(|published| !published.is_null());
        let address = item.get("host_ip").filter(|address| !address.is_null());
        let text = |node: Option<Node<'d>>| effective(node.and_then(Node::text).unwrap_or_default());
        let ip = text(address);
        Some(Self {
            place: address.or(published).unwrap_or(target),
            address: (!ip.contains(OPEN)).then_some(ip),
            host: host(&text(published)),
            target: range(&text(Some(target))),
            protocol: item.text_of("protocol").unwrap_or("tcp").to_ascii_lowercase(),
            interpolated: [Some(target), published, address]
                .into_iter()
                .flatten()
                .any(|node| node.text().is_some_and(|text| text.contains('$'))),
            on_node: item.text_of("mode") == Some("host"),
        })
    }

    fn everywhere(&self) -> bool {
        matches!(self.address.as_deref(), Some("" | "0.0.0.0" | "::" | "[::]" | "*"))
    }

    fn loopback(&self) -> bool {
        self.address.as_deref().is_some_and(|address| address.starts_with("127.") || matches!(address, "::1" | "localhost"))
    }
}

/// Whether the variable that a text begins with is called a port and no address.
fn names_a_port(text: &str) -> bool {
    let name = text.trim_start_matches(['$', '{']);
    let name = name_at(name).unwrap_or_default().to_ascii_lowercase();
    name.contains("port") && !["bind", "addr", "listen", "host_ip"].iter().any(|word| name.contains(word))
}

/// The ports that a service publishes by itself; none where Docker ignores them.
fn published<'d>(place: &Place<'d>) -> Vec<Port<'d>> {
    // Any other mode is the name of a network, which publishes ports as the default one does.
    let bridged = place
        .get(&["network_mode"])
        .and_then(Node::text)
        .is_none_or(|mode| !matches!(mode, "host" | "none") && !["service:", "container:"].iter().any(|shared| mode.starts_with(shared)));
    let none = [place.get(&["scale"]), place.get(&["deploy", "replicas"])].into_iter().flatten().any(|count| count.text() == Some("0"));
    if !bridged || none {
        return Vec::new();
    }
    place.node.get("ports").into_iter().flat_map(Node::items).filter_map(Port::read).collect()
}

/// Data stores and brokers by a word of their image's name, with the ports that speak to them.
const DATASTORES: &[(&str, &[u16])] = &[
    ("postgres", &[5432]),
    ("postgresql", &[5432]),
    ("postgis", &[5432]),
    ("pgvector", &[5432]),
    ("timescaledb", &[5432]),
    ("mysql", &[3306, 33060]),
    ("mariadb", &[3306]),
    ("percona", &[3306]),
    ("mssql", &[1433]),
    ("oracle", &[1521]),
    ("cockroach", &[26257]),
    ("mongo", &[27017]),
    ("mongodb", &[27017]),
    ("redis", &[6379, 16379, 26379]),
    ("valkey", &[6379]),
    ("keydb", &[6379]),
    ("dragonfly", &[6379]),
    ("memcached", &[11211]),
    ("elasticsearch", &[9200, 9300]),
    ("opensearch", &[9200, 9300, 9600]),
    ("etcd", &[2379, 2380]),
    ("zookeeper", &[2181]),
    ("nats", &[4222, 6222]),
    ("rabbitmq", &[5672]),
    ("activemq", &[61616]),
    ("kafka", &[9092, 9093, 9094, 29092]),
    ("redpanda", &[9092, 19092]),
    ("clickhouse", &[8123, 9000]),
    ("cassandra", &[9042]),
    ("scylla", &[9042]),
    ("couchdb", &[5984]),
    ("arangodb", &[8529]),
    ("neo4j", &[7474, 7687]),
    ("influxdb", &[8086]),
    ("qdrant", &[6333, 6334]),
    ("milvus", &[19530]),
    ("meilisearch", &[7700]),
    ("typesense", &[8108]),
    ("rethinkdb", &[28015]),
];

/// Words in names of images that look at a data store rather than being one.
const COMPANIONS: &[&str] = &[
    "exporter",
    "admin",
    "commander",
    "commandbridge",
    "express",
    "ui",
    "insight",
    "backup",
    "dashboards",
    "dashboard",
    "client",
    "cli",
    "web",
    "gui",
    "proxy",
    "operator",
    "connect",
    "rest",
    "schema",
    "manager",
    "kibana",
    "monitor",
    "topics",
    "setup",
    "init",
    "tools",
    "console",
];

/// The data store that an image is.
pub(super) fn datastore(image: &str) -> Option<(&'static str, &'static [u16])> {
    let image = image.split_once('@').map_or(image, |(name, _)| name).to_ascii_lowercase();
    let parts: Vec<&str> = image.rsplit('/').collect();
    let (last, folder) = (parts.first().copied().unwrap_or_default(), parts.get(1).copied().unwrap_or_default());
    let last = last.split(':').next().unwrap_or_default();
    let words = |text: &str| text.split(['-', '_', '.']).map(str::to_owned).collect::<Vec<_>>();
    let name = words(last);
    if name.iter().any(|word| COMPANIONS.contains(&word.as_str())) {
        return None;
    }
    let is = |word: &str| name.iter().any(|part| part == word) || (last == "server" && folder == word);
    DATASTORES.iter().copied().find(|(word, _)| is(word))
}

/// Whether a service is a data store by its image, or by its name where it builds its own.
fn is_datastore(place: &Place<'_>) -> bool {
    datastore(place.image).is_some()
}

/// Ports that other programs use as well, and a word that the image or the service then has.
const SHARED: &[(u16, &[&str])] = &[
    (9200, &["elastic", "opensearch"]),
    (4222, &["nats"]),
    (9092, &["kafka", "redpanda", "broker"]),
    (8123, &["clickhouse"]),
    (2379, &["etcd"]),
];

/// Reports data stores that listen on every interface of the host.
pub(crate) fn datastore_port_published(run: &mut Run<'_, '_>) {
    let listed = numbers(run, "ports");
    for artifact in run.artifacts().filter(|artifact| artifact.scope != PathScope::Development) {
        let mut seen = HashSet::new();
        for place in services(artifact) {
            let own = datastore(place.image).map_or(&[][..], |(_, ports)| ports);
            for port in published(place) {
                let Some((from, to)) = port.target else { continue };
                let named = |words: &[&str]| words.iter().any(|word| place.image.contains(word) || place.name().contains(word));
                let known = |number: &u16| SHARED.iter().find(|(shared, _)| shared == number).is_none_or(|(_, words)| named(words));
                let hit = own.iter().chain(listed.iter().filter(|number| known(number))).find(|number| (from..=to).contains(*number));
                let Some(number) = hit.filter(|_| port.everywhere() && seen.insert(port.place.place())) else { continue };
                let message = format!("service `{}` publishes its data port {number} on every interface of the host", place.name());
                run.report_at(place, port.place, message);
            }
        }
    }
}

/// Reports ports that listen on every interface of the host.
pub(crate) fn port_on_all_interfaces(run: &mut Run<'_, '_>) {
    let allowed = numbers(run, "allow");
    for artifact in run.artifacts().filter(|artifact| artifact.scope != PathScope::Development) {
        let mut seen = HashSet::new();
        for place in services(artifact) {
            for port in published(place) {
                let is_allowed = matches!(port.host, Host::Fixed(from, to) if from == to && allowed.contains(&from));
                if !port.everywhere() || is_allowed || !seen.insert(port.place.place()) {
                    continue;
                }
                let message = match port.host {
                    Host::Fixed(from, to) if from == to => {
                        format!("service `{}` publishes port {from} on every interface of the host", place.name())
                    }
                    Host::Fixed(from, to) => {
                        format!("service `{}` publishes ports {from} to {to} on every interface of the host", place.name())
                    }
                    Host::Any => format!("service `{}` publishes a random port on every interface of the host", place.name()),
                    Host::Open => format!("service `{}` publishes a port on every interface of the host", place.name()),
                };
                run.report_at(place, port.place, message);
            }
        }
    }
}

/// Number of the service that publishes a host port, the address, and where that is said.
type Taken = (usize, String, Span);

/// Reports host ports that two services publish.
pub(crate) fn duplicate_published_port(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts() {
        let places: Vec<&Place<'_>> = services(artifact).collect();
        let mut known: HashMap<(u16, String), Vec<Taken>> = HashMap::new();
        for (index, place) in places.iter().enumerate() {
            let mut taken = Vec::new();
            for port in published(place).into_iter().filter(|port| !port.interpolated && !port.on_node) {
                let (Host::Fixed(from, to), Some(address)) = (port.host, port.address.clone()) else { continue };
                // Wide ranges are compared by their ends.
                let numbers: Vec<u16> = if to.saturating_sub(from) > 64 { vec![from, to] } else { (from..=to).collect() };
                let clash = numbers.iter().find_map(|number| {
                    let same = known.get(&(*number, port.protocol.clone()))?.iter().find(|(other, at, _)| {
                        let other = places.get(*other);
                        other.is_some_and(|other| !exclude_each_other(place, other)) && overlap(at, &address)
                    })?;
                    Some((*number, same.clone()))
                });
                if let Some((number, (other, _, span))) = clash {
                    let other = places.get(other).map_or("", |other| other.name());
                    let message = format!("services `{other}` and `{}` publish the same host port {number}", place.name());
                    let path = std::sync::Arc::clone(&run.file.source.path);
                    let draft = run.report_at(place, port.place, message);
                    draft.related.push(Related { location: Location { path, span }, label: format!("`{other}` publishes it here") });
                }
                taken.extend(
                    numbers.into_iter().map(|number| ((number, port.protocol.clone()), (index, address.clone(), port.place.place()))),
                );
            }
            for (key, value) in taken {
                known.entry(key).or_default().push(value);
            }
        }
    }
}

/// Whether two addresses are surely the same one.
fn overlap(one: &str, other: &str) -> bool {
    let all = |address: &str| matches!(address, "" | "0.0.0.0" | "::");
    one == other || (one.is_empty() && all(other)) || (other.is_empty() && all(one))
}

/// Images whose work is to listen on the ports of the web.
const PROXIES: &[&str] = &[
    "nginx",
    "traefik",
    "caddy",
    "haproxy",
    "envoy",
    "httpd",
    "apache",
    "kong",
    "apisix",
    "swag",
    "openresty",
    "varnish",
    "pomerium",
    "proxy",
    "gateway",
    "ingress",
    "npm",
    "zoraxy",
    "bunkerweb",
    "frontend",
    "web",
];

/// Reports host ports that only root may open.
pub(crate) fn privileged_host_port(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts() {
        let mut seen = HashSet::new();
        for place in services(artifact) {
            let is_proxy = PROXIES.iter().any(|word| place.image.contains(word) || place.name().contains(word));
            for port in published(place).into_iter().filter(|port| !port.interpolated) {
                let Host::Fixed(from, _) = port.host else { continue };
                if from == 0 || from >= 1024 || (is_proxy && matches!(from, 80 | 443)) || !seen.insert(port.place.place()) {
                    continue;
                }
                run.report_at(place, port.place, format!("service `{}` publishes the privileged host port {from}", place.name()));
            }
        }
    }
}

/// Reports data stores that services at the edge can reach without need.
pub(crate) fn datastore_on_public_network(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts().filter(|artifact| !is_fragment(artifact)) {
        let places: Vec<&Place<'_>> = services(artifact).filter(|place| !place.one_shot).collect();
        if places.len() < 3 {
            continue;
        }
        let internal: HashSet<&str> = artifact
            .root
            .get("networks")
            .into_iter()
            .flat_map(Node::entries)
            .filter(|(_, network)| network.text_of("internal") == Some("true"))
            .filter_map(|(key, _)| key.text())
            .collect();
        for store in places.iter().filter(|place| is_datastore(place) && published(place).iter().all(Port::loopback)) {
            let shared: Vec<&str> = networks(store).into_iter().filter(|network| !internal.contains(network)).collect();
            let meets = |place: &Place<'_>| networks(place).iter().any(|network| shared.contains(network));
            let others = || places.iter().filter(|place| place.name() != store.name() && meets(place));
            let needed = others().any(|place| published(place).iter().all(Port::loopback) && mentions(place, store.name()));
            let edge = others().find(|place| {
                let is_edge = published(place).iter().any(|port| !port.loopback()) && !is_datastore(place);
                is_edge && place.get(&["env_file"]).is_none() && !mentions(place, store.name())
            });
            let Some(edge) = edge.filter(|_| needed) else { continue };
            let message =
                format!("data store `{}` shares a network with `{}`, which publishes ports and does not use it", store.name(), edge.name());
            let at = store.node.get("networks").unwrap_or(store.node);
            run.report_at(store, at, message);
        }
    }
}

/// Names of the networks that a service joins.
pub(super) fn networks<'d>(place: &Place<'d>) -> Vec<&'d str> {
    match place.get(&["networks"]) {
        _ if place.get(&["network_mode"]).is_some() => Vec::new(),
        Some(list) if list.is_sequence() => list.items().filter_map(Node::text).collect(),
        Some(list) if list.is_mapping() => list.entries().into_iter().filter_map(|(key, _)| key.text()).collect(),
        _ => vec!["default"],
    }
}

/// Whether a name stands anywhere in what a service says.
fn mentions(place: &Place<'_>, name: &str) -> bool {
    let whole = |text: &str| {
        text.match_indices(name).any(|(at, _)| {
            let before = text.get(..at).and_then(|before| before.chars().next_back());
            let after = text.get(at + name.len()..).and_then(|after| after.chars().next());
            let part = |character: Option<char>| character.is_some_and(|character| character.is_ascii_alphanumeric());
            !part(before) && !part(after)
        })
    };
    let depends = place.node.get("depends_on").is_some_and(|depends| depends.is_mapping() && depends.get(name).is_some());
    // Whatever an alias or merge brings is part of it.
    depends
        || ["environment", "command", "entrypoint", "depends_on", "links", "labels", "configs", "volumes"].iter().any(|key| {
            let Some(value) = place.node.get(key) else { return false };
            value.resolved().values().iter().any(|value| value.text().is_some_and(whole))
        })
}

/// Reports services that join only the network that every service without one joins.
pub(crate) fn default_network_only(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts().filter(|artifact| !is_fragment(artifact)) {
        let configured = artifact.root.at_path(&["networks", "default"]).is_some();
        if configured || services(artifact).count() < 2 {
            continue;
        }
        for place in services(artifact) {
            if place.get(&["networks"]).is_none() && place.get(&["network_mode"]).is_none() && place.get(&["provider"]).is_none() {
                run.report_at(place, place.node, format!("service `{}` joins only the default network", place.name()));
            }
        }
    }
}

/// Reports names of containers that two of them cannot have.
pub(crate) fn duplicate_container_name(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts() {
        let mut known: Vec<(&Place<'_>, &str, Node<'_>)> = Vec::new();
        for place in services(artifact) {
            let Some(node) = place.get(&["container_name"]) else { continue };
            let Some(name) = node.text().filter(|name| !name.contains('$') && !node.is_null()) else { continue };
            let copies = place.get(&["deploy", "replicas"]).or_else(|| place.get(&["scale"])).and_then(Node::as_int).unwrap_or(1);
            let here = if node.span().overlaps(place.node.span()) { node } else { place.node };
            if copies > 1 {
                let message =
                    format!("service `{}` runs {copies} containers, which cannot all be called `{}`", place.name(), shorten(name));
                run.report_at(place, here, message);
            }
            let other = known.iter().find(|(other, taken, _)| *taken == name && !exclude_each_other(place, other));
            if let Some((other, _, there)) = other {
                let message =
                    format!("services `{}` and `{}` have the same container name `{}`", other.name(), place.name(), shorten(name));
                let related = Related {
                    location: Location { path: std::sync::Arc::clone(&run.file.source.path), span: there.place() },
                    label: format!("`{}` has it here", other.name()),
                };
                run.report_at(place, here, message).related.push(related);
            }
            known.push((place, name, node));
        }
    }
}

/// A condition, the service that waits, what it waits for, and where that is said.
fn dependencies<'d>(place: &Place<'d>) -> Vec<(&'d str, Node<'d>, Option<Node<'d>>)> {
    let Some(depends) = place.node.get("depends_on") else { return Vec::new() };
    let listed = depends.items().filter_map(|item| Some((item.text()?, item, None)));
    let mapped = depends.entries().into_iter().filter_map(|(key, value)| Some((key.text()?, key, Some(value))));
    if depends.is_sequence() { listed.collect() } else { mapped.collect() }
}

/// Images whose makers define HEALTHCHECK.
const WITH_HEALTHCHECK: &[&str] = &[
    "authelia",
    "mailpit",
    "clamav",
    "watchtower",
    "filebrowser",
    "homepage",
    "gitlab-ce",
    "gitlab-ee",
    "gotify",
    "guacd",
    "healthchecks",
    "immich-server",
    "immich-machine-learning",
    "minecraft-server",
    "jellyfin",
    "localstack",
    "localstack-pro",
    "uptime-kuma",
    "maildev",
    "mattermost-team-edition",
    "mysql-server",
    "netdata",
    "node-red",
    "pihole",
    "gluetun",
    "vaultwarden",
    "wg-easy",
    "authentik",
];

/// Official images that define none.
const WITHOUT_HEALTHCHECK: &[&str] = &[
    "postgres",
    "mysql",
    "mariadb",
    "redis",
    "valkey",
    "mongo",
    "rabbitmq",
    "nats",
    "memcached",
    "nginx",
    "httpd",
    "caddy",
    "traefik",
    "node",
    "python",
    "golang",
    "ruby",
    "php",
    "alpine",
    "ubuntu",
    "debian",
    "busybox",
    "zookeeper",
    "cassandra",
    "neo4j",
    "registry",
    "vault",
    "consul",
    "pgvector",
    "timescaledb",
    "postgis",
    "minio",
    "haproxy",
    "temurin",
    "openjdk",
    "grafana",
    "loki",
];

/// Whether a healthcheck is written that never tells anything.
fn is_disabled(check: Node<'_>) -> bool {
    let none = |test: Node<'_>| test.text() == Some("NONE") || test.items().next().and_then(Node::text) == Some("NONE");
    check.text_of("disable") == Some("true") || check.get("test").is_some_and(none)
}

/// Reports waiting for the health of a service that nobody checks.
pub(crate) fn health_condition_without_healthcheck(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts() {
        let places: HashMap<&str, &Place<'_>> = services(artifact).map(|place| (place.name(), place)).collect();
        let mut seen = HashSet::new();
        for place in services(artifact) {
            for (name, _, options) in dependencies(place) {
                let Some(condition) = options.and_then(|options| options.get("condition")) else { continue };
                let Some(target) = places.get(name).filter(|_| condition.text() == Some("service_healthy")) else { continue };
                if !seen.insert((name.to_owned(), condition.place())) {
                    continue;
                }
                match target.get(&["healthcheck"]) {
                    Some(check) if is_disabled(check) => {
                        let message = format!("service `{}` waits for `{name}` to be healthy, whose healthcheck is disabled", place.name());
                        run.report_at(place, condition, message);
                    }
                    Some(_) => {}
                    None if !target.complete => {}
                    None if target.image.split(['/', ':', '@']).any(|part| WITH_HEALTHCHECK.contains(&part)) => {}
                    None => {
                        let message = format!("service `{}` waits for `{name}` to be healthy, which has no healthcheck here", place.name());
                        let built = target.get(&["build"]).is_some();
                        let draft = run.report_at(place, condition, message);
                        if built {
                            draft.severity = Severity::Low;
                        }
                        if built || !WITHOUT_HEALTHCHECK.contains(&image_name(target.image).0) {
                            draft.confidence = Confidence::Low;
                        }
                    }
                }
            }
        }
    }
}

/// Reports services that start beside their data store rather than after it.
pub(crate) fn start_order_not_gated(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts() {
        let places: HashMap<&str, &Place<'_>> = services(artifact).map(|place| (place.name(), place)).collect();
        let mut seen = HashSet::new();
        for place in services(artifact) {
            for (name, node, options) in dependencies(place) {
                let Some(target) = places.get(name).filter(|target| is_datastore(target)) else { continue };
                let condition = options.and_then(|options| options.get("condition"));
                let waits = condition.is_some_and(|condition| condition.text() != Some("service_started"));
                let checked = target.get(&["healthcheck"]).is_some_and(|check| check.get("test").is_some() && !is_disabled(check));
                let at = condition.unwrap_or(node);
                if waits || !checked || !seen.insert(at.place()) {
                    continue;
                }
                let object = Object { path: at.path(), ..place.object.clone() };
                run.report(at.place(), object, format!("service `{}` does not wait until `{name}` is healthy", place.name()));
            }
        }
    }
}

/// Reports the `version` that Compose ignores.
pub(crate) fn obsolete_version_field(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts().filter(|artifact| !is_swarm(artifact)) {
        let field = artifact.root.pairs().find(|(key, _)| key.text() == Some("version"));
        if let Some((key, value)) = field {
            run.report(key.span(), artifact.object_at(value, ""), "Compose ignores the top-level `version`");
        }
    }
}

/// The text of a file below the folder that the file stands in.
pub(super) fn text_beside(run: &Run<'_, '_>, name: &str) -> Option<String> {
    let path = &run.file.source.path;
    let path = path.rsplit_once('/').map_or_else(|| name.to_owned(), |(folder, _)| format!("{folder}/{name}"));
    String::from_utf8(run.file.tree.read(&path).ok()?).ok()
}

/// The names that the `.env` beside the file sets.
fn env_beside(run: &Run<'_, '_>) -> BTreeSet<String> {
    let Some(text) = text_beside(run, ".env") else { return BTreeSet::new() };
    let source = Arc::new(Source { path: ".env".into(), text, bom: false });
    let parsed = syntax::parse(&source, Syntax::Dotenv);
    let keys = parsed.documents.iter().flat_map(|document| document.root().pairs());
    keys.filter_map(|(key, _)| key.text().map(str::to_owned)).collect()
}

/// Whether a `daemon.json` of the project bounds the logs of all containers.
fn daemon_bounds_logs(run: &Run<'_, '_>) -> bool {
    let files = ["daemon.json", "docker/daemon.json", "etc/docker/daemon.json"];
    files.iter().filter_map(|file| text_beside(run, file)).any(|text| text.contains("\"max-size\""))
}

/// Reports a project whose name is that of its folder.
pub(crate) fn project_name_missing(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts().filter(|artifact| !is_fragment(artifact) && !is_swarm(artifact)) {
        let path = &run.file.source.path;
        // The first file of a project names it.
        let file = path.rsplit('/').next().unwrap_or_default().split('+').next().unwrap_or_default();
        // Files of other names are merged or included somewhere.
        let plain = matches!(file, "compose.yaml" | "compose.yml" | "docker-compose.yml" | "docker-compose.yaml");
        let named = artifact.root.get("name").is_some() || (plain && env_beside(run).contains("COMPOSE_PROJECT_NAME"));
        let Some(services) = artifact.root.get("services").filter(|_| plain && !named) else { continue };
        run.report(services.place(), artifact.object_at(services, ""), "the project takes its name from the folder it lies in");
    }
}

/// Reports restarts that never give up.
pub(crate) fn restart_attempts_unbounded(run: &mut Run<'_, '_>) {
    let max = run.active.number("max").unwrap_or(5.0);
    for artifact in run.artifacts() {
        let mut seen = HashSet::new();
        for place in services(artifact) {
            let within = |text: &str| text.parse::<f64>().is_ok_and(|attempts| attempts <= max);
            let restart = place.get(&["restart"]).filter(|restart| {
                let limit = restart.text().and_then(|text| text.strip_prefix("on-failure"));
                limit.is_some_and(|limit| !limit.contains('$') && !limit.strip_prefix(':').is_some_and(within))
            });
            let policy = place.get(&["deploy", "restart_policy"]).filter(|policy| policy.text_of("condition") == Some("on-failure"));
            let policy = policy.and_then(|policy| match policy.get("max_attempts") {
                Some(attempts) => attempts.text().is_some_and(|text| !text.contains('$') && !within(text)).then_some(attempts),
                None => policy.get("condition").filter(|_| place.complete),
            });
            for node in [restart, policy].into_iter().flatten().filter(|node| seen.insert(node.place())) {
                let message = format!("service `{}` restarts after failures more than {max} times", place.name());
                run.report_at(place, node, message);
            }
        }
    }
}

/// Reports services that stay down once they have stopped.
pub(crate) fn restart_policy_missing(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts().filter(|artifact| artifact.scope != PathScope::Development) {
        let supplied = is_swarm(artifact) || is_completed(artifact);
        for place in services(artifact).filter(|place| place.complete && !place.one_shot && !place.idle) {
            let has = |path: &[&str]| place.get(path).is_some();
            let interactive = has(&["stdin_open"]) || has(&["tty"]);
            if supplied
                || interactive
                || has(&["restart"])
                || has(&["deploy", "restart_policy"])
                || has(&["profiles"])
                || has(&["provider"])
            {
                continue;
            }
            run.report_at(place, place.node, format!("service `{}` has no restart policy", place.name()));
        }
    }
}

/// Reports logs that grow until the disk is full.
pub(crate) fn unbounded_logs(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts().filter(|artifact| artifact.scope != PathScope::Development) {
        if daemon_bounds_logs(run) {
            return;
        }
        let mut seen = HashSet::new();
        for place in services(artifact).filter(|place| !place.one_shot) {
            let logging = place.get(&["logging"]);
            let driver = logging.and_then(|logging| logging.text_of("driver")).unwrap_or("json-file");
            let bounded = logging.is_some_and(|logging| logging.at_path(&["options", "max-size"]).is_some());
            let legacy = place.get(&["log_driver"]).is_some() || place.get(&["log_opt"]).is_some() || place.get(&["provider"]).is_some();
            if driver != "json-file" || bounded || legacy || (logging.is_none() && !place.complete) {
                continue;
            }
            let at = place.node.get("logging").unwrap_or(place.node);
            if seen.insert(at.place()) {
                run.report_at(place, at, format!("the log of service `{}` has no maximum size", place.name()));
            }
        }
    }
}

/// The named volume of an entry, where it is written, and whether it is mounted to be read only.
pub(super) fn named_volume(item: Node<'_>) -> Option<(&str, bool)> {
    if item.is_mapping() {
        let name = item.text_of("source").filter(|_| matches!(item.text_of("type"), Some("volume") | None))?;
        return Some((name, item.text_of("read_only") == Some("true")));
    }
    let (name, rest) = item.text()?.split_once(':')?;
    let drive = name.len() == 1 && rest.starts_with(['\\', '/']) && rest.contains(':');
    let read_only = rest.rsplit_once(':').is_some_and(|(_, mode)| mode.split(',').any(|word| word == "ro"));
    (!drive).then_some((name, read_only))
}

/// Whether a source is the name of a volume rather than a path or a template.
fn is_volume_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphanumeric()) && !name.contains(['/', '\\', '$', '{', '~', ' '])
}

/// Reports volumes that several services write to.
pub(crate) fn volume_shared_between_services(run: &mut Run<'_, '_>) {
    const HELPERS: &[&str] = &["backup", "init", "migrate", "migration", "migrations", "setup", "seed", "restore", "permissions", "chown"];
    for artifact in run.artifacts() {
        let mut first: HashMap<&str, (&str, Span)> = HashMap::new();
        for place in services(artifact).filter(|place| !place.one_shot) {
            if place.name().split(['-', '_', '.']).any(|word| HELPERS.contains(&word)) {
                continue;
            }
            for item in place.get(&["volumes"]).into_iter().flat_map(Node::items) {
                let Some((name, false)) = named_volume(item) else { continue };
                if !is_volume_name(name) {
                    continue;
                }
                match first.get(name).copied() {
                    Some((other, span)) if other != place.name() => {
                        let at = item.get("source").unwrap_or(item);
                        let at = if at.place() == span { place.node } else { at };
                        let message = format!("services `{other}` and `{}` both write to volume `{name}`", place.name());
                        let path = std::sync::Arc::clone(&run.file.source.path);
                        run.report_at(place, at, message)
                            .related
                            .push(Related { location: Location { path, span }, label: format!("`{other}` mounts it here") });
                    }
                    Some(_) => {}
                    None => {
                        first.insert(name, (place.name(), item.get("source").unwrap_or(item).place()));
                    }
                }
            }
        }
    }
}

/// Reports images that are built and named at once.
pub(crate) fn build_and_image(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts() {
        for place in services(artifact) {
            let (Some(build), Some(image)) = (place.node.get("build"), place.node.get("image")) else { continue };
            let policy = place.get(&["pull_policy"]).and_then(Node::text);
            // What is pushed has a registry or an account in its name.
            let pushed = image.text().is_none_or(|image| image.contains(['/', '$'])) || place.get(&["build", "tags"]).is_some();
            if policy == Some("build") || pushed || build.is_null() || image.is_null() {
                continue;
            }
            run.report_at(place, image, format!("service `{}` has both `build` and `image`", place.name()));
        }
    }
}

/// Reports names that the merged file does not declare, and dependencies that go in a circle.
pub(crate) fn undeclared_reference(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts() {
        cycle(run, artifact);
        let elsewhere = services(artifact).any(|service| service.node.at_path(&["extends", "file"]).is_some());
        if elsewhere || is_fragment(artifact) || artifact.root.get("include").is_some() {
            continue;
        }
        let mut seen = HashSet::new();
        for place in services(artifact) {
            for (kind, name, node) in references(place) {
                let declared = artifact.root.get(kind).is_some_and(|declared| declared.get(name).is_some());
                if declared || name.contains(['$', '{']) || !seen.insert((node.place(), kind)) {
                    continue;
                }
                let word = kind.strip_suffix('s').unwrap_or(kind);
                let object = Object { path: node.path(), ..place.object.clone() };
                run.report(
                    node.place(),
                    object,
                    format!("service `{}` uses {word} `{}`, which is not declared", place.name(), shorten(name)),
                );
            }
        }
    }
}

/// The names that a service uses: the top-level key that must hold it, the name, and where it stands.
fn references<'d>(place: &Place<'d>) -> Vec<(&'static str, &'d str, Node<'d>)> {
    let mut found = Vec::new();
    let node = place.node;
    match node.get("networks") {
        Some(list) if list.is_mapping() => {
            found.extend(list.entries().into_iter().filter_map(|(key, _)| Some(("networks", key.text()?, key))));
        }
        Some(list) => found.extend(list.items().filter_map(|item| Some(("networks", item.text()?, item)))),
        None => {}
    }
    found.retain(|(_, name, _)| *name != "default");
    for item in node.get("volumes").into_iter().flat_map(Node::items) {
        let source = named_volume(item).filter(|(name, _)| is_volume_name(name));
        found.extend(source.map(|(name, _)| ("volumes", name, item.get("source").unwrap_or(item))));
    }
    for kind in ["secrets", "configs"] {
        for list in [node.get(kind), node.at_path(&["build", kind])].into_iter().flatten() {
            for item in list.items() {
                let source = if item.is_mapping() { item.get("source") } else { Some(item) };
                found.extend(source.and_then(|source| Some((kind, source.text()?, source))));
            }
        }
    }
    for (name, at, options) in dependencies(place) {
        let required = options.and_then(|options| options.text_of("required")) != Some("false");
        found.extend(required.then_some(("services", name, at)));
    }
    if let Some((mode, name)) = node.get("network_mode").and_then(|mode| Some((mode, mode.text()?.strip_prefix("service:")?))) {
        found.push(("services", name, mode));
    }
    for item in node.get("links").into_iter().flat_map(Node::items) {
        found.extend(item.text().map(|text| ("services", text.split(':').next().unwrap_or(text), item)));
    }
    for item in node.get("volumes_from").into_iter().flat_map(Node::items) {
        let text = item.text().filter(|text| !text.starts_with("container:"));
        found.extend(text.map(|text| ("services", text.split(':').next().unwrap_or(text), item)));
    }
    if let Some(extends) = node.get("extends") {
        let service = if extends.is_mapping() { extends.get("service") } else { Some(extends) };
        found.extend(service.and_then(|service| Some(("services", service.text()?, service))));
    }
    found
}

/// Reports one circle of dependencies.
fn cycle<'d>(run: &mut Run<'_, 'd>, artifact: &Artifact<'d>) {
    let places: Vec<&Place<'d>> = services(artifact).collect();
    let index: HashMap<&str, usize> = places.iter().enumerate().map(|(index, place)| (place.name(), index)).collect();
    let edges: Vec<Vec<(usize, Node<'d>)>> = places
        .iter()
        .map(|place| dependencies(place).into_iter().filter_map(|(name, node, _)| Some((*index.get(name)?, node))).collect())
        .collect();
    // 0: not seen, 1: on the way, 2: done.
    let mut state = vec![0_u8; places.len()];
    for start in 0..places.len() {
        let mut way: Vec<(usize, usize)> = if state.get(start) == Some(&0) { vec![(start, 0)] } else { Vec::new() };
        while let Some((at, next)) = way.pop() {
            if let Some(seen) = state.get_mut(at) {
                *seen = 1;
            }
            let Some((target, node)) = edges.get(at).and_then(|edges| edges.get(next)).copied() else {
                if let Some(seen) = state.get_mut(at) {
                    *seen = 2;
                }
                continue;
            };
            way.push((at, next + 1));
            match state.get(target) {
                Some(0) => way.push((target, 0)),
                Some(1) => {
                    let Some(place) = places.get(at) else { return };
                    let other = places.get(target).map_or("", |place| place.name());
                    let message = if at == target {
                        format!("service `{}` depends on itself", place.name())
                    } else {
                        format!("services `{}` and `{other}` depend on each other, so none can start first", place.name())
                    };
                    let object = Object { path: node.path(), ..place.object.clone() };
                    run.report(node.place(), object, message);
                    return;
                }
                _ => {}
            }
        }
    }
}

/// A `$` in a text: where it stands and how long what it begins is.
pub(super) enum Dollar<'t> {
    /// Compose refuses the file.
    Refused(usize),
    /// A variable without a default.
    Variable { at: usize, name: &'t str, braced: bool },
}

pub(super) fn dollars(text: &str) -> Vec<Dollar<'_>> {
    let dollar = |part| match part {
        Part::Refused(range) => Some(Dollar::Refused(range.start)),
        Part::Variable(reference) if reference.form == Form::Plain => {
            let braced = reference.range.len() > reference.name.len() + 1;
            Some(Dollar::Variable { at: reference.range.start, name: reference.name, braced })
        }
        _ => None,
    };
    parts(text).into_iter().filter_map(dollar).collect()
}

/// Reports `$` that Compose refuses, or interpolates although the container was meant to.
pub(crate) fn unescaped_dollar(run: &mut Run<'_, '_>) {
    // Few files have a variable to look up.
    let beside: OnceCell<BTreeSet<String>> = OnceCell::new();
    for artifact in run.artifacts().filter(|artifact| !is_completed(artifact)) {
        for key in ["services", "networks", "volumes", "configs", "secrets"] {
            for node in artifact.root.get(key).into_iter().flat_map(Node::values) {
                let block = !node.is_verbatim() && matches!(node.style(), crate::syntax::Style::Literal | crate::syntax::Style::Folded);
                let (text, exact) = match node.text() {
                    Some(text) if text.contains('$') && !block => (text, node.is_verbatim()),
                    Some(text) if text.contains('$') => (node.doc.source.slice(node.value_span()), true),
                    _ => continue,
                };
                let found = dollars(text);
                let place = |at: usize, length: usize| {
                    let start = node.value_span().start as usize + at;
                    if exact { Span::new(start, start + length) } else { node.place() }
                };
                // One finding a value; what is refused comes first, as Compose meets it.
                let refused = found.iter().find_map(|dollar| if let Dollar::Refused(at) = dollar { Some(*at) } else { None });
                if let Some(at) = refused {
                    run.report(place(at, 1), artifact.object_at(node, ""), "Compose refuses this `$`; a literal one is written `$$`");
                    continue;
                }
                for dollar in &found {
                    let Dollar::Variable { at, name, braced } = dollar else { continue };
                    if beside.get_or_init(|| env_beside(run)).contains(*name) {
                        continue;
                    }
                    let length = name.len() + if *braced { 3 } else { 1 };
                    if in_command(node) && (is_set_in(artifact, node, name) || is_set_by(text, name)) {
                        let message = format!("Compose replaces `{name}` on the host before the container's shell can; write `$$`");
                        run.report(place(*at, length), artifact.object_at(node, ""), message);
                        break;
                    }
                    if !*braced && is_part_of_secret(node, text, *at, name) {
                        let message = "Compose takes this `$` for the begin of a variable; a literal one is written `$$`";
                        run.report(place(*at, 1), artifact.object_at(node, ""), message);
                        break;
                    }
                }
            }
        }
    }
}

pub(super) fn in_command(node: Node<'_>) -> bool {
    let keys = node.keys();
    let below = keys.get(2..).unwrap_or_default();
    keys.first() == Some(&"services") && matches!(below, ["command" | "entrypoint", ..] | ["healthcheck", "test", ..])
}

/// Whether the service that holds a node gives its container a literal of this name.
pub(super) fn is_set_in(artifact: &Artifact<'_>, node: Node<'_>, name: &str) -> bool {
    let keys = node.keys();
    let service = keys.get(1).copied().unwrap_or_default();
    artifact.variables.iter().any(|variable| {
        variable.placement == crate::artifact::Placement::ComposeEnvironment
            && variable.container == service
            && variable.name == name
            && variable.node.text().is_some_and(|text| !text.split_once('=').map_or(text, |(_, value)| value).contains('$'))
    })
}

/// Whether a script sets the variable itself.
pub(super) fn is_set_by(text: &str, name: &str) -> bool {
    let mut words =
        text.split(|character: char| character.is_whitespace() || matches!(character, ';' | '&' | '(' | '|' | '"' | '\'')).peekable();
    while let Some(word) = words.next() {
        if matches!(word, "for" | "read") && words.peek() == Some(&name) {
            return true;
        }
        if word.strip_prefix(name).is_some_and(|rest| rest.starts_with('=')) {
            return true;
        }
    }
    false
}

/// Whether a `$` stands inside a password or its hash.
pub(super) fn is_part_of_secret(node: Node<'_>, text: &str, at: usize, name: &str) -> bool {
    let before = text.get(..at).unwrap_or_default();
    let after = text.get(at + 1 + name.len()..).unwrap_or_default();
    if matches!(name, "apr1") && after.starts_with('$') {
        return true;
    }
    let (key, value_before) = match node.key_text() {
        Some(key) => (key, before),
        None => before.split_once('=').unwrap_or(("", before)),
    };
    let key = key.to_ascii_lowercase();
    let parent = node.parent().and_then(|parent| parent.key_text().or_else(|| node.parent()?.parent()?.key_text()));
    let secret = ["password", "passwd", "secret", "token"].iter().any(|word| key.ends_with(word));
    let inside = value_before.ends_with(|last: char| last.is_ascii_alphanumeric());
    parent == Some("environment") && secret && inside && name.bytes().any(|byte| byte.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpolations_become_defaults_or_open() {
        assert_eq!(effective("${A:-8080}:80"), "8080:80");
        assert_eq!(effective("${A}:80"), "\u{1}:80");
        assert_eq!(effective("${A:?needs ${B}}:80"), "\u{1}:80");
        assert_eq!(effective("$A:80"), "\u{1}:80");
        assert_eq!(effective("a$$b"), "a$b");
    }

    #[test]
    fn dollars_are_read_as_compose_does() {
        let kinds = |text: &str| -> String {
            dollars(text).iter().map(|dollar| if matches!(dollar, Dollar::Refused(_)) { 'r' } else { 'v' }).collect()
        };
        for (text, expected) in [
            ("$$x", ""),
            ("^a$", "r"),
            ("$(date)", "r"),
            ("$1", "r"),
            ("$A ${B}", "vv"),
            ("${A:-$(x)}", ""),
            ("${A%.*}", "r"),
            ("${A:0:2}", "r"),
            ("${A:?no}", ""),
            ("${A", "r"),
        ] {
            assert_eq!(kinds(text), expected, "{text}");
        }
    }

    #[test]
    fn datastores_are_known_by_their_images() {
        for image in ["postgres:16", "bitnami/postgresql", "mcr.microsoft.com/mssql/server:2022", "docker.io/valkey/valkey:8@sha256:0"] {
            assert!(datastore(image).is_some(), "{image}");
        }
        for image in [
            "prometheuscommunity/postgres-exporter",
            "mongo-express",
            "provectuslabs/kafka-ui",
            "acme/app",
            "rediscommander/redis-commander",
        ] {
            assert!(datastore(image).is_none(), "{image}");
        }
    }
}
