//! Native checks of pack network.

use crate::artifact::{Artifact, PathScope, Place, Placement, TargetKind};
use crate::check::Run;
use crate::finding::{Confidence, Severity};
use crate::rule::ArtifactKind;
use crate::syntax::Node;

/// Declared ports of a container.
fn ports<'d>(container: &Place<'d>) -> impl Iterator<Item = Node<'d>> + use<'d> {
    container.node.get("ports").into_iter().flat_map(Node::items)
}

/// The pod specification of a container.
fn pod<'d>(container: &Place<'d>) -> Option<Node<'d>> {
    container.layers.first().map(|layer| layer.node)
}

/// Ports of the node that containers take; with the network of the host all are.
pub(crate) fn host_port(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts() {
        for container in artifact.targets(TargetKind::Container) {
            if pod(container).and_then(|pod| pod.get("hostNetwork")).and_then(Node::as_bool) == Some(true) {
                continue;
            }
            for node in ports(container).filter_map(|port| port.get("hostPort")) {
                if let Some(port) = node.as_int().filter(|port| *port != 0) {
                    run.report_at(container, node, format!("container `{}` takes port {port} of its node", container.name()));
                }
            }
        }
    }
}

/// Ports that only root may listen on, unless something allows it.
pub(crate) fn privileged_container_port(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts() {
        for container in artifact.targets(TargetKind::Container) {
            let adds = container.node.at_path(&["securityContext", "capabilities", "add"]);
            let capable = adds
                .into_iter()
                .flat_map(Node::items)
                .filter_map(Node::text)
                .any(|capability| matches!(capability.to_ascii_uppercase().trim_start_matches("CAP_"), "NET_BIND_SERVICE" | "ALL"));
            let sysctls = pod(container).and_then(|pod| pod.at_path(&["securityContext", "sysctls"]));
            let allowed = sysctls
                .into_iter()
                .flat_map(Node::items)
                .any(|sysctl| sysctl.text_of("name") == Some("net.ipv4.ip_unprivileged_port_start"));
            if capable || allowed || names_dns(container.image) || names_dns(container.name()) {
                continue;
            }
            for port in ports(container) {
                let Some(node) = port.get("containerPort") else { continue };
                if let Some(number) = node.as_int().filter(|number| (1..1024).contains(number)) {
                    run.report_at(
                        container,
                        node,
                        format!("container `{}` listens on port {number}, which asks for privileges", container.name()),
                    );
                }
            }
        }
    }
}

fn names_dns(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    ["dns", "unbound", "pihole", "pi-hole", "adguard", "bind9", "named"].iter().any(|word| lower.contains(word))
}

/// Mappings that name an IP block of everything, and what it leaves out.
fn is_everything(cidr: &str) -> bool {
    matches!(cidr.trim(), "0.0.0.0/0" | "::/0")
}

/// Whether a list of peers is not there, so that everybody is meant.
fn is_open(rule: Node<'_>, key: &str) -> bool {
    rule.get(key).is_none_or(|peers| peers.is_null() || peers.items().next().is_none())
}

/// The policy of an artifact, if it is one of Kubernetes' own.
fn policy<'a, 'd>(artifact: &'a Artifact<'d>) -> Option<(&'a Place<'d>, Node<'d>)> {
    let place = artifact.targets(TargetKind::Object).next()?;
    let own = place.object.kind == "NetworkPolicy" && matches!(place.group, "networking.k8s.io" | "extensions");
    own.then_some(())?;
    Some((place, artifact.root.get("spec").filter(|spec| spec.is_mapping())?))
}

/// Whether a rule list is in force: one of a direction that `policyTypes` leaves out is not.
fn in_force(spec: Node<'_>, direction: &str) -> bool {
    spec.get("policyTypes").is_none_or(|types| types.is_null() || types.items().any(|item| item.text() == Some(direction)))
}

const ENTRANCES: &[&str] =
    &["ingress", "gateway", "traefik", "nginx", "envoy", "haproxy", "kong", "contour", "istio", "cloudflared", "caddy"];
const STORES: &[&str] = &[
    "postgres",
    "postgresql",
    "mysql",
    "mariadb",
    "mongo",
    "mongodb",
    "redis",
    "valkey",
    "elasticsearch",
    "opensearch",
    "cassandra",
    "kafka",
    "rabbitmq",
    "nats",
    "etcd",
    "memcached",
    "minio",
    "clickhouse",
    "database",
    "db",
    "qdrant",
    "cockroachdb",
    "zookeeper",
];

/// Whether a name or a label of the pods that a policy selects has one of the words.
fn is_about(place: &Place<'_>, spec: Node<'_>, words: &[&str]) -> bool {
    let has = |text: &str| text.to_ascii_lowercase().split(['-', '_', '.', '/']).any(|word| words.contains(&word));
    let labels = spec.at_path(&["podSelector", "matchLabels"]).into_iter().flat_map(Node::entries);
    has(&place.object.name) || labels.filter_map(|(_, value)| value.text()).any(has)
}

/// Ports of a rule are all for the web.
fn only_web(rule: Node<'_>) -> bool {
    let mut ports = rule.get("ports").into_iter().flat_map(Node::items).peekable();
    ports.peek().is_some()
        && ports.all(|port| {
            port.get("endPort").is_none()
                && matches!(port.text_of("port"), Some("80" | "443" | "8080" | "8443" | "http" | "https" | "web" | "websecure"))
        })
}

/// Ports where data stores answer; one that is named may be any.
const STORE_PORTS: &[i64] = &[
    1433, 1521, 2181, 2379, 3306, 4222, 5432, 5672, 5984, 6333, 6379, 6380, 7000, 8123, 8529, 9000, 9042, 9092, 9200, 9300, 11211, 26257,
    26379, 27017, 33060,
];

/// Whether a rule opens more than the metrics of a data store.
fn is_of_store(rule: Node<'_>) -> bool {
    let mut ports = rule.get("ports").into_iter().flat_map(Node::items).peekable();
    ports.peek().is_none()
        || ports.any(|port| match port.get("port") {
            Some(port) => port
                .as_int()
                .map_or_else(|| port.text().is_some_and(|name| !name.contains("metrics")), |number| STORE_PORTS.contains(&number)),
            None => true,
        })
}

/// Networks that a block of everything leaves out.
fn leaves_out_some(block: Node<'_>) -> bool {
    block.get("except").into_iter().flat_map(Node::items).next().is_some()
}

/// Whether what a block leaves out is most of it.
fn leaves_out_most(block: Node<'_>) -> bool {
    let excepts = block.get("except").into_iter().flat_map(Node::items).filter_map(Node::text);
    let share: f64 = excepts.filter_map(|cidr| cidr.rsplit_once('/')?.1.trim().parse::<i32>().ok()).map(|bits| 0.5_f64.powi(bits)).sum();
    share >= 0.5
}

/// Ingress rules that let everybody in.
pub(crate) fn policy_allows_all_ingress(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts() {
        let Some((place, spec)) = policy(artifact).filter(|(_, spec)| in_force(*spec, "Ingress")) else { continue };
        let name = &place.object.name;
        for rule in spec.get("ingress").into_iter().flat_map(Node::items) {
            if is_open(rule, "from") {
                // What names ports says what is open.
                if is_open(rule, "ports") {
                    run.report_at(place, rule, format!("NetworkPolicy `{name}` lets everybody in on every port"));
                }
                continue;
            }
            for peer in rule.get("from").into_iter().flat_map(Node::items) {
                if let Some(block) = peer.get("ipBlock") {
                    let Some(cidr) = block.get("cidr").filter(|cidr| cidr.text().is_some_and(is_everything)) else { continue };
                    let entrance = only_web(rule) && is_about(place, spec, ENTRANCES);
                    if !entrance && !leaves_out_most(block) {
                        run.report_at(place, cidr, format!("NetworkPolicy `{name}` lets every address in"));
                    }
                    continue;
                }
                let everywhere = peer.get("namespaceSelector").filter(|selector| {
                    selector.is_mapping()
                        && selector.entries().is_empty()
                        && peer.get("podSelector").is_none_or(|pods| pods.entries().is_empty())
                });
                if let Some(selector) = everywhere.filter(|_| is_about(place, spec, STORES) && is_of_store(rule)) {
                    run.report_at(place, selector, format!("NetworkPolicy `{name}` lets the pods of every namespace reach a data store"));
                }
            }
        }
    }
}

/// Egress rules that let pods reach everything.
pub(crate) fn policy_allows_all_egress(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts() {
        let Some((place, spec)) = policy(artifact).filter(|(_, spec)| in_force(*spec, "Egress")) else { continue };
        let name = &place.object.name;
        for rule in spec.get("egress").into_iter().flat_map(Node::items).filter(|rule| is_open(*rule, "ports")) {
            if is_open(rule, "to") {
                run.report_at(place, rule, format!("NetworkPolicy `{name}` lets its pods reach everything"));
                continue;
            }
            for block in rule.get("to").into_iter().flat_map(Node::items).filter_map(|peer| peer.get("ipBlock")) {
                let Some(cidr) = block.get("cidr").filter(|cidr| cidr.text().is_some_and(is_everything)) else { continue };
                if !leaves_out_some(block) {
                    run.report_at(place, cidr, format!("NetworkPolicy `{name}` lets its pods reach every address on every port"));
                }
            }
        }
    }
}

/// Annotations that make a load balancer internal, by the value they have.
const INTERNAL: &[(&str, &[&str])] = &[
    ("service.beta.kubernetes.io/aws-load-balancer-internal", &["true", "0.0.0.0/0"]),
    ("service.beta.kubernetes.io/aws-load-balancer-scheme", &["internal"]),
    ("networking.gke.io/load-balancer-type", &["internal"]),
    ("cloud.google.com/load-balancer-type", &["internal"]),
    ("service.beta.kubernetes.io/azure-load-balancer-internal", &["true"]),
    ("service.beta.kubernetes.io/oci-load-balancer-internal", &["true"]),
    ("oci-network-load-balancer.oraclecloud.com/internal", &["true"]),
    ("service.kubernetes.io/ibm-load-balancer-cloud-provider-ip-type", &["private"]),
    ("service.beta.kubernetes.io/openstack-internal-load-balancer", &["true"]),
    ("service.beta.kubernetes.io/alibaba-cloud-loadbalancer-address-type", &["intranet"]),
    ("service.beta.kubernetes.io/do-loadbalancer-network", &["internal"]),
    ("load-balancer.hetzner.cloud/disable-public-network", &["true"]),
    ("service.beta.kubernetes.io/scw-loadbalancer-private", &["true"]),
];

/// Annotations of balancers in one's own network: what they announce is for the network to say. Source ranges close it, too.
const OWN: &[&str] = &[
    "metallb.universe.tf/",
    "metallb.io/",
    "kube-vip.io/",
    "lbipam.cilium.io/",
    "io.cilium/lb-ipam",
    "tailscale.com/",
    "service.kubernetes.io/qcloud-loadbalancer-internal-subnetid",
    "service.beta.kubernetes.io/load-balancer-source-ranges",
    "service.beta.kubernetes.io/azure-allowed-ip-ranges",
    "service.beta.kubernetes.io/azure-allowed-service-tags",
];

fn is_private_address(text: &str) -> bool {
    let mut parts = text.split('.');
    let (first, second) = (parts.next(), parts.next().and_then(|part| part.parse::<u8>().ok()));
    match first {
        Some("10") => true,
        Some("192") => second == Some(168),
        Some("172") => second.is_some_and(|second| (16..32).contains(&second)),
        _ => false,
    }
}

/// Whether a Service, or what a chart says of one, is for its own network or for some addresses.
pub(crate) fn is_closed(spec: Node<'_>, annotations: Option<Node<'_>>) -> bool {
    let ranges = spec.get("loadBalancerSourceRanges").into_iter().flat_map(Node::items).filter_map(Node::text);
    let mut some_range = false;
    let all_closed = ranges.inspect(|_| some_range = true).all(|range| !is_everything(range));
    if some_range && all_closed {
        return true;
    }
    // What is filled in later is no list yet.
    if spec.get("loadBalancerSourceRanges").is_some_and(|ranges| ranges.is_scalar() && !ranges.is_null()) {
        return true;
    }
    let annotation = |key: &str| annotations.and_then(|annotations| annotations.text_of(key)).unwrap_or_default();
    let class = spec.text_of("loadBalancerClass").unwrap_or_default().to_ascii_lowercase();
    if ["tailscale", "internal", "private", "metallb", "kube-vip", "cilium"].iter().any(|word| class.contains(word)) {
        return true;
    }
    // The AWS Load Balancer Controller makes internal ones unless told otherwise.
    let by_controller = class.starts_with("service.k8s.aws/")
        || matches!(annotation("service.beta.kubernetes.io/aws-load-balancer-type"), "external" | "nlb-ip");
    if by_controller && annotation("service.beta.kubernetes.io/aws-load-balancer-scheme") != "internet-facing" {
        return true;
    }
    if spec.text_of("loadBalancerIP").is_some_and(is_private_address) {
        return true;
    }
    annotations.into_iter().flat_map(Node::entries).any(|(key, value)| {
        let key = key.text().unwrap_or_default();
        let value = value.text().unwrap_or_default().to_ascii_lowercase();
        OWN.iter().any(|own| key.starts_with(own))
            || INTERNAL.iter().any(|(known, internal)| *known == key && internal.contains(&value.as_str()))
            // What is filled in later may say anything.
            || value.contains("{{") || value.contains("${")
    })
}

fn names_entrance(text: &str) -> bool {
    text.to_ascii_lowercase()
        .split(['-', '_', '.', '/'])
        .any(|word| ENTRANCES.contains(&word) || matches!(word, "lb" | "loadbalancer" | "ingressgateway" | "router"))
}

/// Load balancers with a public address for something that is no entrance.
pub(crate) fn public_load_balancer(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts().filter(|artifact| artifact.scope != PathScope::Development) {
        if artifact.kind == ArtifactKind::HelmValues {
            for variable in artifact.variables.iter().filter(|variable| variable.value == "LoadBalancer") {
                let Some(service) = variable.node.parent().filter(|node| node.is_mapping() && variable.name.ends_with("ype")) else {
                    continue;
                };
                let annotations = ["annotations", "serviceAnnotations"].iter().find_map(|key| service.get(key));
                let entrance = variable.node.keys().into_iter().any(names_entrance) || names_entrance(&run.file.source.path);
                if !entrance && !is_closed(service, annotations) {
                    let draft = run.report(variable.span, artifact.object_at(variable.node, ""), "the Service gets a public load balancer");
                    draft.confidence = Confidence::Low;
                }
            }
            continue;
        }
        let Some(place) =
            artifact.targets(TargetKind::Object).next().filter(|place| place.object.kind == "Service" && place.group.is_empty())
        else {
            continue;
        };
        let Some(spec) = artifact.root.get("spec") else { continue };
        let Some(kind) = spec.get("type").filter(|kind| kind.text() == Some("LoadBalancer")) else { continue };
        let entrance = names_entrance(&place.object.name) || names_entrance(&place.object.namespace);
        let selects = spec
            .get("selector")
            .into_iter()
            .flat_map(Node::entries)
            .any(|(key, value)| key.text().is_some_and(names_entrance) || value.text().is_some_and(names_entrance));
        if !entrance && !selects && artifact.complete && !is_closed(spec, artifact.root.at_path(&["metadata", "annotations"])) {
            run.report_at(place, kind, format!("Service `{}` gets a load balancer that answers everybody", place.object.name));
        }
    }
}

/// The host of a URL or an address, or the text itself where it is one.
fn host(text: &str) -> &str {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let rest = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    rest.split(['/', ':', '?', '#']).next().unwrap_or(rest)
}

/// Whether a host is under a domain; one ending in `.*` stands for any top-level domain.
fn is_under(host: &str, domain: &str) -> bool {
    let below = |host: &str, domain: &str| host == domain || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
    match domain.strip_suffix(".*") {
        Some(name) => host.rsplit_once('.').is_some_and(|(head, top)| {
            let top_level = top.len() >= 2 && top.bytes().all(|byte| byte.is_ascii_alphabetic());
            top_level && below(head, name)
        }),
        None => below(host, domain),
    }
}

/// Names of settings that hold a host.
fn names_host(name: &str) -> bool {
    if name.eq_ignore_ascii_case("commonName") {
        return true;
    }
    let mut spaced = String::with_capacity(name.len() + 4);
    let mut after_small = false;
    for character in name.chars() {
        if character.is_ascii_uppercase() && after_small {
            spaced.push('-');
        }
        after_small = character.is_ascii_lowercase();
        spaced.push(character.to_ascii_lowercase());
    }
    spaced.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| {
        matches!(
            word,
            "host"
                | "hosts"
                | "hostname"
                | "hostnames"
                | "domain"
                | "domains"
                | "fqdn"
                | "url"
                | "urls"
                | "origin"
                | "origins"
                | "issuer"
                | "email"
                | "dnsnames"
                | "names"
                | "server"
                | "route"
                | "routes"
                | "pattern"
                | "endpoint"
                | "baseurl"
                | "externalurl"
                | "zone"
        )
    })
}

/// Domains that stand for one's own and were never replaced.
pub(crate) fn placeholder_domain(run: &mut Run<'_, '_>) {
    let domains: Vec<String> = run.active.texts("domains").iter().map(|domain| domain.to_ascii_lowercase()).collect();
    let placeholder = |text: &str| {
        let lower = text.trim().trim_matches(['"', '\'']).to_ascii_lowercase();
        let found =
            lower.split([',', ' ', ';', '|', '`', '(', ')']).map(host).find(|host| domains.iter().any(|domain| is_under(host, domain)));
        found.map(str::to_owned)
    };
    if run
        .file
        .source
        .path
        .split(['/', '.', '-', '_'])
        .any(|word| matches!(word, "example" | "examples" | "sample" | "samples" | "templates"))
    {
        return;
    }
    for artifact in run.file.artifacts.iter().filter(|artifact| artifact.scope != PathScope::Development) {
        // What a chart brings along is replaced by who installs it.
        let chart = artifact.kind == ArtifactKind::HelmValues && artifact.scope != PathScope::Production && !artifact.complete;
        for variable in artifact.variables.iter().filter(|variable| variable.scope != PathScope::Development) {
            let embedded = variable.placement == Placement::Embedded;
            let judged = if embedded { run.rule.artifacts.contains(&ArtifactKind::Embedded) } else { run.judges(artifact) };
            if !judged || chart || !names_host(&variable.name) || variable.span.is_empty() {
                continue;
            }
            if variable.verdict.get().copied().flatten().is_some() || run.file.secrets.covers(variable.span) {
                continue;
            }
            if let Some(host) = placeholder(&variable.value) {
                let object = artifact.object_at(variable.node, variable.container);
                run.report(variable.span, object, format!("`{}` still has the placeholder domain `{host}`", variable.name));
            }
        }
        if run.judges(artifact) {
            fields(run, artifact, &placeholder);
        }
    }
}

/// Fields of built-in kinds that name a host.
fn fields<'d>(run: &mut Run<'_, 'd>, artifact: &Artifact<'d>, placeholder: &dyn Fn(&str) -> Option<String>) {
    let Some(place) = artifact.targets(TargetKind::Object).next() else { return };
    let Some(spec) = artifact.root.get("spec") else { return };
    let mut nodes: Vec<Node<'d>> = Vec::new();
    let list = |node: Option<Node<'d>>| node.into_iter().flat_map(Node::items);
    match place.object.kind.as_str() {
        "Ingress" => {
            nodes.extend(list(spec.get("rules")).filter_map(|rule| rule.get("host")));
            nodes.extend(list(spec.get("tls")).flat_map(|tls| list(tls.get("hosts"))));
        }
        "HTTPRoute" | "GRPCRoute" | "TLSRoute" if place.group == "gateway.networking.k8s.io" => nodes.extend(list(spec.get("hostnames"))),
        "Gateway" if place.group == "gateway.networking.k8s.io" => {
            nodes.extend(list(spec.get("listeners")).filter_map(|listener| listener.get("hostname")));
        }
        _ => {}
    }
    for node in nodes {
        if let Some(host) = node.text().and_then(placeholder) {
            let draft = run.report_at(
                place,
                node,
                format!("{} `{}` still has the placeholder domain `{host}`", place.object.kind, place.object.name),
            );
            draft.severity = Severity::Medium;
        }
    }
}
