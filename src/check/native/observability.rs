//! Native checks of packs observability and rate-limits.

use super::cors::is_true;
use super::datastores::{judges, span_of};
use crate::artifact::{Artifact, PathScope, Place, Placement, TargetKind, Variable};
use crate::check::Run;
use crate::rule::ArtifactKind;
use crate::secret::Verdict;
use crate::syntax::Node;

/// Whether an image is Grafana itself.
fn is_grafana(image: &str) -> bool {
    let name = image.split_once('@').map_or(image, |(name, _)| name);
    let mut parts = name.rsplit('/');
    let last = parts.next().unwrap_or_default().split(':').next().unwrap_or_default();
    matches!(last, "grafana" | "grafana-oss" | "grafana-enterprise") && parts.next().is_none_or(|account| account.contains("grafana"))
}

/// Whether a value is filled in elsewhere.
fn is_open(value: &str) -> bool {
    ["${", "$(", "{{", "$__", "<"].iter().any(|mark| value.contains(mark)) || value.starts_with('$')
}

fn judged<'a, 'd>(run: &Run<'_, '_>, artifact: &'a Artifact<'d>) -> Vec<&'a Variable<'d>> {
    artifact.variables.iter().filter(|variable| judges(run, artifact, variable)).collect()
}

/// The literal variables of a service or container.
fn own<'a, 'd>(artifact: &'a Artifact<'d>, place: &'a Place<'d>) -> impl Iterator<Item = &'a Variable<'d>> {
    let placement = if place.kind == TargetKind::Service { Placement::ComposeEnvironment } else { Placement::ContainerEnv };
    artifact.variables.iter().filter(move |variable| variable.placement == placement && variable.container == place.name())
}

/// Whether the environment of a service or container sets a variable, whatever to, or may do so.
fn may_set(place: &Place<'_>, names: &[&str]) -> bool {
    if place.get(&["env_file"]).is_some() || place.get(&["envFrom"]).is_some() {
        return true;
    }
    let listed = |list: Node<'_>| {
        list.items().any(|item| {
            let name = item.text_of("name").or_else(|| item.text().map(|text| text.split('=').next().unwrap_or(text)));
            name.is_some_and(|name| names.contains(&name.trim()))
        })
    };
    [place.get(&["env"]), place.get(&["environment"])]
        .into_iter()
        .flatten()
        .any(|list| listed(list) || list.entries().iter().any(|(key, _)| key.text().is_some_and(|key| names.contains(&key))))
}

/// Whether a configuration of its own is mounted or named.
fn has_config(place: &Place<'_>) -> bool {
    let mounts = ["volumeMounts", "volumes", "configs"].iter().filter_map(|key| place.get(&[key])).flat_map(Node::items);
    let config =
        |path: &str| path.contains("grafana.ini") || path.contains("custom.ini") || path.trim_end_matches('/').ends_with("/etc/grafana");
    let mounted = mounts.into_iter().any(|mount| {
        let paths = [mount.text(), mount.text_of("mountPath"), mount.text_of("target"), mount.text_of("subPath")];
        paths.into_iter().flatten().any(|path| path.split(':').any(config))
    });
    mounted
        || ["command", "args", "entrypoint"].iter().filter_map(|key| place.get(&[key])).any(|list| {
            list.resolved().values().iter().any(|word| word.text().is_some_and(|text| text.contains("config") || text.contains("cfg:")))
        })
}

/// Reports Grafana whose admin has no password of its own, a short one, or is everybody.
pub(crate) fn grafana_default_admin(run: &mut Run<'_, '_>) {
    const PASSWORD: &[&str] =
        &["GF_SECURITY_ADMIN_PASSWORD", "GF_SECURITY_ADMIN_PASSWORD__FILE", "GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"];
    let least = run.active.number("min-length").unwrap_or(12.0);
    for artifact in run.file.artifacts.iter().filter(|artifact| artifact.scope != PathScope::Development) {
        if run.judges(artifact) {
            for place in artifact.places.iter().filter(|place| {
                matches!(place.kind, TargetKind::Service | TargetKind::Container) && is_grafana(place.image) && place.complete
            }) {
                let set = |name: &str| own(artifact, place).any(|variable| variable.name == name && is_true(&variable.value));
                let single_sign_on = set("GF_AUTH_DISABLE_LOGIN_FORM") || set("GF_AUTH_PROXY_ENABLED");
                if !single_sign_on && !may_set(place, PASSWORD) && !has_config(place) {
                    let at = place.node.get("image").unwrap_or(place.node);
                    run.report_at(place, at, format!("the admin password of Grafana in `{}` is unset, so it is `admin`", place.name()));
                }
            }
        }
        for variable in judged(run, artifact) {
            let everybody = match &*variable.name {
                "GF_AUTH_ANONYMOUS_ORG_ROLE" => {
                    let same = |other: &&Variable<'_>| other.block == variable.block && other.name == "GF_AUTH_ANONYMOUS_ENABLED";
                    artifact.variables.iter().filter(same).any(|other| is_true(&other.value))
                }
                "org_role" => {
                    variable.placement == Placement::Embedded
                        || variable.node.parent().is_some_and(|parent| {
                            parent.key_text() == Some("auth.anonymous")
                                && parent.get("enabled").is_some_and(|enabled| enabled.text() == Some("true"))
                        })
                }
                _ => false,
            };
            if everybody && variable.value.trim() == "Admin" && (variable.placement != Placement::Embedded || anonymous_block(variable)) {
                let object = artifact.object_at(variable.node, variable.container);
                run.report(span_of(variable), object, "Grafana makes everyone who opens it an admin");
                continue;
            }
            let of_grafana = match &*variable.name {
                "GF_SECURITY_ADMIN_PASSWORD" => true,
                "admin_password" => variable.node.key_text().is_some_and(|key| key == "grafana.ini"),
                "adminPassword" => {
                    let under = variable.node.keys().contains(&"grafana");
                    artifact.kind == ArtifactKind::HelmValues && (under || run.file.source.path.to_ascii_lowercase().contains("grafana"))
                }
                _ => false,
            };
            let length = variable.value.trim().chars().count();
            // A published default is the finding of another rule.
            let published = matches!(variable.verdict.get().copied().flatten(), Some(Verdict::Default));
            if of_grafana && length > 0 && (length as f64) < least && !published && !is_open(&variable.value) {
                let object = artifact.object_at(variable.node, variable.container);
                run.report(span_of(variable), object, format!("the admin password of Grafana has fewer than {least} characters"));
            }
        }
    }
}

/// Whether a line stands in a section `[auth.anonymous]` that is enabled.
fn anonymous_block(variable: &Variable<'_>) -> bool {
    let text = &variable.node.doc.source.text;
    let Some(section) = text.get(..variable.span.start as usize).and_then(|before| before.rfind("[auth.anonymous]")) else { return false };
    let body = text.get(section + 1..).unwrap_or_default();
    let body = body.get(..body.find("\n[").or_else(|| body.find(" [")).unwrap_or(body.len())).unwrap_or(body);
    let end = section + 1 + body.len();
    (variable.span.start as usize) < end
        && body.lines().any(|line| {
            line.trim()
                .strip_prefix("enabled")
                .is_some_and(|rest| rest.trim_start().strip_prefix('=').is_some_and(|value| value.trim() == "true"))
        })
}

/// Words of a name, cut at signs and at capitals: `rateLimitMax`, `RATE_LIMIT_MAX`.
fn words(name: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut small = false;
    for character in name.chars() {
        if character.is_ascii_alphanumeric() {
            if character.is_ascii_uppercase() && small || out.is_empty() {
                out.push(String::new());
            }
            if let Some(last) = out.last_mut() {
                last.push(character.to_ascii_lowercase());
            }
        } else {
            out.push(String::new());
        }
        small = character.is_ascii_lowercase() || character.is_ascii_digit();
    }
    out.retain(|word| !word.is_empty());
    out
}

/// What a variable says of a rate limit.
#[derive(PartialEq, Eq)]
enum Limit {
    /// Switches it on.
    Switch,
    /// Switches it off.
    Negated,
    Number,
}

fn limit(name: &str) -> Option<Limit> {
    let words = words(name);
    let has = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
    let pair =
        |one: &str, other: &str| words.windows(2).any(|pair| matches!(pair, [first, second] if first == one && second.starts_with(other)));
    let rate = pair("rate", "limit") || has(&["ratelimit", "ratelimiting", "ratelimiter", "throttle", "throttling", "throttler"]);
    let other = &[
        "window",
        "ttl",
        "interval",
        "duration",
        "period",
        "delay",
        "redis",
        "db",
        "database",
        "port",
        "host",
        "url",
        "store",
        "storage",
        "prefix",
        "message",
        "status",
        "log",
        "logging",
        "header",
        "headers",
        "retry",
        "retries",
        "ms",
        "seconds",
        "bytes",
        "ips",
        "whitelist",
        "allowlist",
        "exempt",
        "code",
        "dry",
        "jitter",
        "cpu",
        "debug",
        "timeout",
        "proxy",
        "trust",
        "ban",
        "block",
        "namespace",
        "replicas",
        "count",
        "index",
    ];
    if !rate || has(other) {
        return None;
    }
    if has(&["disable", "disabled", "skip", "bypass", "off"]) || words.first().is_some_and(|word| word == "no") {
        return Some(Limit::Negated);
    }
    let last = words.last().map_or("", String::as_str);
    if has(&["enable", "enabled", "active", "on", "use"]) {
        return Some(Limit::Switch);
    }
    let number = [
        "max",
        "limit",
        "limits",
        "requests",
        "rpm",
        "rps",
        "rate",
        "points",
        "burst",
        "minute",
        "second",
        "hour",
        "day",
        "ratelimit",
        "throttle",
    ];
    if number.contains(&last) {
        Some(Limit::Number)
    } else {
        matches!(last, "limiting" | "limiter" | "ratelimiting" | "throttling").then_some(Limit::Switch)
    }
}

/// Whether a comment on the line or on the one before says that no limit is meant.
fn is_documented(variable: &Variable<'_>) -> bool {
    let text = &variable.node.doc.source.text;
    let at = span_of(variable).start as usize;
    let start = text.get(..at).and_then(|before| before.rfind('\n')).unwrap_or(0);
    let before = text.get(..start).and_then(|before| before.rfind('\n')).unwrap_or(0);
    let end = text.get(at..).and_then(|after| after.find('\n')).map_or(text.len(), |end| at + end);
    let lines = text.get(before..end).unwrap_or_default().to_ascii_lowercase();
    lines
        .lines()
        .filter_map(|line| line.split_once(['#', '/']))
        .any(|(_, comment)| comment.contains("unlimited") || comment.contains("no limit"))
}

/// Reports production without the rate limit that its program has.
pub(crate) fn disabled_in_production(run: &mut Run<'_, '_>) {
    let max = run.active.number("max").unwrap_or(100_000.0);
    let load = run.file.source.path.to_ascii_lowercase();
    if load.split(['/', '-', '_', '.']).any(|word| matches!(word, "load" | "loadtest" | "k6" | "perf" | "benchmark" | "stress")) {
        return;
    }
    for artifact in run.file.artifacts {
        for variable in judged(run, artifact).into_iter().filter(|variable| variable.scope == PathScope::Production) {
            let value = variable.value.trim().to_ascii_lowercase();
            let no = matches!(value.as_str(), "false" | "off" | "no" | "disabled" | "0");
            let what = match limit(&variable.name) {
                Some(Limit::Switch) if no => "switches the rate limit off".to_owned(),
                Some(Limit::Negated) if is_true(&value) => "switches the rate limit off".to_owned(),
                Some(Limit::Number) if value.is_empty() => "is empty, so there is no rate limit".to_owned(),
                Some(Limit::Number) if no => "sets no rate limit".to_owned(),
                Some(Limit::Number) if value.replace('_', "").parse::<f64>().is_ok_and(|number| number > max) => {
                    format!("is a limit above {max}, which stops nobody")
                }
                _ => continue,
            };
            if !is_documented(variable) {
                let object = artifact.object_at(variable.node, variable.container);
                run.report(span_of(variable), object, format!("`{}` {what}", variable.name));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_rate_limits() {
        assert!(limit("RATE_LIMIT_ENABLED") == Some(Limit::Switch));
        assert!(limit("rateLimitMax") == Some(Limit::Number));
        assert!(limit("DISABLE_RATE_LIMIT") == Some(Limit::Negated));
        for name in ["RATE_LIMIT_WINDOW_MS", "RATE_LIMIT_REDIS_URL", "MEMORY_LIMIT", "CORPORATE_LIMIT", "RATE_LIMIT_WINDOW"] {
            assert!(limit(name).is_none(), "{name}");
        }
    }

    #[test]
    fn grafana_is_known_by_its_image() {
        assert!(is_grafana("grafana/grafana:11.2.0") && is_grafana("docker.io/grafana/grafana-oss"));
        assert!(!is_grafana("grafana/loki:3") && !is_grafana("acme/grafana-exporter"));
    }
}
