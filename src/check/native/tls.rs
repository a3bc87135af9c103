//! Native checks of pack tls.

use crate::artifact::{Artifact, PathScope, Place, Placement, TargetKind};
use crate::check::{Run, shorten};
use crate::finding::{Confidence, Severity};
use crate::rule::ArtifactKind;
use crate::source::Span;
use crate::syntax::Node;

const SSL_REDIRECT: &str = "nginx.ingress.kubernetes.io/ssl-redirect";
const FORCE_REDIRECT: &str = "nginx.ingress.kubernetes.io/force-ssl-redirect";

/// Reports places that serve content on port 80 although HTTPS is there.
pub(crate) fn http_not_redirected(run: &mut Run<'_, '_>) {
    for artifact in run.file.artifacts {
        match artifact.kind {
            ArtifactKind::Kubernetes => {
                if let Some(place) = artifact.targets(TargetKind::Object).next() {
                    match (artifact.object.kind.as_str(), place.group) {
                        ("Ingress", _) if artifact.root.at_path(&["spec", "tls"]).is_some_and(|tls| tls.items().next().is_some()) => {
                            if let Some(annotations) = artifact.root.at_path(&["metadata", "annotations"]) {
                                redirect_annotations(run, artifact, annotations);
                            }
                        }
                        ("Gateway", "networking.istio.io") => istio_gateway(run, artifact, place),
                        _ => {}
                    }
                }
                nginx(run, artifact);
                traefik_arguments(run, artifact);
            }
            ArtifactKind::HelmValues => {
                for annotations in mappings_with(artifact.root, &[SSL_REDIRECT, FORCE_REDIRECT]) {
                    let holder = annotations.parent().filter(|holder| holder.is_mapping());
                    // Without a certificate there is nothing to send visitors to; that is another rule's finding.
                    if holder
                        .and_then(|holder| holder.get("tls"))
                        .is_some_and(|tls| tls.items().next().is_some() || tls.as_bool() == Some(true))
                    {
                        redirect_annotations(run, artifact, annotations);
                    }
                }
                nginx(run, artifact);
            }
            _ => {}
        }
    }
    traefik_configuration(run);
}

fn redirect_annotations<'d>(run: &mut Run<'_, 'd>, artifact: &Artifact<'d>, annotations: Node<'d>) {
    let flag = |name| annotations.get(name).and_then(|node| Some((node.as_bool_text()?, node)));
    match (flag(SSL_REDIRECT), flag(FORCE_REDIRECT)) {
        (_, Some((true, _))) => {}
        (Some((false, node)), _) => {
            run.report(node.place(), artifact.object_at(node, ""), "`ssl-redirect` is off, so the hosts answer over plain HTTP too");
        }
        (None, Some((false, node))) => {
            // The default of ssl-redirect still redirects where a certificate is there.
            let draft = run.report(
                node.place(),
                artifact.object_at(node, ""),
                "`force-ssl-redirect` is off, so only the default of `ssl-redirect` sends visitors to HTTPS",
            );
            draft.severity = Severity::Low;
            draft.confidence = Confidence::Low;
        }
        _ => {}
    }
}

/// The mappings that hold one of these keys.
fn mappings_with<'d>(root: Node<'d>, keys: &[&str]) -> impl Iterator<Item = Node<'d>> {
    root.values().into_iter().filter(move |node| node.pairs().any(|(key, _)| key.text().is_some_and(|text| keys.contains(&text))))
}

pub(super) fn is_internal_host(host: &str) -> bool {
    let host = host.rsplit('/').next().unwrap_or(host);
    host == "localhost" || [".local", ".localhost", ".internal", ".test", ".svc"].iter().any(|end| host.ends_with(end))
}

fn istio_gateway<'d>(run: &mut Run<'_, 'd>, artifact: &Artifact<'d>, place: &Place<'d>) {
    let servers = || artifact.root.at_path(&["spec", "servers"]).into_iter().flat_map(Node::items);
    let protocol = |server: Node<'d>| server.at_path(&["port", "protocol"]).and_then(Node::text).unwrap_or_default();
    if only_challenges(run, place) {
        return;
    }
    let has_tls = servers().any(|server| matches!(protocol(server), "HTTPS" | "TLS"));
    for server in servers() {
        let plain = matches!(protocol(server), "HTTP" | "HTTP2") && server.at_path(&["port", "number"]).and_then(Node::as_int) == Some(80);
        let mut hosts = server.get("hosts").into_iter().flat_map(Node::items).filter_map(Node::text).peekable();
        if !plain || hosts.peek().is_some() && hosts.all(is_internal_host) {
            continue;
        }
        let written = server.at_path(&["tls", "httpsRedirect"]);
        if written.and_then(Node::as_bool) == Some(true) || written.is_none() && !place.complete {
            continue;
        }
        let end = if has_tls { "without sending visitors to HTTPS" } else { "in clear text and has no HTTPS server" };
        let draft = run.report_at(place, written.unwrap_or(server), format!("Gateway `{}` serves port 80 {end}", place.name()));
        if !has_tls && written.is_none() {
            // TLS may end in front of the gateway.
            draft.confidence = Confidence::Low;
        }
    }
}

/// Whether the routes beside a gateway lead to nothing but the solver of ACME challenges, which come over plain HTTP.
fn only_challenges(run: &Run<'_, '_>, gateway: &Place<'_>) -> bool {
    let mut routes = 0;
    for artifact in run.file.artifacts.iter().filter(|artifact| artifact.object.kind == "VirtualService") {
        let spec = |key| artifact.root.at_path(&["spec", key]).into_iter().flat_map(Node::items);
        if !spec("gateways").filter_map(Node::text).any(|name| name.rsplit('/').next() == Some(&gateway.object.name)) {
            continue;
        }
        for route in spec("http") {
            let mut matches = route.get("match").into_iter().flat_map(Node::items).peekable();
            let is_challenge = |one: Node<'_>| {
                one.get("uri").is_some_and(|uri| {
                    uri.values().into_iter().filter_map(Node::text).all(|path| path.starts_with("/.well-known/acme-challenge"))
                })
            };
            if matches.peek().is_none() || !matches.all(is_challenge) {
                return false;
            }
            routes += 1;
        }
    }
    routes > 0
}

/// An nginx directive or block.
struct Directive<'t> {
    /// The words before `;` or `{`.
    words: Vec<&'t str>,
    /// Where it begins in the text.
    start: usize,
    /// Blocks have children.
    children: Vec<Directive<'t>>,
}

/// Reads nginx configuration as far as directives and blocks go; nothing where braces do not match.
fn read_nginx(text: &str) -> Option<Vec<Directive<'_>>> {
    let mut open: Vec<(Directive<'_>, Vec<Directive<'_>>)> = Vec::new();
    let mut level: Vec<Directive<'_>> = Vec::new();
    let mut words: Vec<(usize, &str)> = Vec::new();
    let mut chars = text.char_indices().peekable();
    while let Some((start, character)) = chars.next() {
        let begin = words.first().map_or(start, |(start, _)| *start);
        match character {
            '#' => while chars.next_if(|(_, c)| *c != '\n').is_some() {},
            c if c.is_whitespace() => {}
            ';' => {
                level.push(Directive { words: words.drain(..).map(|(_, word)| word).collect(), start: begin, children: Vec::new() });
            }
            '{' => {
                let block = Directive { words: words.drain(..).map(|(_, word)| word).collect(), start: begin, children: Vec::new() };
                open.push((block, std::mem::take(&mut level)));
            }
            '}' => {
                let (mut block, outer) = open.pop()?;
                block.children = std::mem::replace(&mut level, outer);
                level.push(block);
                words.clear();
            }
            quote @ ('"' | '\'') => {
                while let Some((_, c)) = chars.next() {
                    if c == '\\' {
                        chars.next();
                    } else if c == quote {
                        break;
                    }
                }
                let end = chars.peek().map_or(text.len(), |(end, _)| *end);
                words.push((start, text.get(start..end)?));
            }
            first => {
                // `${name}` belongs to its word.
                let mut in_braces = false;
                let mut previous = first;
                while let Some((_, c)) = chars
                    .next_if(|(_, c)| in_braces || (*c == '{' && previous == '$') || !(c.is_whitespace() || matches!(c, ';' | '{' | '}')))
                {
                    in_braces = (in_braces || c == '{') && c != '}';
                    previous = c;
                }
                let end = chars.peek().map_or(text.len(), |(end, _)| *end);
                words.push((start, text.get(start..end)?));
            }
        }
    }
    open.is_empty().then_some(level)
}

impl Directive<'_> {
    fn name(&self) -> &str {
        self.words.first().copied().unwrap_or_default()
    }

    fn argument(&self) -> &str {
        self.words.get(1).copied().unwrap_or_default()
    }

    /// Whether this, or anything in it, satisfies a question.
    fn any(&self, is: &dyn Fn(&Self) -> bool) -> bool {
        is(self) || self.children.iter().any(|child| child.any(is))
    }

    /// `listen` on port 80 for anyone.
    fn listens_plain(&self) -> bool {
        let address = self.argument();
        let plain = matches!(address, "80" | "*:80" | "0.0.0.0:80" | "[::]:80");
        self.name() == "listen" && plain && !self.words.contains(&"ssl")
    }

    fn listens_tls(&self) -> bool {
        self.name() == "listen" && self.words.contains(&"ssl") || self.name() == "ssl_certificate"
    }

    /// A redirect to HTTPS, or a decision by the protocol that a load balancer forwards.
    fn redirects(&self) -> bool {
        let leads = self.words.iter().any(|word| word.contains("https://") || word.contains("$scheme") && self.name() == "rewrite");
        matches!(self.name(), "return" | "rewrite") && leads
            || self.words.iter().any(|word| word.contains("x_forwarded_proto"))
            || self.name() == "error_page" && self.argument() == "497"
    }

    /// A location that anyone may read over plain HTTP.
    fn is_harmless_location(&self) -> bool {
        let path = self.words.last().copied().unwrap_or_default().to_ascii_lowercase();
        self.name() == "location" && ["acme-challenge", "health", "ready", "live", "status", "ping"].iter().any(|word| path.contains(word))
    }

    fn serves(&self) -> bool {
        !self.is_harmless_location()
            && (matches!(self.name(), "proxy_pass" | "root" | "alias" | "try_files" | "fastcgi_pass" | "uwsgi_pass" | "grpc_pass")
                || self.children.iter().any(Self::serves))
    }

    /// Every block of a name.
    fn blocks<'b>(&'b self, name: &str, found: &mut Vec<&'b Self>) {
        if self.name() == name {
            found.push(self);
        }
        for child in &self.children {
            child.blocks(name, found);
        }
    }
}

/// Servers of nginx that serve port 80 beside a server with a certificate. Alone they stand behind something that ends TLS.
fn nginx<'d>(run: &mut Run<'_, 'd>, artifact: &Artifact<'d>) {
    let mut last = None;
    // Embedded text leaves variables; their nodes are the texts.
    let mut texts: Vec<Node<'d>> = Vec::new();
    for variable in artifact.variables.iter().filter(|variable| variable.placement == Placement::Embedded && variable.name == "listen") {
        if last.replace(variable.node.id) != Some(variable.node.id) {
            texts.push(variable.node);
        }
    }
    for scalar in texts {
        let span = scalar.value_span();
        let raw = scalar.doc.source.slice(span);
        // The header of a block scalar is no directive.
        let skip = if raw.starts_with(['|', '>']) { raw.find('\n').map_or(0, |end| end + 1) } else { 0 };
        let Some(level) = raw.get(skip..).and_then(read_nginx) else { continue };
        let mut servers = Vec::new();
        for directive in &level {
            directive.blocks("server", &mut servers);
        }
        if !level.iter().any(|directive| directive.any(&Directive::listens_tls)) {
            continue;
        }
        for server in servers {
            let Some(listen) = server.children.iter().find(|child| child.listens_plain()) else { continue };
            if server.any(&Directive::redirects) || !server.serves() {
                continue;
            }
            let start = span.start as usize + skip + listen.start;
            let end = start + raw.get(skip + listen.start..).and_then(|rest| rest.find(';')).unwrap_or(1);
            run.report(
                Span::new(start, end),
                artifact.object_at(scalar, ""),
                "the nginx server serves port 80 instead of sending visitors to HTTPS",
            );
        }
    }
}

const HSTS: &str = "Strict-Transport-Security";

impl Directive<'_> {
    /// `add_header` of any header, or of one.
    fn adds(&self, header: Option<&str>) -> bool {
        let own = self.argument().trim_matches(['"', '\'']);
        self.name() == "add_header" && header.is_none_or(|header| own.eq_ignore_ascii_case(header))
            || self.name() == "more_set_headers" && self.words.iter().any(|word| header.is_none_or(|header| word.contains(header)))
    }

    fn adds_here(&self, header: Option<&str>) -> bool {
        self.children.iter().any(|child| child.adds(header))
    }

    /// Whether another file adds to this block.
    fn includes(&self) -> bool {
        self.children.iter().any(|child| child.name() == "include" && !child.argument().ends_with("mime.types"))
    }
}

/// Reports HTTPS servers that do not send browsers back to HTTPS.
pub(crate) fn hsts_missing(run: &mut Run<'_, '_>) {
    let least = run.active.number("min-age").unwrap_or(15_552_000.0);
    for artifact in run.file.artifacts.iter().filter(|artifact| artifact.scope != PathScope::Development) {
        if artifact.kind == ArtifactKind::Kubernetes && artifact.object.kind == "ConfigMap" {
            controller_hsts(run, artifact, least);
        }
        for scalar in nginx_texts(artifact) {
            nginx_hsts(run, artifact, scalar, least);
        }
    }
}

/// The options of the `ConfigMap` of ingress-nginx, which sends the header unless told otherwise.
fn controller_hsts<'d>(run: &mut Run<'_, 'd>, artifact: &Artifact<'d>, least: f64) {
    let Some(data) = artifact.root.get("data") else { return };
    let off = data.get("hsts").filter(|node| node.text().is_some_and(|text| text.trim().eq_ignore_ascii_case("false")));
    if let Some(node) = off {
        run.report(node.place(), artifact.object_at(node, ""), "`hsts` is off, so no host sends `Strict-Transport-Security`");
    } else if let Some(node) = data.get("hsts-max-age")
        && let Some(age) = node.text().and_then(|text| text.trim().parse::<f64>().ok()).filter(|age| *age < least)
    {
        run.report(node.place(), artifact.object_at(node, ""), format!("`hsts-max-age` is {age} seconds, less than {least}"));
    }
}

/// The scalars that hold nginx configuration.
fn nginx_texts<'d>(artifact: &Artifact<'d>) -> Vec<Node<'d>> {
    let mut texts: Vec<Node<'d>> = Vec::new();
    for variable in artifact.variables.iter().filter(|variable| variable.placement == Placement::Embedded && variable.name == "listen") {
        if texts.last().is_none_or(|last| last.id != variable.node.id) {
            texts.push(variable.node);
        }
    }
    texts
}

fn nginx_hsts<'d>(run: &mut Run<'_, 'd>, artifact: &Artifact<'d>, scalar: Node<'d>, least: f64) {
    let span = scalar.value_span();
    let raw = scalar.doc.source.slice(span);
    let skip = if raw.starts_with(['|', '>']) { raw.find('\n').map_or(0, |end| end + 1) } else { 0 };
    let Some(level) = raw.get(skip..).and_then(read_nginx) else { return };
    let place = |directive: &Directive<'_>, length: usize| {
        let start = span.start as usize + skip + directive.start;
        Span::new(start, start + length)
    };
    let mut found = Vec::new();
    let https: Vec<&Directive<'_>> = level.iter().filter(|directive| directive.name() == "http").collect();
    let outer = Directive { words: Vec::new(), start: 0, children: Vec::new() };
    let mut servers: Vec<(&Directive<'_>, &Directive<'_>)> =
        level.iter().filter(|directive| directive.name() == "server").map(|server| (&outer, server)).collect();
    for http in https {
        servers.extend(http.children.iter().filter(|child| child.name() == "server").map(|server| (http, server)));
    }
    for (http, server) in servers {
        let listens = server.children.iter().find(|child| child.name() == "listen" && child.words.contains(&"ssl"));
        let hosts = || server.children.iter().filter(|child| child.name() == "server_name").flat_map(|child| child.words.iter().skip(1));
        let internal = hosts().next().is_some() && hosts().all(|host| is_internal_host(host));
        let (Some(listen), false) = (listens, internal || server.includes() || http.includes()) else { continue };
        let inherited = http.adds_here(Some(HSTS)) && !server.adds_here(None);
        if !inherited && !server.adds_here(Some(HSTS)) {
            if server.any(&|directive| directive.adds(Some(HSTS))) {
                continue;
            }
            let length = listen.words.iter().map(|word| word.len() + 1).sum::<usize>() - 1;
            found.push((place(listen, length), "the nginx server sends no `Strict-Transport-Security`".to_owned()));
            continue;
        }
        for header in server.children.iter().filter(|child| child.adds(Some(HSTS))) {
            let age = header.words.iter().find_map(|word| {
                let digits = word.split_once("max-age=")?.1;
                digits.get(..digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len()))?.parse::<f64>().ok()
            });
            if let Some(age) = age.filter(|age| *age < least) {
                let message = format!("`Strict-Transport-Security` is kept for {age} seconds, less than {least}");
                found.push((place(header, "add_header".len()), message));
            }
        }
        for location in server.children.iter().filter(|child| child.name() == "location") {
            let header = location.children.iter().find(|child| child.adds(None));
            if let Some(header) = header.filter(|_| !location.adds_here(Some(HSTS)) && !location.includes() && location.serves()) {
                let path = location.words.last().copied().unwrap_or_default();
                let message = format!("location `{}` adds a header and so drops the server's `Strict-Transport-Security`", shorten(path));
                found.push((place(header, header.name().len()), message));
            }
        }
    }
    for (span, message) in found {
        run.report(span, artifact.object_at(scalar, ""), message);
    }
}

/// Entry points of Traefik on port 80 without a redirection, beside one on port 443.
fn traefik_configuration(run: &mut Run<'_, '_>) {
    let mut found = Vec::new();
    for inner in run.file.embedded() {
        for document in &inner.parsed.documents {
            let entries = || document.root().get("entryPoints").into_iter().flat_map(Node::entries);
            if !entries().any(|(_, entry)| entry.text_of("address").is_some_and(|address| is_port(address, "443"))) {
                continue;
            }
            for (key, entry) in entries() {
                let plain = entry.text_of("address").is_some_and(|address| is_port(address, "80"));
                if plain && entry.at_path(&["http", "redirections"]).is_none() {
                    found.push((inner.outer(key.span()), inner.object.clone(), shorten(key.text().unwrap_or_default())));
                }
            }
        }
    }
    for (span, object, name) in found {
        run.report(span, object, format!("entry point `{name}` of Traefik serves port 80 without a redirection to HTTPS"));
    }
}

fn is_port(address: &str, port: &str) -> bool {
    let address = address.split('/').next().unwrap_or(address);
    address.rsplit_once(':').is_some_and(|(_, found)| found == port)
}

/// The same as options of the container.
fn traefik_arguments<'d>(run: &mut Run<'_, 'd>, artifact: &Artifact<'d>) {
    for place in artifact.targets(TargetKind::Container) {
        let own =
            || artifact.variables.iter().filter(|variable| variable.placement == Placement::Argument && variable.container == place.name());
        // Names of options are read without regard to case.
        let entry = |name: &str| {
            let lower = name.to_ascii_lowercase();
            let (name, rest) =
                lower.strip_prefix("entrypoints.")?.split_once('.').map(|(name, rest)| (name.to_owned(), rest.to_owned()))?;
            Some((name, rest))
        };
        if !own().any(|variable| entry(&variable.name).is_some_and(|(_, rest)| rest == "address") && is_port(&variable.value, "443")) {
            continue;
        }
        for variable in own() {
            let Some((name, _)) = entry(&variable.name).filter(|(_, rest)| rest == "address" && is_port(&variable.value, "80")) else {
                continue;
            };
            let redirected =
                own().any(|other| entry(&other.name).is_some_and(|(other, rest)| other == name && rest.starts_with("http.redirections")));
            if !redirected {
                let message = format!("entry point `{name}` of Traefik serves port 80 without a redirection to HTTPS");
                run.report(variable.span, artifact.object_at(variable.node, place.name()), message);
            }
        }
    }
}

/// Reports `insecure_skip_verify` of scrape and client configurations; of kubelets, whose certificates are self-signed
/// by default, mildly.
pub(crate) fn scrape_verification_disabled(run: &mut Run<'_, '_>) {
    for artifact in run.file.artifacts {
        let judges = run.judges(artifact);
        for variable in artifact.variables.iter().filter(|variable| variable.scope != PathScope::Development) {
            let name = variable.name.as_ref();
            let named = name == "insecure_skip_verify"
                || name.eq_ignore_ascii_case("insecureskipverify") && variable.placement != Placement::Setting;
            let placed = matches!(variable.placement, Placement::Embedded | Placement::HelmValue | Placement::Setting);
            let on = matches!(variable.value.to_ascii_lowercase().as_str(), "true" | "1" | "yes" | "on");
            if !named || !placed || !on || !judges && variable.placement != Placement::Embedded {
                continue;
            }
            let kubelet = match variable.placement {
                Placement::Embedded => is_kubelet_job(
                    run.file.source.slice(variable.node.value_span()),
                    variable.span.start.saturating_sub(variable.node.value_span().start),
                ),
                _ => std::iter::successors(Some(variable.node), |node| node.parent()).any(is_of_kubelet),
            };
            let object = artifact.object_at(variable.node, variable.container);
            let message = if kubelet {
                "kubelet certificates are not verified".to_owned()
            } else {
                format!("`{name}` switches certificate verification off")
            };
            let draft = run.report(variable.span, object, message);
            draft.severity = if kubelet { Severity::Low } else { Severity::Medium };
            draft.confidence = Confidence::Medium;
        }
    }
}

fn names_kubelet(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    ["kubelet", "cadvisor", "kubernetes-nodes", "kube-nodes"].iter().any(|word| lower.contains(word))
}

/// Whether a mapping is a scrape of kubelets, by its key, its name or what it discovers.
fn is_of_kubelet(node: Node<'_>) -> bool {
    node.key_text().is_some_and(names_kubelet)
        || node.text_of("job_name").is_some_and(names_kubelet)
        || node.get("kubernetes_sd_configs").into_iter().flat_map(Node::items).any(|discovery| discovery.text_of("role") == Some("node"))
}

/// The same for a text: the item of a list that holds the offset at the least indentation below its job's name.
fn is_kubelet_job(text: &str, offset: u32) -> bool {
    let offset = offset as usize;
    let starts: Vec<usize> = text.match_indices("job_name").map(|(at, _)| at).collect();
    // Keys may be sorted, so that the name stands behind; jobs begin at a dash of the same indentation.
    let line_start = |at: usize| text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
    let dash = starts.iter().find_map(|&at| text.get(line_start(at)..at).filter(|lead| lead.trim() == "-").map(str::len));
    let Some(indent) = dash.map(|width| width.saturating_sub(2)) else { return false };
    let begins_item = |line: &str| {
        line.len() > indent && line.bytes().take(indent).all(|byte| byte == b' ') && line.as_bytes().get(indent) == Some(&b'-')
    };
    let mut item = String::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if begins_item(line) {
            if at > offset {
                break;
            }
            item.clear();
        }
        item.push_str(line);
        at += line.len();
    }
    item.lines().any(|line| line.contains("job_name") && names_kubelet(line) || line.trim().trim_start_matches("- ") == "role: node")
}

/// Annotations that show that TLS ends elsewhere than by `spec.tls`, where they are set to anything but false.
const ENDS_TLS: &[&str] = &[
    "alb.ingress.kubernetes.io/certificate-arn",
    "service.beta.kubernetes.io/aws-load-balancer-ssl-cert",
    "networking.gke.io/managed-certificates",
    "networking.gke.io/certmap",
    "ingress.gcp.kubernetes.io/pre-shared-cert",
    "appgw.ingress.kubernetes.io/appgw-ssl-certificate",
    "traefik.ingress.kubernetes.io/router.tls",
    "traefik.ingress.kubernetes.io/router.tls.certresolver",
    "route.openshift.io/termination",
    "nginx.ingress.kubernetes.io/ssl-passthrough",
    "haproxy.org/ssl-passthrough",
    "external-dns.alpha.kubernetes.io/cloudflare-proxied",
];

/// Reports hosts of an Ingress that no certificate covers.
pub(crate) fn ingress_without_tls(run: &mut Run<'_, '_>) {
    for artifact in run.file.artifacts {
        match artifact.kind {
            ArtifactKind::Kubernetes if artifact.object.kind == "Ingress" => {
                for place in artifact
                    .targets(TargetKind::Object)
                    .filter(|place| place.complete && matches!(place.group, "networking.k8s.io" | "extensions"))
                {
                    ingress(run, place);
                }
            }
            ArtifactKind::HelmValues if artifact.complete => values(run, artifact),
            _ => {}
        }
    }
}

/// Whether TLS ends before the controller or by other means than `spec.tls`.
fn ends_elsewhere(class: &str, annotations: Option<Node<'_>>) -> bool {
    let text = |name: &str| annotations.and_then(|annotations| annotations.text_of(name)).unwrap_or_default();
    let class = if class.is_empty() { text("kubernetes.io/ingress.class") } else { class };
    let points = text("traefik.ingress.kubernetes.io/router.entrypoints");
    ["tailscale", "tunnel", "ngrok"].iter().any(|word| class.contains(word))
        || ENDS_TLS.iter().any(|name| !matches!(text(name), "" | "false"))
        || text("alb.ingress.kubernetes.io/listen-ports").contains("HTTPS")
        || text("external-dns.alpha.kubernetes.io/target").ends_with(".cfargotunnel.com")
        // Traefik's secure entry point carries its own TLS.
        || !points.is_empty() && points.split(',').all(|point| point.trim().contains("secure") || point.trim() == "https")
}

fn ingress<'d>(run: &mut Run<'_, 'd>, place: &Place<'d>) {
    let root = place.node;
    let Some(spec) = root.get("spec") else { return };
    let solver = root.at_path(&["metadata", "labels", "acme.cert-manager.io/http01-solver"]).is_some()
        || place.object.name.starts_with("cm-acme-http-solver");
    if solver || ends_elsewhere(spec.text_of("ingressClassName").unwrap_or_default(), root.at_path(&["metadata", "annotations"])) {
        return;
    }
    let entries = || spec.get("tls").into_iter().flat_map(Node::items);
    // An entry without hosts covers every host.
    if entries().any(|entry| entry.get("hosts").is_none_or(|hosts| hosts.items().next().is_none())) {
        return;
    }
    let covered: Vec<&str> = entries().filter_map(|entry| entry.get("hosts")).flat_map(Node::items).filter_map(Node::text).collect();
    let mut rules = spec.get("rules").into_iter().flat_map(Node::items).peekable();
    if rules.peek().is_none() {
        if let Some(backend) = ["defaultBackend", "backend"].iter().find_map(|key| spec.get(key)).filter(|_| covered.is_empty()) {
            run.report_at(place, backend, format!("Ingress `{}` serves every host without TLS", place.name()));
        }
        return;
    }
    for rule in rules {
        match rule.get("host").filter(|host| !host.is_null() && host.text() != Some("")) {
            Some(node) => {
                let Some(host) = node.text().filter(|host| !is_covered(host, &covered)) else { continue };
                if !is_internal_host(host) {
                    run.report_at(place, node, format!("host `{}` is served without TLS", shorten(host)));
                }
            }
            None => {
                run.report_at(place, rule, format!("Ingress `{}` has a rule for every host, which no `tls` entry covers", place.name()));
            }
        }
    }
}

/// Whether a host is in the list, wildcards standing for one label.
pub(super) fn is_covered(host: &str, covered: &[&str]) -> bool {
    covered.iter().any(|known| {
        known.eq_ignore_ascii_case(host)
            || known.strip_prefix("*.").is_some_and(|domain| {
                host.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest.eq_ignore_ascii_case(domain))
            })
    })
}

/// An enabled ingress in the values of an environment, with hosts and an empty list of certificates.
fn values<'d>(run: &mut Run<'_, 'd>, artifact: &Artifact<'d>) {
    for holder in mappings_with(artifact.root, &["tls"]) {
        let empty = holder.get("tls").is_some_and(|tls| tls.is_sequence() && tls.items().next().is_none());
        let named = holder.key_text().is_some_and(|key| key.to_ascii_lowercase().ends_with("ingress"));
        if !empty || !named || holder.get("enabled").and_then(Node::as_bool) != Some(true) {
            continue;
        }
        let class = ["className", "ingressClassName", "class"].iter().find_map(|key| holder.text_of(key)).unwrap_or_default();
        if ends_elsewhere(class, holder.get("annotations")) {
            continue;
        }
        for item in holder.get("hosts").into_iter().flat_map(Node::items) {
            let Some(node) = item.get("host").or_else(|| item.get("name")).or_else(|| item.is_scalar().then_some(item)) else { continue };
            let Some(host) = node.text().filter(|host| !host.is_empty() && !host.contains(['{', '$']) && !is_internal_host(host)) else {
                continue;
            };
            run.report(node.place(), artifact.object_at(node, ""), format!("host `{}` is served without TLS", shorten(host)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nginx_is_read_by_directives() {
        let text = "# a { b\nmap $a $b { default 1; }\nserver { listen 80; set $x \"}\"; location ~ ${re} { return 301 https://$host; } }";
        let level = read_nginx(text).unwrap_or_default();
        assert_eq!(level.iter().map(Directive::name).collect::<Vec<_>>(), ["map", "server"]);
        assert!(level.iter().any(|directive| directive.any(&Directive::redirects)));
        assert!(read_nginx("server { listen 80;").is_none());
        assert!(read_nginx("} server {").is_none());
    }

    #[test]
    fn jobs_of_kubelets_are_known() {
        let text = "scrape_configs:\n  - job_name: a\n    tls_config:\n      insecure_skip_verify: true\n  - job_name: b\n    kubernetes_sd_configs:\n      - role: node\n    tls_config:\n      insecure_skip_verify: true\n";
        let places: Vec<u32> = text.match_indices("insecure").map(|(at, _)| at as u32).collect();
        assert_eq!(places.into_iter().map(|at| is_kubelet_job(text, at)).collect::<Vec<_>>(), [false, true]);
    }

    #[test]
    fn wildcards_cover_one_label() {
        assert!(is_covered("a.example.com", &["*.example.com"]));
        assert!(!is_covered("a.b.example.com", &["*.example.com"]));
        assert!(!is_covered("example.com", &["*.example.com"]));
    }
}
