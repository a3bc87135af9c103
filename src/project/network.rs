//! Facts about the network and what watches it: policies, the ways from outside to pods, monitors, and what holds for a
//! namespace.

use std::collections::BTreeMap;

use super::facts::{Detail, Selector, Spanned, labels};
use crate::artifact::kubernetes::is_policy;
use crate::artifact::{Artifact, Placement};
use crate::check::native::is_closed;
use crate::source::Span;
use crate::syntax::{Node, parse_quantity};

/// A network policy.
#[derive(Clone, Debug)]
pub(crate) struct PolicyFacts {
    pub(crate) selector: Selector,
    pub(crate) selector_span: Span,
    /// It selects pods of every namespace.
    pub(crate) everywhere: bool,
    /// It says who may reach the pods.
    pub(crate) ingress: bool,
    /// Directions that it closes for all pods of its namespace, unless another policy opens them.
    pub(crate) closes: Vec<&'static str>,
    pub(crate) peers: Vec<PeerFacts>,
}

/// Whom a rule of a policy lets in or out by labels.
#[derive(Clone, Debug)]
pub(crate) struct PeerFacts {
    pub(crate) pods: Option<(Selector, Span)>,
    pub(crate) namespaces: Option<(Selector, Span)>,
    /// Where the peer stands in its document.
    pub(crate) path: String,
}

/// How a Service looks from outside.
#[derive(Clone, Debug, Default)]
pub(crate) struct ServiceFacts {
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) headless: bool,
    /// Where it says that everybody may reach it.
    pub(crate) public: Option<Span>,
    pub(crate) ports: Vec<ServicePort>,
}

/// A port of a Service.
#[derive(Clone, Debug)]
pub(crate) struct ServicePort {
    pub(crate) name: Option<Spanned>,
    pub(crate) number: Option<Spanned>,
    /// The port of the pods, as a number or a name.
    pub(crate) target: String,
}

/// An Ingress, a route of a Gateway or a mesh, or a tunnel.
#[derive(Clone, Debug)]
pub(crate) struct RouteFacts {
    /// Nothing says that only an own network reaches it.
    pub(crate) public: bool,
    /// Somebody may have to log in first, or to come from some addresses.
    pub(crate) guarded: bool,
    /// Namespaces (empty for its own) and names of the Gateways that it is attached to.
    pub(crate) gateways: Vec<(String, String)>,
    pub(crate) backends: Vec<BackendFacts>,
}

/// A Service that a route leads to.
#[derive(Clone, Debug)]
pub(crate) struct BackendFacts {
    pub(crate) service: Spanned,
    /// Empty for the namespace of the route.
    pub(crate) namespace: String,
    pub(crate) port: Option<Spanned>,
    /// Where it stands in its document.
    pub(crate) path: String,
}

/// A Gateway.
#[derive(Clone, Debug)]
pub(crate) struct GatewayFacts {
    pub(crate) internal: bool,
}

/// In which namespaces a monitor looks.
#[derive(Clone, Debug)]
pub(crate) enum Namespaces {
    Own,
    Any,
    Named(Vec<String>),
}

/// A `ServiceMonitor` or `PodMonitor`.
#[derive(Clone, Debug)]
pub(crate) struct MonitorFacts {
    /// It selects pods rather than Services.
    pub(crate) pods: bool,
    pub(crate) selector: Selector,
    pub(crate) selector_span: Span,
    pub(crate) namespaces: Namespaces,
    pub(crate) endpoints: Vec<EndpointFacts>,
}

/// What a monitor scrapes: the name of a port, or a port of the pods.
#[derive(Clone, Debug)]
pub(crate) struct EndpointFacts {
    pub(crate) port: Option<Spanned>,
    pub(crate) target_port: Option<Spanned>,
    pub(crate) path: String,
}

/// What an object is to the network, if anything.
pub(super) fn detail(artifact: &Artifact<'_>, group: &str) -> Option<Detail> {
    let root = artifact.root;
    let spec = root.get("spec").filter(|spec| spec.is_mapping());
    Some(match (artifact.object.kind.as_str(), group) {
        ("NetworkPolicy", "networking.k8s.io" | "extensions") => policy(spec?),
        ("CiliumNetworkPolicy", "cilium.io") => cilium_policy(root, spec, false),
        ("CiliumClusterwideNetworkPolicy", "cilium.io") => cilium_policy(root, spec, true),
        // Their selectors are expressions of another language, so they may select any pod.
        ("NetworkPolicy", "projectcalico.org" | "crd.projectcalico.org") => Detail::NetworkPolicy(PolicyFacts {
            selector: Selector::default(),
            selector_span: root.place(),
            everywhere: false,
            ingress: true,
            closes: vec!["ingress", "egress"],
            peers: Vec::new(),
        }),
        ("GlobalNetworkPolicy", "projectcalico.org" | "crd.projectcalico.org")
        | ("AdminNetworkPolicy" | "BaselineAdminNetworkPolicy" | "ClusterNetworkPolicy", "policy.networking.k8s.io") => {
            Detail::Given(vec!["NetworkPolicy"])
        }
        ("ClusterResourceQuota", "quota.openshift.io") => Detail::Given(vec!["ResourceQuota"]),
        ("Tenant", "capsule.clastix.io") => {
            let given = [("networkPolicies", "NetworkPolicy"), ("limitRanges", "LimitRange"), ("resourceQuotas", "ResourceQuota")];
            Detail::Given(given.iter().filter(|(key, _)| spec.is_some_and(|spec| spec.get(key).is_some())).map(|(_, kind)| *kind).collect())
        }
        ("Ingress", "networking.k8s.io" | "extensions") => ingress(root, spec?),
        ("HTTPRoute" | "GRPCRoute" | "TCPRoute" | "TLSRoute" | "UDPRoute", "gateway.networking.k8s.io") => gateway_route(spec?),
        ("Gateway", "gateway.networking.k8s.io") => gateway(root, spec?),
        ("VirtualService", "networking.istio.io") => virtual_service(spec?),
        ("IngressRoute" | "IngressRouteTCP", "traefik.io" | "traefik.containo.us") => traefik_route(spec?),
        ("Route", "route.openshift.io") => openshift_route(spec?),
        ("ConfigMap", "") => tunnel(artifact)?,
        ("ServiceMonitor", "monitoring.coreos.com") => monitor(spec?, false),
        ("PodMonitor", "monitoring.coreos.com") => monitor(spec?, true),
        ("Namespace", "") => namespace(artifact),
        ("ResourceQuota", "") => quota(spec),
        _ if is_policy(root) => Detail::Given(given(root, group)),
        _ => return None,
    })
}

/// Whether there is a list with nothing in it, or no list.
fn is_empty(list: Option<Node<'_>>) -> bool {
    list.is_none_or(|list| list.items().next().is_none())
}

fn policy(spec: Node<'_>) -> Detail {
    let selector = spec.get("podSelector").filter(|selector| selector.is_mapping());
    let read = selector.map(Selector::read).unwrap_or_default();
    let types: Vec<&str> = spec.get("policyTypes").into_iter().flat_map(Node::items).filter_map(Node::text).collect();
    // Without types a policy is one for ingress, and one for egress where it has such rules.
    let closes = [("Ingress", "ingress"), ("Egress", "egress")]
        .into_iter()
        .filter(|(kind, key)| read.is_empty() && is_empty(spec.get(key)) && (types.contains(kind) || types.is_empty() && *key == "ingress"))
        .map(|(_, key)| key)
        .collect();
    let rules = [("ingress", "from"), ("egress", "to")]
        .into_iter()
        .flat_map(|(direction, key)| spec.get(direction).into_iter().flat_map(Node::items).filter_map(move |rule| rule.get(key)));
    let select = |peer: Node<'_>, key| {
        peer.get(key).filter(|selector| selector.is_mapping()).map(|selector| (Selector::read(selector), selector.place()))
    };
    let peers = rules
        .flat_map(Node::items)
        .map(|peer| PeerFacts { pods: select(peer, "podSelector"), namespaces: select(peer, "namespaceSelector"), path: peer.path() })
        .filter(|peer| peer.pods.is_some() || peer.namespaces.is_some())
        .collect();
    let ingress = types.is_empty() || types.contains(&"Ingress");
    Detail::NetworkPolicy(PolicyFacts {
        selector: read,
        selector_span: selector.unwrap_or(spec).place(),
        everywhere: false,
        ingress,
        closes,
        peers,
    })
}

fn cilium_policy(root: Node<'_>, spec: Option<Node<'_>>, everywhere: bool) -> Detail {
    // Several rules in one object, or rules for nodes, are not told apart.
    let selector = spec.and_then(|spec| spec.get("endpointSelector")).filter(|_| root.get("specs").is_none());
    let mut read = selector.map(Selector::read).unwrap_or_default();
    // Labels of the pods; what Cilium itself knows of them is not looked at.
    let own = |key: &str| !key.contains("io.kubernetes.") && !key.contains("io.cilium.") && !key.starts_with("reserved:");
    let plain = |key: &str| key.trim_start_matches("k8s:").trim_start_matches("any:").to_owned();
    read.labels = read.labels.into_iter().filter(|(key, _)| own(key)).map(|(key, value)| (plain(&key), value)).collect();
    read.expressions =
        read.expressions.into_iter().filter(|(key, ..)| own(key)).map(|(key, how, values)| (plain(&key), how, values)).collect();
    if everywhere && read.is_empty() {
        return Detail::Given(vec!["NetworkPolicy"]);
    }
    let says = |key: &str, deny: &str| spec.is_none_or(|spec| spec.get(key).is_some() || spec.get(deny).is_some());
    let closes = [("ingress", "ingressDeny"), ("egress", "egressDeny")]
        .into_iter()
        .filter(|(key, deny)| read.is_empty() && says(key, deny))
        .map(|(key, _)| key)
        .collect();
    let selector_span = selector.or(spec).unwrap_or(root).place();
    let ingress = says("ingress", "ingressDeny");
    Detail::NetworkPolicy(PolicyFacts { selector: read, selector_span, everywhere, ingress, closes, peers: Vec::new() })
}

/// What a policy of an admission controller makes or asks for in every namespace.
fn given(root: Node<'_>, group: &str) -> Vec<&'static str> {
    let kind = root.text_of("kind").unwrap_or_default();
    let mut given: Vec<&'static str> = root
        .at_path(&["spec", "rules"])
        .into_iter()
        .flat_map(Node::items)
        .filter_map(|rule| rule.at_path(&["generate", "kind"])?.text())
        .filter_map(|made| ["NetworkPolicy", "LimitRange", "ResourceQuota"].into_iter().find(|kind| *kind == made))
        .collect();
    // One that judges pods: the profiles of Pod Security, or conditions of its own on security contexts.
    let judges = root.get("spec").into_iter().flat_map(Node::values).any(|node| {
        matches!(node.key_text(), Some("podSecurity" | "securityContext" | "=(securityContext)" | "privileged" | "=(privileged)"))
            || node.text().is_some_and(|text| text.contains("pod-security.kubernetes.io/enforce"))
            || node.key_text().is_some_and(|key| key.contains("pod-security.kubernetes.io/enforce"))
    });
    if judges || group.ends_with("gatekeeper.sh") && kind.starts_with("K8sPSP") || group.ends_with("kubewarden.io") {
        given.push("PodSecurity");
    }
    given
}

/// How a Service looks from outside.
pub(super) fn service(artifact: &Artifact<'_>) -> ServiceFacts {
    let root = artifact.root;
    let spec = root.get("spec");
    let ports = spec.and_then(|spec| spec.get("ports")).into_iter().flat_map(Node::items);
    let balanced = spec.and_then(|spec| spec.get("type")).filter(|kind| kind.text() == Some("LoadBalancer"));
    let closed = spec.is_none_or(|spec| is_closed(spec, root.at_path(&["metadata", "annotations"])));
    ServiceFacts {
        labels: root.at_path(&["metadata", "labels"]).map(labels).unwrap_or_default(),
        headless: spec.and_then(|spec| spec.text_of("clusterIP")) == Some("None"),
        public: balanced.filter(|_| !closed).map(Node::place),
        ports: ports
            .map(|port| ServicePort {
                name: Spanned::of(port.get("name")),
                number: Spanned::of(port.get("port")),
                target: port.text_of("targetPort").or_else(|| port.text_of("port")).unwrap_or_default().to_owned(),
            })
            .collect(),
    }
}

/// Words of a name by which people mean their own network.
fn names_own_network(text: &str) -> bool {
    text.to_ascii_lowercase()
        .split(|c: char| !c.is_ascii_alphanumeric())
        .any(|word| matches!(word, "internal" | "private" | "intranet" | "lan" | "local" | "tailscale" | "vpn" | "rilb" | "localhost"))
}

fn route(public: bool, guarded: bool, backends: Vec<BackendFacts>) -> RouteFacts {
    RouteFacts { public, guarded, gateways: Vec::new(), backends }
}

/// A backend by the name and the port that a node holds under these keys.
fn backend(node: Node<'_>, name: &[&str], port: &[&[&str]]) -> Option<BackendFacts> {
    Some(BackendFacts {
        service: Spanned::of(node.at_path(name))?,
        namespace: node.text_of("namespace").unwrap_or_default().to_owned(),
        port: port.iter().find_map(|keys| Spanned::of(node.at_path(keys))),
        path: node.path(),
    })
}

fn ingress(root: Node<'_>, spec: Node<'_>) -> Detail {
    let annotations = root.at_path(&["metadata", "annotations"]);
    let annotation = |key: &str| annotations.and_then(|annotations| annotations.text_of(key)).unwrap_or_default();
    let class = spec.text_of("ingressClassName").unwrap_or_else(|| annotation("kubernetes.io/ingress.class"));
    let scheme = annotation("alb.ingress.kubernetes.io/scheme");
    // The AWS Load Balancer Controller makes internal ones unless told otherwise.
    let balanced = class.split('-').any(|word| word == "alb") || !scheme.is_empty();
    let mut hosts = spec.get("rules").into_iter().flat_map(Node::items).filter_map(|rule| rule.text_of("host")).peekable();
    let own_hosts = hosts.peek().is_some() && hosts.all(names_own_network);
    let internal = names_own_network(class) || own_hosts || balanced && scheme != "internet-facing";
    let guards = ["auth", "whitelist", "allowlist", "middlewares", "inbound-cidrs", "security-groups", "plugins", "snippet"];
    let guarded = annotations
        .into_iter()
        .flat_map(Node::entries)
        .filter_map(|(key, _)| key.text())
        .any(|key| guards.iter().any(|guard| key.contains(guard)));
    let paths = spec
        .get("rules")
        .into_iter()
        .flat_map(Node::items)
        .filter_map(|rule| rule.at_path(&["http", "paths"]))
        .flat_map(Node::items)
        .filter_map(|path| path.get("backend"));
    let backends = paths
        .chain(["defaultBackend", "backend"].iter().filter_map(|key| spec.get(key)))
        .filter_map(|node| {
            let ports: &[&[&str]] = &[&["service", "port", "number"], &["service", "port", "name"], &["servicePort"]];
            backend(node, &["service", "name"], ports).or_else(|| backend(node, &["serviceName"], ports))
        })
        .collect();
    Detail::Route(route(!internal, guarded, backends))
}

fn gateway(root: Node<'_>, spec: Node<'_>) -> Detail {
    let class = spec.text_of("gatewayClassName").unwrap_or_default();
    let name = root.at_path(&["metadata", "name"]).and_then(Node::text).unwrap_or_default();
    // What it says of its load balancer is written as on a Service.
    let own = [root.at_path(&["metadata", "annotations"]), spec.at_path(&["infrastructure", "annotations"])];
    let closed = own.into_iter().flatten().any(|annotations| is_closed(spec, Some(annotations)));
    let parameters = spec.at_path(&["infrastructure", "parametersRef", "name"]).and_then(Node::text).unwrap_or_default();
    let service = root.at_path(&["metadata", "annotations", "networking.istio.io/service-type"]).and_then(Node::text) == Some("ClusterIP");
    let named = [class, name, parameters].into_iter().any(names_own_network);
    Detail::Gateway(GatewayFacts { internal: closed || service || named })
}

fn gateway_route(spec: Node<'_>) -> Detail {
    let parents: Vec<Node<'_>> = spec.get("parentRefs").into_iter().flat_map(Node::items).collect();
    let gateways: Vec<(String, String)> = parents
        .iter()
        .filter(|parent| parent.text_of("kind").is_none_or(|kind| kind == "Gateway"))
        .map(|parent| {
            let text = |key| parent.text_of(key).unwrap_or_default().to_owned();
            (text("namespace"), text("name"))
        })
        .collect();
    let mut hosts = spec.get("hostnames").into_iter().flat_map(Node::items).filter_map(Node::text).peekable();
    let own_hosts = hosts.peek().is_some() && hosts.all(names_own_network);
    let own_listener = !parents.is_empty() && parents.iter().all(|parent| parent.text_of("sectionName").is_some_and(names_own_network));
    let public = gateways.iter().any(|(_, name)| !names_own_network(name)) && !own_hosts && !own_listener;
    let rules: Vec<Node<'_>> = spec.get("rules").into_iter().flat_map(Node::items).collect();
    let references: Vec<Node<'_>> = rules.iter().filter_map(|rule| rule.get("backendRefs")).flat_map(Node::items).collect();
    let guarded = rules
        .iter()
        .chain(&references)
        .filter_map(|node| node.get("filters"))
        .flat_map(Node::items)
        .any(|filter| matches!(filter.text_of("type"), Some("ExtensionRef" | "ExternalAuth")));
    let backends = references
        .into_iter()
        .filter(|reference| reference.text_of("kind").is_none_or(|kind| kind == "Service"))
        .filter_map(|reference| backend(reference, &["name"], &[&["port"]]))
        .collect();
    Detail::Route(RouteFacts { gateways, ..route(public, guarded, backends) })
}

fn virtual_service(spec: Node<'_>) -> Detail {
    let gateways: Vec<&str> = spec.get("gateways").into_iter().flat_map(Node::items).filter_map(Node::text).collect();
    // Without a gateway it is for the mesh alone.
    let public = gateways.iter().any(|name| *name != "mesh" && !names_own_network(name));
    let backends = ["http", "tcp", "tls"]
        .iter()
        .filter_map(|key| spec.get(key))
        .flat_map(Node::items)
        .filter_map(|route| route.get("route"))
        .flat_map(Node::items)
        .filter_map(|route| route.get("destination"))
        .filter_map(|destination| {
            let mut found = backend(destination, &["host"], &[&["port", "number"]])?;
            let host = found.service.text.clone();
            let mut parts = host.split('.');
            parts.next().unwrap_or_default().clone_into(&mut found.service.text);
            parts.next().unwrap_or_default().clone_into(&mut found.namespace);
            Some(found)
        })
        .collect();
    // Who may come in is said by an AuthorizationPolicy, if at all.
    Detail::Route(route(public, false, backends))
}

fn traefik_route(spec: Node<'_>) -> Detail {
    let routes: Vec<Node<'_>> = spec.get("routes").into_iter().flat_map(Node::items).collect();
    let entries = spec.get("entryPoints").into_iter().flat_map(Node::items).filter_map(Node::text);
    let internal = entries.into_iter().any(|entry| names_own_network(entry) || entry == "traefik");
    let guarded = routes
        .iter()
        .any(|route| route.get("middlewares").is_some() || route.text_of("match").is_some_and(|text| text.contains("ClientIP")));
    let backends = routes
        .iter()
        .filter_map(|route| route.get("services"))
        .flat_map(Node::items)
        .filter(|service| service.text_of("kind").is_none_or(|kind| kind == "Service"))
        .filter_map(|service| backend(service, &["name"], &[&["port"]]))
        .collect();
    Detail::Route(route(!internal, guarded, backends))
}

fn openshift_route(spec: Node<'_>) -> Detail {
    let internal = spec.text_of("host").is_some_and(names_own_network);
    let port = Spanned::of(spec.at_path(&["port", "targetPort"]));
    let backends =
        spec.get("to").and_then(|to| backend(to, &["name"], &[])).map(|found| BackendFacts { port, ..found }).into_iter().collect();
    Detail::Route(route(!internal, false, backends))
}

/// The Services that a Cloudflare tunnel makes public.
fn tunnel(artifact: &Artifact<'_>) -> Option<Detail> {
    let embedded = || artifact.variables.iter().filter(|variable| variable.placement == Placement::Embedded);
    embedded().find(|variable| matches!(&*variable.name, "tunnel" | "credentials-file"))?;
    let backends: Vec<BackendFacts> = embedded()
        .filter(|variable| variable.name == "service")
        .filter_map(|variable| {
            let (_, address) = variable.value.split_once("://")?;
            let (host, port) = address.split('/').next()?.split_once(':').map_or((address, None), |(host, port)| (host, Some(port)));
            let mut parts = host.split('.');
            let spanned = |text: &str| Spanned { text: text.to_owned(), span: variable.span };
            Some(BackendFacts {
                service: spanned(parts.next()?),
                namespace: parts.next().unwrap_or_default().to_owned(),
                port: port.map(spanned),
                path: variable.node.path(),
            })
        })
        .collect();
    // Who has to log in is said at Cloudflare; what a data store speaks cannot be guarded there.
    (!backends.is_empty()).then(|| Detail::Route(route(true, false, backends)))
}

fn monitor(spec: Node<'_>, pods: bool) -> Detail {
    let selector = spec.get("selector").filter(|selector| selector.is_mapping());
    let scope = spec.get("namespaceSelector");
    let names = scope.and_then(|scope| scope.get("matchNames")).into_iter().flat_map(Node::items).filter_map(Node::text);
    let names: Vec<String> = names.map(str::to_owned).collect();
    let namespaces = match scope.and_then(|scope| scope.get("any")).and_then(Node::as_bool) {
        Some(true) => Namespaces::Any,
        _ if names.is_empty() => Namespaces::Own,
        _ => Namespaces::Named(names),
    };
    let endpoints = spec.get(if pods { "podMetricsEndpoints" } else { "endpoints" }).into_iter().flat_map(Node::items);
    Detail::Monitor(MonitorFacts {
        pods,
        selector: selector.map(Selector::read).unwrap_or_default(),
        selector_span: selector.unwrap_or(spec).place(),
        namespaces,
        endpoints: endpoints
            .map(|endpoint| EndpointFacts {
                port: Spanned::of(endpoint.get("port")),
                target_port: Spanned::of(endpoint.get("targetPort")),
                path: endpoint.path(),
            })
            .collect(),
    })
}

fn namespace(artifact: &Artifact<'_>) -> Detail {
    let root = artifact.root;
    let known = root.at_path(&["metadata", "labels"]);
    let says_why = |key: &str| {
        key.contains("pod-security") && !key.starts_with("pod-security.kubernetes.io/")
            || key.split(['/', '-', '.', '_']).any(|word| matches!(word, "reason" | "justification" | "exception" | "why"))
    };
    let annotations = root.at_path(&["metadata", "annotations"]);
    Detail::Namespace {
        labels: known.map(labels).unwrap_or_default(),
        level: Spanned::of(known.and_then(|labels| labels.get("pod-security.kubernetes.io/enforce"))),
        reason: annotations.into_iter().flat_map(Node::entries).filter_map(|(key, _)| key.text()).any(says_why),
    }
}

fn quota(spec: Option<Node<'_>>) -> Detail {
    let hard = spec.and_then(|spec| spec.get("hard")).filter(|hard| !hard.is_null());
    Detail::Quota {
        empty: hard.is_none_or(|hard| hard.is_mapping() && hard.entries().is_empty()),
        hard: hard
            .into_iter()
            .flat_map(Node::entries)
            .filter_map(|(key, value)| Some((key.text()?.to_owned(), parse_quantity(value.text()?, false)?, value.place())))
            .collect(),
        scoped: spec.is_some_and(|spec| spec.get("scopes").is_some() || spec.get("scopeSelector").is_some()),
    }
}
