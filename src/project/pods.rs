//! Facts about pods: how they roll out and stop, where they may run, what they store, and the objects that say more of it.

use super::facts::{Detail, Spanned};
use crate::artifact::{Artifact, Placement, TargetKind, Variable};
use crate::source::Span;
use crate::syntax::{Node, number, parse_duration, parse_quantity};

/// What a pod template says beside its labels and containers.
#[derive(Clone, Debug, Default)]
pub(crate) struct PodFacts {
    pub(crate) host_network: bool,
    /// It holds what another pod cannot have at the same time: a port or a folder of its node, a device.
    pub(crate) exclusive: bool,
    /// It may run on one node only.
    pub(crate) one_node: bool,
    /// Names of the claims that it mounts.
    pub(crate) claims: Vec<Spanned>,
    /// Storage classes of the claims that every replica gets for itself.
    pub(crate) template_classes: Vec<String>,
    pub(crate) grace: Option<Spanned>,
    /// The only zone that it may run in.
    pub(crate) zone: Option<Spanned>,
    /// How the workload rolls out.
    pub(crate) strategy: Option<Spanned>,
    pub(crate) max_unavailable: Option<Spanned>,
    pub(crate) max_surge: Option<Spanned>,
    /// Where an annotation asks for its metrics to be scraped.
    pub(crate) scraped: Option<Span>,
    pub(crate) timeouts: Vec<Timeout>,
    /// `ConfigMaps` that a container takes as its environment: its name and theirs.
    pub(crate) config_env: Vec<(String, String)>,
    /// Its replicas elect a leader.
    pub(crate) elects_leader: bool,
    pub(crate) redis: Vec<RedisFacts>,
}

/// How long an application says that it takes to shut down.
#[derive(Clone, Debug)]
pub(crate) struct Timeout {
    pub(crate) name: String,
    pub(crate) seconds: f64,
    pub(crate) span: Span,
    /// Container or service that gets it; empty for a `ConfigMap`.
    pub(crate) container: String,
}

/// A Redis server that is started without a password.
#[derive(Clone, Debug)]
pub(crate) struct RedisFacts {
    pub(crate) container: String,
    /// Its image.
    pub(crate) span: Span,
    pub(crate) path: String,
    /// `ConfigMaps` that its configuration file may come from.
    pub(crate) configs: Vec<String>,
}

/// What a `ConfigMap` says.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConfigFacts {
    pub(crate) timeouts: Vec<Timeout>,
    /// It holds a configuration of Redis; whether that lets everybody in.
    pub(crate) open_redis: Option<bool>,
    /// Where it switches the protection of Redis without a password off.
    pub(crate) unprotected: Option<Span>,
    /// It configures a scraper that finds its targets by itself.
    pub(crate) discovers: bool,
}

fn text(node: Node<'_>, path: &[&str]) -> Option<String> {
    node.at_path(path).and_then(Node::text).map(str::to_owned)
}

fn list<'d>(node: Node<'d>, key: &str) -> impl Iterator<Item = Node<'d>> + use<'d> {
    node.get(key).into_iter().flat_map(Node::items)
}

/// What an object says of pods that are not its own, if anything.
pub(super) fn detail(artifact: &Artifact<'_>, group: &str) -> Option<Detail> {
    let root = artifact.root;
    let spec = root.get("spec");
    Some(match (artifact.object.kind.as_str(), group) {
        ("PersistentVolumeClaim", "") => {
            let spec = spec?;
            let modes = list(spec, "accessModes").filter_map(Node::text).map(str::to_owned).collect();
            Detail::Claim { modes, class: text(spec, &["storageClassName"]) }
        }
        ("StorageClass", "storage.k8s.io") => Detail::ZonalStorage(only_zone_of_class(root)?),
        ("VerticalPodAutoscaler", "autoscaling.k8s.io") => {
            let target = spec?.get("targetRef")?;
            Detail::VerticalAutoscaler { target: (text(target, &["kind"])?, text(target, &["name"])?) }
        }
        ("ScrapeConfig", "monitoring.coreos.com") => {
            let discovers = spec?.get("kubernetesSDConfigs").is_some();
            Detail::Config(ConfigFacts { discovers, ..ConfigFacts::default() })
        }
        ("ConfigMap" | "Secret", "") => {
            let facts = config(artifact);
            let says = !facts.timeouts.is_empty() || facts.open_redis.is_some() || facts.discovers;
            says.then_some(Detail::Config(facts))?
        }
        _ => return None,
    })
}

fn config(artifact: &Artifact<'_>) -> ConfigFacts {
    let mut facts = ConfigFacts { timeouts: timeouts(&artifact.variables), ..ConfigFacts::default() };
    for (key, value) in ["data", "stringData"].iter().filter_map(|key| artifact.root.get(key)).flat_map(Node::entries) {
        let (name, text) = (key.text().unwrap_or_default(), value.text().unwrap_or_default());
        facts.discovers |= ["kubernetes_sd_configs", "discovery.kubernetes", "role: endpoints"].iter().any(|mark| text.contains(mark));
        let named = |text: &str| ["redis", "valkey", "keydb"].iter().any(|word| text.to_ascii_lowercase().contains(word));
        if name.ends_with(".conf") && (named(name) || named(&artifact.object.name)) {
            let open = !redis_guards(text);
            facts.open_redis = Some(facts.open_redis.unwrap_or(true) && open);
        }
    }
    let unprotected = |variable: &&Variable<'_>| {
        variable.placement == Placement::Embedded && variable.name == "protected-mode" && variable.value.trim() == "no"
    };
    facts.unprotected = artifact.variables.iter().find(unprotected).map(|variable| variable.span);
    facts
}

/// Whether a configuration of Redis asks for a password, keeps to its own host, or goes on in a file that is not known.
pub(crate) fn redis_guards(config: &str) -> bool {
    config.lines().map(str::trim).any(|line| {
        let mut words = line.split_whitespace();
        let first = words.next().map(str::to_ascii_lowercase);
        match first.as_deref() {
            Some("requirepass" | "aclfile" | "user" | "include" | "masterauth") => true,
            Some("port") => words.next() == Some("0"),
            Some("bind") => words.all(|address| matches!(address, "127.0.0.1" | "::1" | "-::1" | "localhost")),
            _ => false,
        }
    })
}

/// The words of a name in snake, kebab or camel case, in small letters.
fn words(name: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    for character in name.chars() {
        let begins = character.is_ascii_uppercase() && word.ends_with(|last: char| last.is_ascii_lowercase());
        if !character.is_ascii_alphanumeric() || begins {
            words.push(std::mem::take(&mut word).to_ascii_lowercase());
        }
        if character.is_ascii_alphanumeric() {
            word.push(character);
        }
    }
    words.push(word.to_ascii_lowercase());
    words
}

/// The settings among variables by which an application takes its time to shut down, where they can be read.
pub(crate) fn timeouts(variables: &[Variable<'_>]) -> Vec<Timeout> {
    let placed = |placement| {
        matches!(
            placement,
            Placement::ContainerEnv | Placement::ComposeEnvironment | Placement::Configmap | Placement::Argument | Placement::Dotenv
        )
    };
    variables
        .iter()
        .filter(|variable| placed(variable.placement))
        .filter_map(|variable| {
            Some(Timeout {
                name: variable.name.to_string(),
                seconds: read_timeout(&variable.name, &variable.value)?,
                span: if variable.span.is_empty() { variable.node.place() } else { variable.span },
                container: variable.container.to_owned(),
            })
        })
        .collect()
}

/// Seconds of a shutdown, where a name and a value say them; a large number without a unit may be milliseconds.
pub(crate) fn read_timeout(name: &str, value: &str) -> Option<f64> {
    let words = words(name);
    let has = |known: &[&str]| words.iter().any(|word| known.contains(&word.as_str()));
    let other = ["node", "pod", "client", "instance", "idle", "inactivity", "auto", "keepalive", "restart"];
    let times = has(&["timeout", "period", "duration", "delay", "wait", "seconds", "phase", "time"]);
    if !has(&["shutdown", "graceful"]) || has(&other) || !times {
        return None;
    }
    let value = value.trim();
    let Some(number) = number(value) else { return parse_duration(value) };
    if has(&["ms", "millis", "milliseconds"]) {
        return Some(number / 1000.0);
    }
    if has(&["minutes", "mins"]) {
        return Some(number * 60.0);
    }
    (number < 1000.0 || has(&["s", "sec", "secs", "seconds"])).then_some(number)
}

/// Seconds that a hook sleeps before the container is stopped, and zero for one that does something else.
pub(super) fn pre_stop(container: Node<'_>) -> Option<f64> {
    Some(pre_stop_sleep(container.at_path(&["lifecycle", "preStop"]).filter(|hook| !hook.is_null())?))
}

/// Seconds that a hook sleeps.
fn pre_stop_sleep(hook: Node<'_>) -> f64 {
    if let Some(seconds) = hook.at_path(&["sleep", "seconds"]) {
        return seconds.text().and_then(number).unwrap_or_default();
    }
    let script: Vec<&str> = hook.at_path(&["exec", "command"]).into_iter().flat_map(Node::items).filter_map(Node::text).collect();
    let script = script.join(" ");
    // A loop sleeps as often as it runs, which is not known.
    if script.split_whitespace().any(|word| matches!(word, "while" | "until" | "for")) {
        return 0.0;
    }
    let words: Vec<&str> = script.split(|c: char| c.is_whitespace() || matches!(c, ';' | '&' | '|' | '"' | '\'')).collect();
    let sleeps = words.windows(2).filter_map(|pair| match pair {
        [command, time] if command.rsplit('/').next() == Some("sleep") => number(time).or_else(|| parse_duration(time)),
        _ => None,
    });
    sleeps.sum()
}

/// CPU and memory that a container asks for.
pub(super) fn amounts(container: Node<'_>) -> [Option<f64>; 2] {
    ["cpu", "memory"].map(|resource| {
        let of = |list| container.at_path(&["resources", list, resource]).filter(|node| !node.is_null());
        parse_quantity(of("requests").or_else(|| of("limits"))?.text()?, false)
    })
}

/// Labels of nodes that name their zone.
const ZONES: &[&str] = &["topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone"];

/// The one zone that all of several terms ask for.
fn only_zone<'d>(terms: impl Iterator<Item = Node<'d>>, expressions: &str) -> Option<Spanned> {
    let mut found: Option<Spanned> = None;
    for term in terms {
        let zone = list(term, expressions).find_map(|expression| {
            let is_zone = expression.text_of("key").is_some_and(|key| ZONES.contains(&key));
            let mut values = list(expression, "values");
            let (first, second) = (values.next(), values.next());
            let sure = expression.text_of("operator").is_none_or(|operator| operator == "In");
            first.filter(|_| is_zone && sure && second.is_none())
        });
        let zone = Spanned::of(zone)?;
        if found.as_ref().is_some_and(|known| known.text != zone.text) {
            return None;
        }
        found.get_or_insert(zone);
    }
    found
}

fn only_zone_of_class(root: Node<'_>) -> Option<Spanned> {
    only_zone(list(root, "allowedTopologies"), "matchLabelExpressions")
}

/// What a pod template says.
pub(super) fn pod(artifact: &Artifact<'_>, template: Node<'_>) -> PodFacts {
    let root = artifact.root;
    let spec = root.get("spec");
    let rolling = spec.and_then(|spec| spec.get("strategy"));
    let parameters = rolling.and_then(|rolling| rolling.get("rollingUpdate").or_else(|| rolling.get("rollingParams")));
    let templates = spec.into_iter().flat_map(|spec| list(spec, "volumeClaimTemplates"));
    let annotations = template.at_path(&["metadata", "annotations"]);
    let scraped = annotations.and_then(|annotations| annotations.get("prometheus.io/scrape"));
    let mut facts = PodFacts {
        template_classes: templates.filter_map(|claim| text(claim, &["spec", "storageClassName"])).collect(),
        strategy: Spanned::of(rolling.and_then(|rolling| rolling.get("type"))),
        max_unavailable: Spanned::of(parameters.and_then(|parameters| parameters.get("maxUnavailable"))),
        max_surge: Spanned::of(parameters.and_then(|parameters| parameters.get("maxSurge"))),
        scraped: scraped.filter(|node| node.text() == Some("true")).map(Node::place),
        timeouts: timeouts(&artifact.variables),
        elects_leader: elects_leader(artifact),
        ..PodFacts::default()
    };
    let Some(pod) = template.get("spec") else { return facts };
    facts.host_network = pod.get("hostNetwork").and_then(Node::as_bool) == Some(true);
    facts.grace = Spanned::of(pod.get("terminationGracePeriodSeconds"));
    let selected = |label: &str| pod.at_path(&["nodeSelector", label]);
    let required = pod.at_path(&["affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms"]);
    let terms = || required.into_iter().flat_map(Node::items);
    facts.zone = Spanned::of(ZONES.iter().find_map(|zone| selected(zone))).or_else(|| only_zone(terms(), "matchExpressions"));
    let by_hostname =
        terms().flat_map(|term| list(term, "matchExpressions")).any(|term| term.text_of("key") == Some("kubernetes.io/hostname"));
    facts.one_node = selected("kubernetes.io/hostname").is_some() || pod.get("nodeName").is_some() || by_hostname;
    for volume in list(pod, "volumes") {
        facts.claims.extend(Spanned::of(volume.at_path(&["persistentVolumeClaim", "claimName"])));
        facts.exclusive |= volume.get("hostPath").is_some();
    }
    for place in artifact.targets(TargetKind::Container) {
        let node = place.node;
        facts.exclusive |= list(node, "ports").any(|port| port.get("hostPort").is_some());
        let limits = node.at_path(&["resources", "limits"]).into_iter().flat_map(Node::entries);
        facts.exclusive |= limits.filter_map(|(key, _)| key.text()).any(|key| key.contains('/'));
        let name = place.name().to_owned();
        let sources = list(node, "envFrom").filter_map(|source| text(source, &["configMapRef", "name"]));
        facts.config_env.extend(sources.map(|config| (name.clone(), config)));
        facts.redis.extend(redis(artifact, pod, node, place.image, place.name()));
    }
    facts
}

fn elects_leader(artifact: &Artifact<'_>) -> bool {
    let named = |name: &str| name.to_ascii_lowercase().replace(['-', '_', '.'], "").contains("leaderelect");
    artifact.variables.iter().any(|variable| named(&variable.name) && variable.value != "false")
        || artifact.commands.iter().flat_map(|command| &command.words).filter_map(|word| word.text()).any(named)
}

/// Whether an image is a Redis server: as its makers publish it, or in Bitnami's way.
pub(crate) fn is_redis(image: &str) -> bool {
    let name = image.split('@').next().unwrap_or_default();
    let last = name.rsplit('/').next().unwrap_or_default().split(':').next().unwrap_or_default();
    matches!(last, "redis" | "valkey" | "keydb" | "redis-stack" | "redis-stack-server")
}

/// Whether words that start a Redis server, and what else is set, leave it open: none where a configuration file or a
/// script decides.
pub(crate) enum Start {
    Open,
    Guarded,
    Config,
}

/// How a Redis server starts.
pub(crate) fn redis_start<'t>(image: &str, words: &[&str], mut set: impl FnMut(&str) -> Option<&'t str>) -> Start {
    let all = words.join(" ").to_ascii_lowercase();
    let asks = |text: &str| ["requirepass", "aclfile", "--user ", "sentinel"].iter().any(|mark| text.contains(mark));
    let own_host = ["--bind 127.0.0.1", "--bind localhost", "--port 0"].iter().any(|mark| all.contains(mark));
    if asks(&all)
        || own_host
        || set("SENTINEL").is_some()
        || set("REDIS_ARGS").is_some_and(|value| asks(&value.to_ascii_lowercase()) || value.contains('$'))
    {
        return Start::Guarded;
    }
    if image.contains("bitnami") {
        let empty =
            ["ALLOW_EMPTY_PASSWORD", "VALKEY_ALLOW_EMPTY_PASSWORD"].iter().any(|name| matches!(set(name), Some("yes" | "true" | "1")));
        let password =
            ["REDIS_PASSWORD", "VALKEY_PASSWORD", "REDIS_PASSWORD_FILE", "VALKEY_PASSWORD_FILE"].iter().any(|name| set(name).is_some());
        return if empty && !password { Start::Open } else { Start::Guarded };
    }
    if all.contains(".conf") {
        return Start::Config;
    }
    // A script, or another program of the image.
    let server = all.contains("redis-server") || all.contains("valkey-server") || all.contains("keydb-server");
    let options = words.first().is_none_or(|word| word.starts_with("--"));
    if (server || options) && !all.contains('$') && !all.contains(".sh") { Start::Open } else { Start::Guarded }
}

fn redis(artifact: &Artifact<'_>, pod: Node<'_>, container: Node<'_>, image: &str, name: &str) -> Option<RedisFacts> {
    if !is_redis(image) || container.get("envFrom").is_some() {
        return None;
    }
    let words: Vec<&str> = ["command", "args"].iter().flat_map(|key| list(container, key)).filter_map(Node::text).collect();
    let set = |wanted: &str| {
        let entry = list(container, "env").find(|entry| entry.text_of("name") == Some(wanted))?;
        // What comes from a Secret is something.
        Some(entry.text_of("value").unwrap_or("$"))
    };
    let configs = match redis_start(image, &words, set) {
        Start::Guarded => return None,
        Start::Open => Vec::new(),
        Start::Config => {
            let volumes: Vec<Node<'_>> = list(container, "volumeMounts")
                .filter_map(|mount| mount.text_of("name"))
                .filter_map(|name| list(pod, "volumes").find(|volume| volume.text_of("name") == Some(name)))
                .collect();
            let configs: Vec<String> = volumes.iter().filter_map(|volume| text(*volume, &["configMap", "name"])).collect();
            // Another container may write the file, or a Secret hold it.
            let known =
                !configs.is_empty() && volumes.iter().all(|volume| volume.get("secret").is_none() && volume.get("projected").is_none());
            if !known || list(pod, "initContainers").next().is_some() {
                return None;
            }
            configs
        }
    };
    let node = container.get("image")?;
    let path = artifact.object_at(node, name).path;
    Some(RedisFacts { container: name.to_owned(), span: node.place(), path, configs })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::source::Source;
    use crate::syntax::{Syntax, parse};

    #[test]
    fn timeouts_of_a_shutdown_are_known_by_their_names() {
        for (name, value, seconds) in [
            ("SHUTDOWN_TIMEOUT", "45s", Some(45.0)),
            ("shutdownTimeoutMs", "40000", Some(40.0)),
            ("graceful-timeout", "30", Some(30.0)),
            ("SPRING_LIFECYCLE_TIMEOUT_PER_SHUTDOWN_PHASE", "1m", Some(60.0)),
            ("SHUTDOWN_TIMEOUT", "30000", None),
            ("SHUTDOWN_TIMEOUT", "$(TIMEOUT)", None),
            ("IDLE_SHUTDOWN_TIMEOUT", "300", None),
            ("REQUEST_TIMEOUT", "60", None),
            ("GRACEFUL", "60", None),
        ] {
            assert_eq!(read_timeout(name, value), seconds, "{name}={value}");
        }
    }

    #[test]
    fn hooks_sleep_as_long_as_they_say() {
        for (hook, seconds) in [
            ("{sleep: {seconds: 5}}", 5.0),
            ("{exec: {command: [sleep, '15']}}", 15.0),
            ("{exec: {command: [/bin/sh, -c, 'sleep 10 && nginx -s quit']}}", 10.0),
            ("{exec: {command: [sh, -c, 'while pgrep app; do sleep 1; done']}}", 0.0),
            ("{httpGet: {path: /drain, port: 80}}", 0.0),
        ] {
            let source = Arc::new(Source { path: "a.yaml".into(), text: hook.to_owned(), bom: false });
            let parsed = parse(&source, Syntax::Yaml);
            let found = parsed.documents.first().map(|document| pre_stop_sleep(document.root()));
            assert_eq!(found, Some(seconds), "{hook}");
        }
    }

    #[test]
    fn redis_is_open_where_nothing_asks_for_a_password() {
        let open = |image: &str, words: &[&str], set: Option<(&str, &'static str)>| {
            matches!(redis_start(image, words, |name| set.and_then(|(known, value)| (known == name).then_some(value))), Start::Open)
        };
        assert!(open("redis:7", &[], None));
        assert!(open("redis:7", &["redis-server", "--appendonly", "yes"], None));
        assert!(!open("redis:7", &["redis-server", "--requirepass", "$(PASSWORD)"], None));
        assert!(!open("redis:7", &["sh", "/start.sh"], None));
        assert!(!open("redis:7", &["redis-server", "/etc/redis.conf"], None));
        assert!(!open("bitnami/redis:7", &[], None));
        assert!(open("bitnami/redis:7", &[], Some(("ALLOW_EMPTY_PASSWORD", "yes"))));
        assert!(redis_guards("maxmemory 1gb\n  requirepass secret\n"));
        assert!(redis_guards("bind 127.0.0.1 ::1\n"));
        assert!(!redis_guards("bind 0.0.0.0\n# requirepass secret\n"));
    }
}
