//! Where requests come in, and the certificates that are shown there.

use super::facts::{FactSort, Spanned};
use super::references::Named;
use crate::artifact::Artifact;
use crate::syntax::Node;

/// What an object says about hosts and their certificates.
#[derive(Clone, Debug)]
pub(crate) enum Traffic {
    Entrance(EntranceFacts),
    Hosts(HostFacts),
    Mesh(MeshFacts),
    Certificate(CertificateFacts),
    Issuer(IssuerFacts),
}

impl Traffic {
    pub(crate) fn sort(&self) -> FactSort {
        match self {
            Self::Entrance(_) => FactSort::Entrance,
            Self::Hosts(_) => FactSort::Hosts,
            Self::Mesh(_) => FactSort::Mesh,
            Self::Certificate(_) => FactSort::Certificate,
            Self::Issuer(_) => FactSort::Issuer,
        }
    }
}

/// What an artifact says about hosts and their certificates, if anything; `group` is its API group.
pub(super) fn traffic(artifact: &Artifact<'_>, group: &str) -> Option<Traffic> {
    let root = artifact.root;
    let spec = root.get("spec");
    Some(match (artifact.object.kind.as_str(), group) {
        ("Ingress", "networking.k8s.io" | "extensions") => Traffic::Entrance(ingress(spec.unwrap_or(root))),
        ("Gateway", "gateway.networking.k8s.io") => Traffic::Entrance(gateway(root, spec.unwrap_or(root))),
        ("Gateway", "networking.istio.io") => Traffic::Entrance(istio_gateway(spec.unwrap_or(root))),
        ("HTTPRoute" | "GRPCRoute" | "TLSRoute", "gateway.networking.k8s.io") => Traffic::Hosts(hosts(spec.unwrap_or(root))),
        ("Namespace", "") => Traffic::Mesh(namespace(root)),
        ("PeerAuthentication", "security.istio.io") => Traffic::Mesh(authentication(spec)),
        ("Certificate", "cert-manager.io") => Traffic::Certificate(certificate(spec.unwrap_or(root))),
        ("Issuer" | "ClusterIssuer", "cert-manager.io") => Traffic::Issuer(issuer(spec.unwrap_or(root))),
        _ => return None,
    })
}

/// An Ingress or Gateway.
#[derive(Clone, Debug, Default)]
pub(crate) struct EntranceFacts {
    /// The hosts that it serves; a listener without one serves every host.
    pub(crate) hosts: Vec<Named>,
    pub(crate) certificates: Vec<ShownCertificate>,
    /// The first listener, where none has TLS and none only sends visitors elsewhere.
    pub(crate) plain: Option<Named>,
    /// Whether it says that nobody outside reaches it, or that TLS ends by other means.
    pub(crate) inside: bool,
}

/// A Secret with a certificate, and the hosts that it is shown for.
#[derive(Clone, Debug)]
pub(crate) struct ShownCertificate {
    pub(crate) secret: Named,
    /// The namespace it says; empty for that of the object.
    pub(crate) namespace: String,
    /// Whether the Secret stands in the namespace of the proxy, which may be any.
    pub(crate) anywhere: bool,
    pub(crate) hosts: Vec<Named>,
    /// How many certificates are shown for these hosts.
    pub(crate) of: usize,
}

/// A cert-manager Certificate.
#[derive(Clone, Debug, Default)]
pub(crate) struct CertificateFacts {
    /// The names it is valid for; none where some of them are not read.
    pub(crate) names: Option<Vec<String>>,
}

/// An Issuer or `ClusterIssuer`.
#[derive(Clone, Debug, Default)]
pub(crate) struct IssuerFacts {
    /// The server, where it is for tests only.
    pub(crate) staging: Option<Spanned>,
    pub(crate) self_signed: bool,
    /// The Secret with the certificate that it signs with.
    pub(crate) authority: Option<String>,
}

fn names(list: Option<Node<'_>>) -> impl Iterator<Item = Named> {
    list.into_iter().flat_map(Node::items).filter_map(|node| Named::of(Some(node)))
}

/// Reads an Ingress.
fn ingress(spec: Node<'_>) -> EntranceFacts {
    let rules: Vec<Named> = spec.get("rules").into_iter().flat_map(Node::items).filter_map(|rule| Named::of(rule.get("host"))).collect();
    let certificates = spec.get("tls").into_iter().flat_map(Node::items).filter_map(|tls| {
        let own: Vec<Named> = names(tls.get("hosts")).collect();
        Some(ShownCertificate {
            secret: Named::of(tls.get("secretName"))?,
            namespace: String::new(),
            anywhere: false,
            hosts: if own.is_empty() { rules.clone() } else { own },
            of: 1,
        })
    });
    EntranceFacts { certificates: certificates.collect(), plain: None, inside: false, hosts: rules }
}

/// Annotations by which a Gateway gets its certificate or an address of its own network.
const INSIDE: &[&str] = &["certmap", "ssl-cert", "internal", "networking.istio.io/service-type", "pre-shared-certs", "cloudflared"];

/// Reads a Gateway of the Gateway API.
fn gateway(root: Node<'_>, spec: Node<'_>) -> EntranceFacts {
    let annotations = [root.at_path(&["metadata", "annotations"]), spec.at_path(&["infrastructure", "annotations"])];
    let mut said = annotations.into_iter().flatten().flat_map(Node::entries).filter_map(|(key, _)| key.text());
    let class = spec.text_of("gatewayClassName").unwrap_or_default();
    let inside = said.any(|key| INSIDE.iter().any(|word| key.contains(word)))
        || ["internal", "private", "rilb", "waypoint", "tailscale"].iter().any(|word| class.contains(word));
    let mut found = EntranceFacts { inside, ..EntranceFacts::default() };
    let mut secure = false;
    for listener in spec.get("listeners").into_iter().flat_map(Node::items) {
        let hosts: Vec<Named> = Named::of(listener.get("hostname")).into_iter().collect();
        let of = listener.at_path(&["tls", "certificateRefs"]).map_or(0, |list| list.items().count());
        for certificate in listener.at_path(&["tls", "certificateRefs"]).into_iter().flat_map(Node::items) {
            let is_secret = certificate.text_of("kind").is_none_or(|kind| kind == "Secret");
            if let Some(secret) = Named::of(certificate.get("name")).filter(|_| is_secret) {
                let namespace = certificate.text_of("namespace").unwrap_or_default().to_owned();
                found.certificates.push(ShownCertificate { secret, namespace, anywhere: false, hosts: hosts.clone(), of });
            }
        }
        if listener.text_of("protocol") == Some("HTTP") {
            found.plain = found.plain.or_else(|| Named::of(listener.get("protocol")));
        } else {
            secure = true;
        }
        found.hosts.extend(hosts);
    }
    found.plain = found.plain.filter(|_| !secure);
    found
}

/// Reads a Gateway of Istio.
fn istio_gateway(spec: Node<'_>) -> EntranceFacts {
    let mut found = EntranceFacts::default();
    let mut secure = false;
    for server in spec.get("servers").into_iter().flat_map(Node::items) {
        let hosts: Vec<Named> = names(server.get("hosts"))
            .map(|mut host| {
                if let Some((_, name)) = host.at.text.split_once('/') {
                    host.at.text = name.to_owned();
                }
                host
            })
            .collect();
        if let Some(secret) = Named::of(server.at_path(&["tls", "credentialName"])) {
            let certificate = ShownCertificate { secret, namespace: String::new(), anywhere: true, hosts: hosts.clone(), of: 1 };
            found.certificates.push(certificate);
        }
        let redirects = server.at_path(&["tls", "httpsRedirect"]).and_then(Node::as_bool) == Some(true);
        match server.at_path(&["port", "protocol"]).and_then(Node::text) {
            Some("HTTP" | "HTTP2" | "GRPC") if !redirects => {
                found.plain = found.plain.or_else(|| Named::of(server.at_path(&["port", "protocol"])));
            }
            _ => secure = true,
        }
        found.hosts.extend(hosts);
    }
    found.plain = found.plain.filter(|_| !secure);
    found
}

/// Reads a Certificate.
fn certificate(spec: Node<'_>) -> CertificateFacts {
    let read = |node: Option<Node<'_>>| names(node).map(|name| name.at.text).collect::<Vec<_>>();
    let mut known = read(spec.get("dnsNames"));
    known.extend(spec.text_of("commonName").map(str::to_owned));
    known.extend(read(spec.get("ipAddresses")));
    let open =
        spec.get("literalSubject").is_some() || spec.get("otherNames").is_some() || known.iter().any(|name| name.contains(['$', '{']));
    CertificateFacts { names: (!open && !known.is_empty()).then_some(known) }
}

/// Words in the addresses of ACME servers whose certificates nobody trusts.
const STAGING: &[&str] = &["acme-staging", "test-api.pki.goog", "api.test4.buypass", "staging"];

/// Reads an issuer.
fn issuer(spec: Node<'_>) -> IssuerFacts {
    IssuerFacts {
        staging: Spanned::of(spec.at_path(&["acme", "server"])).filter(|server| STAGING.iter().any(|word| server.text.contains(word))),
        self_signed: spec.get("selfSigned").is_some(),
        authority: spec.at_path(&["ca", "secretName"]).and_then(Node::text).map(str::to_owned),
    }
}

/// A route of the Gateway API: its hosts, and whether it only sends visitors elsewhere.
#[derive(Clone, Debug, Default)]
pub(crate) struct HostFacts {
    pub(crate) hosts: Vec<String>,
    pub(crate) redirects: bool,
}

/// Reads a route.
fn hosts(spec: Node<'_>) -> HostFacts {
    let mut rules = spec.get("rules").into_iter().flat_map(Node::items).peekable();
    let redirects = |rule: Node<'_>| {
        rule.get("filters").into_iter().flat_map(Node::items).any(|filter| filter.text_of("type") == Some("RequestRedirect"))
    };
    HostFacts {
        hosts: names(spec.get("hostnames")).map(|host| host.at.text).collect(),
        redirects: rules.peek().is_some() && rules.all(redirects),
    }
}

/// What says which traffic of a mesh is encrypted.
#[derive(Clone, Debug)]
pub(crate) enum MeshFacts {
    /// A namespace, and the label that puts its pods into the mesh.
    Namespace { injected: Option<Named> },
    /// A `PeerAuthentication`, and whether it means all pods.
    Authentication { whole: bool },
}

/// Reads a Namespace.
fn namespace(root: Node<'_>) -> MeshFacts {
    let labels = root.at_path(&["metadata", "labels"]);
    let label = |key| labels.and_then(|labels| labels.get(key));
    let injection = label("istio-injection").filter(|value| value.text() == Some("enabled"));
    let ambient = label("istio.io/dataplane-mode").filter(|value| value.text() == Some("ambient"));
    MeshFacts::Namespace { injected: Named::of(injection.or_else(|| label("istio.io/rev")).or(ambient)) }
}

/// Reads a `PeerAuthentication`.
fn authentication(spec: Option<Node<'_>>) -> MeshFacts {
    MeshFacts::Authentication { whole: spec.and_then(|spec| spec.get("selector")).is_none() }
}
