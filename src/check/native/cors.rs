//! Native checks of pack cors.

use std::collections::{BTreeMap, HashSet};
use std::sync::OnceLock;

use regex::Regex;

use crate::artifact::{Artifact, PathScope, Placement, TargetKind, Variable};
use crate::check::Run;
use crate::rule::ArtifactKind;
use crate::source::Span;
use crate::syntax::Node;

const ENABLE: &str = "nginx.ingress.kubernetes.io/enable-cors";
const ORIGIN: &str = "nginx.ingress.kubernetes.io/cors-allow-origin";
const CREDENTIALS: &str = "nginx.ingress.kubernetes.io/cors-allow-credentials";

/// Reports credentials that are allowed together with any origin.
pub(crate) fn wildcard_origin_with_credentials(run: &mut Run<'_, '_>) {
    for artifact in run.file.artifacts {
        if artifact.kind == ArtifactKind::Kubernetes {
            objects(run, artifact);
        }
        blocks(run, artifact);
    }
}

/// Reports the origin `null` where credentials are not allowed too, which the rule about them reports.
pub(crate) fn null_origin_allowed(run: &mut Run<'_, '_>) {
    for artifact in run.file.artifacts {
        if artifact.kind == ArtifactKind::Kubernetes && run.judges(artifact) {
            null_in_policies(run, artifact);
        }
        let asked = || artifact.variables.iter().filter(|variable| variable.scope != PathScope::Development);
        let place = |variable: &Variable<'_>| (variable.placement == Placement::Embedded, block(variable));
        let trusted: HashSet<(bool, u32)> = asked()
            .filter(|variable| (asks(&variable.name, "credential") || variable.name == CREDENTIALS) && is_true(&variable.value))
            .map(place)
            .collect();
        for variable in asked() {
            let judged = variable.placement == Placement::Embedded || run.judges(artifact);
            // A null without quotes is no value at all; in the list of a shell or of Compose it is text.
            let unset = variable.node.is_null() && variable.node.text() == Some(&*variable.value);
            let named = asks(&variable.name, "origin") || variable.name.eq_ignore_ascii_case("origins");
            if judged && named && !unset && !trusted.contains(&place(variable)) && lists_null(&variable.value) {
                let object = artifact.object_at(variable.node, variable.container);
                run.report(variable.span, object, format!("`{}` allows the origin `null`", variable.name));
            }
        }
    }
}

fn lists_null(value: &str) -> bool {
    value.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '[' | ']' | '"' | '\'')).any(|item| item == "null")
}

/// The origin `null` in the lists of Istio and the Gateway API.
fn null_in_policies<'d>(run: &mut Run<'_, 'd>, artifact: &Artifact<'d>) {
    let Some(place) = artifact.targets(TargetKind::Object).next().filter(|place| place.scope != PathScope::Development) else { return };
    let items = |node: Option<Node<'d>>| node.into_iter().flat_map(Node::items);
    let spec = |list: &str| items(artifact.root.at_path(&["spec", list]));
    let policies: Vec<Node<'d>> = match artifact.object.kind.as_str() {
        "VirtualService" => spec("http").filter_map(|route| route.get("corsPolicy")).collect(),
        "HTTPRoute" => spec("rules").flat_map(|rule| items(rule.get("filters"))).filter_map(|filter| filter.get("cors")).collect(),
        _ => return,
    };
    for policy in policies.into_iter().filter(|policy| policy.get("allowCredentials").and_then(Node::as_bool) != Some(true)) {
        let origins = items(policy.get("allowOrigins")).chain(items(policy.get("allowOrigin")));
        for origin in origins.filter_map(|origin| if origin.is_scalar() { Some(origin) } else { origin.get("exact") }) {
            if !origin.is_null() && origin.text() == Some("null") {
                run.report_at(place, origin, format!("{} `{}` allows the origin `null`", place.object.kind, place.name()));
            }
        }
    }
}

/// Reports regular expressions for origins that match hosts of others.
pub(crate) fn origin_pattern_unanchored(run: &mut Run<'_, '_>) {
    for artifact in run.file.artifacts {
        let mut texts: Vec<Node<'_>> = Vec::new();
        for variable in artifact.variables.iter().filter(|variable| variable.scope != PathScope::Development) {
            let embedded = variable.placement == Placement::Embedded;
            if !embedded && !run.judges(artifact) {
                continue;
            }
            if embedded && texts.last().is_none_or(|last| last.id != variable.node.id) {
                texts.push(variable.node);
            }
            if let Some(fault) = names_pattern(&variable.name).then(|| pattern_fault(&variable.value)).flatten() {
                let object = artifact.object_at(variable.node, variable.container);
                run.report(variable.span, object, format!("the pattern of `{}` {fault}", variable.name));
            }
        }
        for node in texts {
            let whole = node.value_span();
            for (start, pattern) in nginx_patterns(run.file.source.slice(whole)) {
                if let Some(fault) = pattern_fault(pattern) {
                    let start = whole.start as usize + start;
                    let span = Span::new(start, start + pattern.len());
                    run.report(span, artifact.object_at(node, ""), format!("the pattern for `$http_origin` {fault}"));
                }
            }
        }
    }
}

fn names_pattern(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    lower.contains("origin") && ["regex", "pattern", "regexp"].iter().any(|word| lower.contains(word)) && !lower.contains("csrf")
}

/// What `if ($http_origin ~* …)` and `map $http_origin … { ~… }` compare with, and where it stands.
fn nginx_patterns(text: &str) -> Vec<(usize, &str)> {
    static IF: OnceLock<Option<Regex>> = OnceLock::new();
    static ITEM: OnceLock<Option<Regex>> = OnceLock::new();
    let condition =
        IF.get_or_init(|| Regex::new(r#"\$http_origin\s+~\*?\s*(?:"([^"\n]+)"|'([^'\n]+)'|([^\s"'{]+?))\s*\)\s*(?:\{|$)"#).ok());
    let item = ITEM.get_or_init(|| Regex::new(r#"(?m)^\s*(?:"~\*?([^"\n]+)"|'~\*?([^'\n]+)'|~\*?([^\s"']+))\s"#).ok());
    if !text.contains("$http_origin") {
        return Vec::new();
    }
    let mut found = Vec::new();
    let group = |captures: &regex::Captures<'_>| (1..=3).find_map(|group| captures.get(group)).map(|part| part.range());
    found.extend(condition.iter().flat_map(|regex| regex.captures_iter(text)).filter_map(|captures| group(&captures)));
    for (at, _) in text.match_indices("map $http_origin") {
        let end = text.get(at..).and_then(|rest| rest.find('}')).map_or(text.len(), |end| at + end);
        let body = text.get(at..end).unwrap_or_default();
        let ranges = item.iter().flat_map(|regex| regex.captures_iter(body)).filter_map(|captures| group(&captures));
        found.extend(ranges.map(|range| range.start + at..range.end + at));
    }
    found.into_iter().filter_map(|range| Some((range.start, text.get(range)?))).collect()
}

/// How a regular expression for origins lets hosts of others in. An origin ends behind its host and port, and its
/// scheme stands nowhere else in it, so a pattern that begins with the scheme needs no `^`.
fn pattern_fault(pattern: &str) -> Option<&'static str> {
    let pattern = pattern.trim().trim_matches(['"', '\'']);
    let pattern = pattern.strip_prefix('/').map_or(pattern, |rest| rest.rsplit_once('/').map_or(rest, |(body, _)| body));
    if is_open(pattern) || !pattern.contains('.') || pattern.contains(['{', ',', ' ']) && !pattern.contains('\\') || pattern.contains("${")
    {
        return None;
    }
    if !pattern.bytes().any(|byte| byte.is_ascii_alphabetic()) {
        return None;
    }
    let mut outer = pattern;
    while let Some(inner) = outer.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        outer = inner;
    }
    if !outer.ends_with('$') && !["\\z", "\\Z", "$)"].iter().any(|end| outer.ends_with(end)) {
        return Some("has no `$` at its end, so it matches longer hosts too");
    }
    let bare = outer
        .strip_prefix("(?")
        .and_then(|rest| rest.split_once(')'))
        .filter(|(flags, _)| flags.bytes().all(|byte| byte.is_ascii_lowercase()));
    let start = bare.map_or(outer, |(_, rest)| rest).trim_start_matches(['(', '?', ':']);
    let scheme = ["http", "^", "\\A", "\\.", ".*\\.", ".+\\."].iter().any(|begin| start.starts_with(begin));
    if !scheme && !outer.contains("://") && !outer.contains(":\\/\\/") {
        return Some("has no `^` at its start, so it matches the end of longer hosts");
    }
    bare_dot(outer).then_some("has a dot without a backslash, which stands for any character")
}

/// A dot between letters or digits that nothing escapes.
fn bare_dot(pattern: &str) -> bool {
    let bytes = pattern.as_bytes();
    let is_word = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let mut class = false;
    let mut escaped = false;
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'[' => class = true,
            b']' => class = false,
            b'.' if !class && is_word(bytes.get(at + 1)) && at.checked_sub(1).is_some_and(|before| is_word(bytes.get(before))) => {
                return true;
            }
            _ => {}
        }
    }
    false
}

/// A wildcard, `null`, or a pattern that matches everything, alone or in a list.
fn is_open(value: &str) -> bool {
    let items = value.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '[' | ']' | '"' | '\''));
    let mut open = false;
    for item in items {
        let item = item.trim_start_matches('^').trim_end_matches('$');
        open |= matches!(item, "*" | ".*" | ".+" | "null" | "http://*" | "https://*" | "https?://.*" | "https?://.+");
    }
    open
}

/// An nginx header that echoes the origin of the request.
fn is_reflected(value: &str) -> bool {
    let value = value.trim_matches(['"', '\'']);
    matches!(value, "$http_origin" | "${http_origin}")
}

pub(super) fn is_true(value: &str) -> bool {
    matches!(value.trim().to_ascii_lowercase().as_str(), "true" | "1" | "yes" | "on")
}

/// What stands together: one environment, one mapping, one nginx block.
fn block(variable: &Variable<'_>) -> u32 {
    if matches!(
        variable.placement,
        Placement::Embedded | Placement::ContainerEnv | Placement::ComposeEnvironment | Placement::Dotenv | Placement::WranglerVar
    ) {
        return variable.block;
    }
    let mut node = variable.node;
    // The items of a list, and the `value` beside a `name`, stand where the list stands.
    if node.key_text() == Some("value") {
        node = node.parent().unwrap_or(node);
    }
    while let Some(list) = node.parent().filter(|parent| parent.is_sequence()) {
        node = list;
    }
    node.parent().map_or(0, |parent| parent.span().start)
}

/// What a name asks about across origins, in any of its spellings.
fn asks(name: &str, what: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    lower.contains(what)
        && !lower.contains("csrf")
        && ["cors", "access-control", "access_control", "accesscontrol", "allow"].iter().any(|word| lower.contains(word))
}

fn blocks<'d>(run: &mut Run<'_, 'd>, artifact: &Artifact<'d>) {
    let mut credentials = Vec::new();
    let mut open: BTreeMap<(bool, u32), Span> = BTreeMap::new();
    let mut ingress: BTreeMap<u32, [Option<&Variable<'d>>; 3]> = BTreeMap::new();
    let judges = run.judges(artifact);
    for variable in artifact.variables.iter().filter(|variable| variable.scope != PathScope::Development) {
        let embedded = variable.placement == Placement::Embedded;
        if !embedded && !judges {
            continue;
        }
        if let Some(index) = [ENABLE, ORIGIN, CREDENTIALS].iter().position(|name| *name == variable.name) {
            if let Some(slot) = ingress.entry(block(variable)).or_default().get_mut(index) {
                *slot = Some(variable);
            }
            continue;
        }
        let is_origin =
            asks(&variable.name, "origin") && (is_open(&variable.value) || is_reflected(&variable.value) && !is_guarded(run, variable));
        if is_origin {
            open.insert((embedded, block(variable)), variable.span);
        } else if asks(&variable.name, "credential") && is_true(&variable.value) {
            credentials.push(variable);
        }
    }
    for variable in credentials {
        let embedded = variable.placement == Placement::Embedded;
        if open.contains_key(&(embedded, block(variable))) {
            let object = artifact.object_at(variable.node, variable.container);
            run.report(variable.span, object, format!("`{}` allows credentials while any origin is allowed", variable.name));
        }
    }
    for [enable, origin, credentials] in ingress.into_values() {
        let Some(enable) = enable.filter(|enable| is_true(&enable.value)) else { continue };
        // Both the origin `*` and credentials are the defaults of ingress-nginx.
        let open = origin.is_none_or(|origin| is_open(&origin.value));
        if open && credentials.is_none_or(|credentials| is_true(&credentials.value)) {
            let at = credentials.unwrap_or(enable);
            let how = match (origin, credentials) {
                (None, None) => "answers every origin with credentials, both by default",
                (None, Some(_)) => "answers every origin, by default, with credentials",
                (Some(_), None) => "answers every origin, and with credentials by default",
                (Some(_), Some(_)) => "answers every origin with credentials",
            };
            let message = format!("the Ingress {how}");
            run.report(at.span, artifact.object_at(at.node, ""), message);
        }
    }
}

/// Whether an nginx header stands in a block that is entered only for some origins.
fn is_guarded(run: &Run<'_, '_>, variable: &Variable<'_>) -> bool {
    let whole = variable.node.value_span();
    let before = run.file.source.slice(Span { start: whole.start, end: variable.span.start });
    let mut depth = 0_u32;
    for line in before.lines().rev() {
        let line = line.trim();
        if line.starts_with('}') {
            depth += 1;
        }
        if line.ends_with('{') {
            if depth == 0 && line.starts_with("if") {
                return true;
            }
            depth = depth.saturating_sub(1);
        }
    }
    false
}

/// Policies of custom resources: Istio, Traefik, Gateway API.
fn objects<'d>(run: &mut Run<'_, 'd>, artifact: &Artifact<'d>) {
    let Some(place) = artifact.targets(TargetKind::Object).next().filter(|place| place.scope != PathScope::Development) else { return };
    let Some(spec) = artifact.root.get("spec") else { return };
    let rules = |list: &str| spec.get(list).into_iter().flat_map(Node::items);
    let any_item = |list: Option<Node<'d>>, keys: &[&str]| {
        list.into_iter().flat_map(Node::items).any(|item| {
            let texts = item.text().into_iter().chain(keys.iter().filter_map(|key| item.text_of(key)));
            texts.into_iter().any(is_open)
        })
    };
    let policies: Vec<(Option<Node<'d>>, bool)> = match artifact.object.kind.as_str() {
        "VirtualService" => rules("http")
            .filter_map(|route| route.get("corsPolicy"))
            .map(|policy| {
                (
                    policy.get("allowCredentials"),
                    any_item(policy.get("allowOrigins"), &["exact", "regex"]) || any_item(policy.get("allowOrigin"), &[]),
                )
            })
            .collect(),
        "HTTPRoute" => rules("rules")
            .flat_map(|rule| rule.get("filters").into_iter().flat_map(Node::items))
            .filter_map(|filter| filter.get("cors"))
            .map(|policy| (policy.get("allowCredentials"), any_item(policy.get("allowOrigins"), &[])))
            .collect(),
        _ => return,
    };
    for (credentials, open) in policies {
        if let Some(node) = credentials.filter(|node| open && node.as_bool() == Some(true)) {
            run.report_at(place, node, format!("{} `{}` allows credentials while any origin is allowed", place.object.kind, place.name()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_for_origins() {
        for pattern in [
            r"^https://[a-z]+\.example\.com$",
            r"https?://.*\.example\.com$",
            r"\.example\.com$",
            r"^https://(a|b)\.example\.com(:\d+)?$",
            r"(^https://example\.com$)",
            "/^https:\\/\\/example\\.com$/i",
            ".*",
            r"(?i)^https://app\.example\.com$",
            r"[a-z]+://.*\.example\.com$",
            "https://app.example.com,https://b.example.com",
        ] {
            assert_eq!(pattern_fault(pattern), None, "{pattern}");
        }
        for (pattern, word) in [
            (r"^https://.*\.example\.com", "`$`"),
            (r"example\.com$", "`^`"),
            (r"^https://app.example\.com$", "dot"),
            (r"(https?://.*\.example\.com)", "`$`"),
        ] {
            assert!(pattern_fault(pattern).is_some_and(|fault| fault.contains(word)), "{pattern}");
        }
    }

    #[test]
    fn patterns_of_nginx() {
        let text = "if ($http_origin ~* (https?://.*\\.a\\.com)) {\n}\nmap $http_origin $cors {\n  default 0;\n  \"~^https://b\\.com$\" 1;\n  ~*c\\.com 1;\n}";
        let found: Vec<&str> = nginx_patterns(text).into_iter().map(|(_, pattern)| pattern).collect();
        assert_eq!(found, ["(https?://.*\\.a\\.com)", "^https://b\\.com$", "c\\.com"]);
    }
}
