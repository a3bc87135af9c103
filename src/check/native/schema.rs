//! Native checks of pack schema.

use std::collections::{HashMap, HashSet};

use super::cron::{self, Dialect};
use crate::artifact::{Artifact, Placement, TargetKind};
use crate::check::{Run, Version, shorten};
use crate::finding::{Confidence, Location, Object, Related, Severity};
use crate::rule::ArtifactKind;
use crate::source::Span;
use crate::syntax::{DUPLICATE_KEY, Node, Syntax};

/// Reports schedules that their reader refuses, that never fire, or that stand twice.
pub(crate) fn cron_schedule_invalid(run: &mut Run<'_, '_>) {
    for artifact in run.file.artifacts {
        let spec = |path: &[&str]| artifact.root.at_path(path);
        let group = artifact.targets(TargetKind::Object).next().map_or("", |place| place.group);
        let known = match (artifact.kind, artifact.object.kind.as_str(), group) {
            (ArtifactKind::Kubernetes, "CronJob", "batch")
            | (ArtifactKind::Kubernetes, "Schedule", "velero.io")
            | (ArtifactKind::Kubernetes, "CronWorkflow", "argoproj.io") => Some(Dialect::Kubernetes),
            (ArtifactKind::Kubernetes, "ScheduledBackup", "postgresql.cnpg.io") => Some(Dialect::Seconds),
            _ => None,
        };
        match known {
            Some(dialect) => {
                let zoned = artifact.object.kind != "CronJob";
                for node in spec(&["spec", "schedule"]).into_iter().chain(spec(&["spec", "schedules"]).into_iter().flat_map(Node::items)) {
                    schedule(run, artifact, node, dialect, zoned);
                }
            }
            None => named_schedules(run, artifact),
        }
        if artifact.kind == ArtifactKind::Wrangler {
            for place in artifact.targets(TargetKind::Worker) {
                let mut seen = HashSet::new();
                for node in place.node.at_path(&["triggers", "crons"]).into_iter().flat_map(Node::items) {
                    let Some(text) = node.text() else { continue };
                    if seen.insert(text.split_whitespace().collect::<Vec<_>>()) {
                        schedule(run, artifact, node, Dialect::Cloudflare, false);
                    } else {
                        run.report_at(place, node, format!("cron trigger `{}` stands twice", shorten(text)));
                    }
                }
            }
        }
    }
}

fn schedule<'d>(run: &mut Run<'_, 'd>, artifact: &Artifact<'d>, node: Node<'d>, dialect: Dialect, zoned: bool) {
    let Some(text) = node.text().filter(|text| !node.is_null() && !cron::is_filled_later(text)) else { return };
    let prefix = text.split_once(' ').filter(|(zone, _)| zone.starts_with("TZ=") || zone.starts_with("CRON_TZ="));
    let fault = match prefix {
        // The API server refuses it since 1.27; before, nobody promised anything.
        Some(_) if dialect == Dialect::Kubernetes && !zoned => Some("holds a time zone, which belongs into `timeZone`".to_owned()),
        Some((_, rest)) => cron::fault(rest, dialect),
        None => cron::fault(text, dialect),
    };
    if let Some(fault) = fault {
        run.report(node.place(), artifact.object_at(node, ""), format!("schedule `{}` {fault}", shorten(text)));
    }
}

/// Settings and labels that are called schedule or cron, where nothing tells who reads them.
fn named_schedules(run: &mut Run<'_, '_>, artifact: &Artifact<'_>) {
    for variable in &artifact.variables {
        let embedded = variable.placement == Placement::Embedded;
        if !embedded && !run.judges(artifact) || variable.placement == Placement::SecretData || !is_schedule_name(&variable.name) {
            continue;
        }
        let text = variable.value.trim();
        if cron::is_filled_later(text) || !cron::looks_like_cron(text) {
            continue;
        }
        if let Some(fault) = cron::fault(text, Dialect::Unknown) {
            let object = artifact.object_at(variable.node, variable.container);
            run.report(variable.span, object, format!("`{}` is `{}`, which {fault}", variable.name, shorten(text)));
        }
    }
}

fn is_schedule_name(name: &str) -> bool {
    let ends =
        |word: &str| name.len() >= word.len() && name.get(name.len() - word.len()..).is_some_and(|end| end.eq_ignore_ascii_case(word));
    ends("schedule") || ends("cron") || ends("cronexpression") || ends("cron_expression")
}

/// Reports names that one list of variables defines again.
pub(crate) fn duplicate_env_var(run: &mut Run<'_, '_>) {
    for artifact in run.file.artifacts {
        match artifact.kind {
            ArtifactKind::Kubernetes => {
                let places = artifact.targets(TargetKind::Container);
                let mut lists: Vec<(Node<'_>, &str)> =
                    places.filter_map(|place| Some((place.node.get("env")?, place.object.container.as_str()))).collect();
                if lists.is_empty() {
                    lists = env_lists(artifact.root, |key| key == "env").map(|list| (list, "")).collect();
                }
                for (list, container) in lists {
                    repeated(run, artifact, list, container);
                }
            }
            ArtifactKind::HelmValues => {
                let named = |key: &str| ["env", "envs", "envvars"].iter().any(|end| key.to_ascii_lowercase().ends_with(end));
                for list in env_lists(artifact.root, named) {
                    repeated(run, artifact, list, "");
                }
            }
            ArtifactKind::Compose => {
                for place in artifact.targets(TargetKind::Service) {
                    let mut seen = HashSet::new();
                    for item in place.node.get("environment").into_iter().flat_map(Node::items) {
                        let Some(text) = item.text() else { continue };
                        let name = text.split_once('=').map_or(text, |(name, _)| name);
                        if !name.contains('$') && !seen.insert(name) {
                            run.report_at(place, item, format!("service `{}` defines `{}` twice", place.name(), shorten(name)));
                        }
                    }
                }
            }
            _ => {}
        }
    }
}

/// The sequences of named variables below a node.
fn env_lists(root: Node<'_>, named: impl Fn(&str) -> bool) -> impl Iterator<Item = Node<'_>> {
    root.values().into_iter().filter(move |node| node.is_sequence() && node.key_text().is_some_and(&named))
}

fn repeated<'d>(run: &mut Run<'_, 'd>, artifact: &Artifact<'d>, list: Node<'d>, container: &str) {
    let mut seen: HashMap<&str, Node<'d>> = HashMap::new();
    for entry in list.items() {
        let Some(name) = entry.get("name").filter(|name| !name.is_null()) else { continue };
        let Some(text) = name.text().filter(|text| !text.contains(['{', '$'])) else { continue };
        let Some(first) = seen.insert(text, name) else { continue };
        // `$(NAME)` continues the value that stands before it.
        if entry.text_of("value").is_some_and(|value| value.contains(&format!("$({text})"))) {
            continue;
        }
        let object = artifact.object_at(name, container);
        let whose = if container.is_empty() { String::new() } else { format!("container `{container}` ") };
        let place = Location { path: run.file.source.path.clone(), span: first.place() };
        let draft = run.report(
            name.place(),
            object,
            format!("{whose}{} `{}` twice", if whose.is_empty() { "the list defines" } else { "defines" }, shorten(text)),
        );
        draft.related.push(Related { location: place, label: "defined here before".to_owned() });
    }
}

/// Reports keys that their mapping holds already.
pub(crate) fn duplicate_key(run: &mut Run<'_, '_>) {
    let path = run.file.source.path.clone();
    let mut seen = None;
    for artifact in run.file.artifacts {
        let document = artifact.root.doc;
        // The objects of a List share a document.
        if document.syntax == Syntax::Dotenv || seen.replace(std::ptr::from_ref(document)) == Some(std::ptr::from_ref(document)) {
            continue;
        }
        for &(later, earlier) in &document.duplicates {
            let (later, earlier) = (document.node(later), document.node(earlier));
            let between = Span::new(earlier.span().end as usize, later.span().start as usize);
            // Comments that a template engine reads make the two keys branches of one choice.
            let branches = document
                .comments
                .iter()
                .filter(|comment| comment.overlaps(between))
                .any(|comment| is_directive(run.file.source.slice(*comment)));
            if branches {
                continue;
            }
            let message = format!("key `{}` stands in this mapping already", shorten(later.text().unwrap_or_default()));
            let draft = run.report(later.span(), artifact.object_at(later, ""), message);
            draft
                .related
                .push(Related { location: Location { path: path.clone(), span: earlier.span() }, label: "the first one".to_owned() });
        }
    }
    for error in run.file.parsed.errors.iter().filter(|error| error.message == DUPLICATE_KEY) {
        let key = shorten(run.file.source.slice(error.span));
        run.report(error.span, Object::default(), format!("`{key}` is defined already"));
    }
    for inner in run.file.embedded() {
        for document in &inner.parsed.documents {
            for &(later, earlier) in &document.duplicates {
                let (later, earlier) = (document.node(later), document.node(earlier));
                let message =
                    format!("`{}`: key `{}` stands in this mapping already", inner.name, shorten(later.text().unwrap_or_default()));
                let draft = run.report(inner.outer(later.span()), inner.object.clone(), message);
                draft.related.push(Related {
                    location: Location { path: path.clone(), span: inner.outer(earlier.span()) },
                    label: "the first one".to_owned(),
                });
            }
        }
    }
}

/// A comment that ytt, Helm or Jinja reads.
fn is_directive(comment: &str) -> bool {
    comment.contains("{{") || comment.contains("{%") || comment.starts_with("#@") || comment.contains("<%")
}

/// The release that the rule judges for.
fn target_version(run: &Run<'_, '_>) -> Version {
    let written = run.active.text("kubernetes-version").and_then(|text| text.parse::<Version>().ok());
    written.unwrap_or(run.file.kubernetes_version)
}

/// Reports API versions that still work and will not for long.
pub(crate) fn deprecated_api_version(run: &mut Run<'_, '_>) {
    let version = target_version(run);
    for artifact in run.file.artifacts.iter().filter(|artifact| artifact.kind == ArtifactKind::Kubernetes) {
        let Some(node) = artifact.root.get("apiVersion") else { continue };
        let (Some(api), kind) = (node.text(), artifact.object.kind.as_str()) else { continue };
        let Some(row) = run.file.rules.data.api_versions.row(api, kind).filter(|row| row.product == "kubernetes") else { continue };
        let Some(since) = row.deprecated.filter(|since| *since <= version) else { continue };
        let end = match row.removed {
            Some(removed) if removed <= version => continue,
            Some(removed) => format!(", and {removed} serves it no more"),
            None => String::new(),
        };
        let instead = if row.instead.is_empty() { "; nothing replaces it".to_owned() } else { format!("; use `{}`", row.instead) };
        let message = format!("`{kind}` of `{api}` is deprecated since Kubernetes {since}{end}{instead}");
        run.report(node.place(), artifact.object_at(node, ""), message);
    }
}

/// Reports API versions that the cluster no longer serves.
pub(crate) fn removed_api_version(run: &mut Run<'_, '_>) {
    let version = target_version(run);
    for artifact in run.file.artifacts.iter().filter(|artifact| artifact.kind == ArtifactKind::Kubernetes) {
        let Some(node) = artifact.root.get("apiVersion") else { continue };
        let (Some(api), kind) = (node.text(), artifact.object.kind.as_str()) else { continue };
        let Some(row) = run.file.rules.data.api_versions.row(api, kind) else { continue };
        let Some(removed) = row.removed else { continue };
        let (product, gone) = match row.product.as_str() {
            "kubernetes" => ("Kubernetes", removed <= version),
            "istio" => ("Istio", true),
            product => (product, true),
        };
        if gone {
            let instead = if row.instead.is_empty() { "; nothing replaces it".to_owned() } else { format!("; use `{}`", row.instead) };
            let message = format!("{product} {removed} and later serve no `{kind}` of `{api}`{instead}");
            run.report(node.place(), artifact.object_at(node, ""), message);
        }
    }
}

/// Reports what does not parse.
pub(crate) fn syntax_error(run: &mut Run<'_, '_>) {
    for error in run.file.parsed.errors.iter().filter(|error| !error.limit && error.message != DUPLICATE_KEY) {
        // One line, one finding: the more exact rule has it.
        if super::dotenv::rule_of(run.file.source, error).is_some_and(|rule| run.runs(rule)) {
            continue;
        }
        run.report(error.span, Object::default(), error.message.clone());
    }
    for inner in run.file.embedded() {
        for error in inner.parsed.errors.iter().filter(|error| !error.limit && error.message != DUPLICATE_KEY) {
            let draft = run.report(inner.outer(error.span), inner.object.clone(), format!("`{}`: {}", inner.name, error.message));
            // The object is deployed; what reads the text may be more lenient.
            draft.severity = Severity::High;
            draft.confidence = Confidence::Medium;
        }
    }
}
