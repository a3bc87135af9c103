//! Native checks of pack helm: what a Chart.yaml says, and what stands in `crds/`.

use super::cron::is_filled_later;
use crate::artifact::Artifact;
use crate::check::{Run, shorten};
use crate::finding::{Object, Severity};
use crate::rule::{ArtifactKind, did_you_mean};
use crate::syntax::{Node, Reading, Scalar};

const FIELDS: &[&str] = &[
    "apiVersion",
    "name",
    "version",
    "kubeVersion",
    "description",
    "type",
    "keywords",
    "home",
    "sources",
    "dependencies",
    "maintainers",
    "icon",
    "appVersion",
    "deprecated",
    "annotations",
    "condition",
    "tags",
];
/// Fields that only Helm 2 reads.
const OLD_FIELDS: &[&str] = &["engine", "tillerVersion"];
const MAINTAINER: &[&str] = &["name", "email", "url"];
const DEPENDENCY: &[&str] = &["name", "version", "repository", "condition", "tags", "enabled", "import-values", "alias"];

pub(super) fn charts<'a, 'd>(run: &Run<'a, 'd>) -> impl Iterator<Item = &'a Artifact<'d>> + use<'a, 'd> {
    run.file.artifacts.iter().filter(|artifact| artifact.kind == ArtifactKind::Chart)
}

pub(super) fn at(root: Node<'_>, node: Node<'_>) -> Object {
    Object { kind: "Chart".to_owned(), name: root.text_of("name").unwrap_or_default().to_owned(), path: node.path(), ..Object::default() }
}

/// The value of a field that is written out.
pub(super) fn written<'d>(root: Node<'d>, key: &str) -> Option<Node<'d>> {
    root.get(key).filter(|node| !node.is_null())
}

fn is_template(node: Node<'_>) -> bool {
    node.text().is_some_and(|text| !text.is_empty() && is_filled_later(text))
}

/// Reports fields that Helm does not know, and values that it cannot read.
pub(crate) fn chart_file_invalid(run: &mut Run<'_, '_>) {
    for artifact in charts(run) {
        let root = artifact.root;
        if !root.is_mapping() {
            run.report(root.place(), Object::default(), "Chart.yaml holds no mapping");
            continue;
        }
        let old = root.text_of("apiVersion") == Some("v1");
        let spare: &[&str] = if old { OLD_FIELDS } else { &[] };
        unknown_fields(run, root, root, FIELDS, spare, "Chart.yaml");
        for (key, items, known) in [("maintainers", "maintainer", MAINTAINER), ("dependencies", "dependency", DEPENDENCY)] {
            let Some(list) = list(run, root, key) else { continue };
            for item in list.items() {
                if item.is_mapping() {
                    unknown_fields(run, root, item, known, &[], items);
                } else if !is_template(item) {
                    let message = format!("a {items} is a mapping, so Helm cannot read this chart");
                    run.report(item.place(), at(root, item), message);
                }
            }
        }
        for key in ["keywords", "sources"] {
            let Some(list) = list(run, root, key) else { continue };
            for item in list.items().filter(|item| !item.is_scalar()) {
                run.report(item.place(), at(root, item), format!("`{key}` holds texts, so Helm cannot read this chart"));
            }
        }
        for (key, sort) in [("deprecated", "true or false"), ("annotations", "a mapping")] {
            let Some(node) = written(root, key).filter(|node| !is_template(*node)) else { continue };
            let good = if key == "deprecated" { node.as_bool().is_some() } else { node.is_mapping() };
            if !good {
                run.report(node.place(), at(root, node), format!("`{key}` is {sort}, so Helm cannot read this chart"));
            }
        }
    }
}

/// The list of a field; anything else is reported.
fn list<'d>(run: &mut Run<'_, 'd>, root: Node<'d>, key: &str) -> Option<Node<'d>> {
    let node = written(root, key)?;
    if node.is_sequence() {
        return Some(node);
    }
    if !is_template(node) {
        run.report(node.place(), at(root, node), format!("`{key}` is a list, so Helm cannot read this chart"));
    }
    None
}

fn unknown_fields<'d>(run: &mut Run<'_, 'd>, root: Node<'d>, mapping: Node<'d>, known: &[&str], spare: &[&str], what: &str) {
    for (key, value) in mapping.pairs() {
        let Some(name) = key.text().filter(|name| *name != "<<" && !is_filled_later(name)) else { continue };
        // Helm compares names without regard to case.
        if known.iter().chain(spare).any(|known| known.eq_ignore_ascii_case(name)) {
            continue;
        }
        let help = match did_you_mean(name, known.iter().copied()) {
            Some(close) => format!("; did you mean `{close}`?"),
            None if OLD_FIELDS.contains(&name) => "; only Helm 2 reads it".to_owned(),
            None => String::new(),
        };
        let of = if what == "Chart.yaml" { what.to_owned() } else { format!("a {what}") };
        let message = format!("{of} has no field `{}`, so Helm ignores it{help}", shorten(name));
        run.report(key.place(), at(root, value), message).severity = Severity::Medium;
    }
}

/// Whether a text is a URL with a scheme and a host.
pub(super) fn is_url(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, rest)| {
        !scheme.is_empty()
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
            && !rest.split('/').next().unwrap_or_default().is_empty()
            && !rest.contains(char::is_whitespace)
    })
}

pub(super) fn is_email(text: &str) -> bool {
    text.split_once('@')
        .is_some_and(|(user, host)| !user.is_empty() && host.contains('.') && !text.contains(char::is_whitespace) && !host.contains('@'))
}

/// Reports what `helm lint` refuses in the fields of a chart.
pub(crate) fn chart_metadata_invalid(run: &mut Run<'_, '_>) {
    for artifact in charts(run) {
        let root = artifact.root;
        if !root.is_mapping() {
            continue;
        }
        let mut found: Vec<(Node<'_>, String)> = Vec::new();
        let first = root.pairs().next().map_or(root, |(key, _)| key);
        match written(root, "name") {
            None => found.push((first, "the chart has no `name`".to_owned())),
            Some(name) => {
                if let Some(text) = name.text().filter(|text| !is_filled_later(text))
                    && let Some(bad) = text.chars().find(|c| matches!(c, '/' | '\\' | '_') || c.is_whitespace() || c.is_ascii_uppercase())
                {
                    found.push((
                        name,
                        format!("chart name `{}` holds `{bad}`; lower-case letters, digits and `-` are allowed", shorten(text)),
                    ));
                }
            }
        }
        let api = written(root, "apiVersion");
        match api.and_then(|api| Some((api, api.text()?))) {
            None => found.push((first, "the chart has no `apiVersion`".to_owned())),
            // Helm 4 has the third as a preview.
            Some((_, "v1" | "v2" | "v3")) => {}
            Some((_, text)) if is_filled_later(text) => {}
            Some((api, text)) => found.push((api, format!("chart apiVersion `{}` is neither `v2` nor `v1`", shorten(text)))),
        }
        let old = api.and_then(Node::text) == Some("v1");
        if let Some((kind, text)) = written(root, "type").and_then(|kind| Some((kind, kind.text()?))) {
            if old {
                found.push((kind, "`type` needs `apiVersion: v2`".to_owned()));
            } else if !matches!(text, "application" | "library") && !is_filled_later(text) {
                found.push((kind, format!("chart type `{}` is neither `application` nor `library`", shorten(text))));
            }
        }
        if let Some(dependencies) = written(root, "dependencies").filter(|list| old && list.items().next().is_some()) {
            found.push((dependencies, "`dependencies` needs `apiVersion: v2`; with `v1` they stand in requirements.yaml".to_owned()));
        }
        for maintainer in root.get("maintainers").into_iter().flat_map(Node::items).filter(|item| item.is_mapping()) {
            if written(maintainer, "name").is_none() {
                found.push((maintainer, "a maintainer has no `name`".to_owned()));
            }
            let bad = |key: &str, good: fn(&str) -> bool| {
                written(maintainer, key).filter(|node| node.text().is_some_and(|text| !is_filled_later(text) && !good(text)))
            };
            found.extend(bad("email", is_email).map(|node| (node, "this is no mail address".to_owned())));
            found.extend(bad("url", is_url).map(|node| (node, "this is no URL with a scheme and a host".to_owned())));
        }
        for source in root.get("sources").into_iter().flat_map(Node::items) {
            if source.text().is_some_and(|text| !is_filled_later(text) && !is_url(text)) {
                found.push((source, "this source is no URL with a scheme and a host".to_owned()));
            }
        }
        if let Some(version) = written(root, "appVersion").filter(|node| !matches!(node.scalar(Reading::Yaml11), Some(Scalar::Text(_)))) {
            let text = version.text().unwrap_or_default();
            found.push((version, format!("appVersion `{}` is read as a number; write `\"{}\"`", shorten(text), shorten(text))));
        }
        for (node, message) in found {
            run.report(node.place(), at(root, node), message);
        }
    }
}

/// Whether a text is a semantic version.
fn is_semver(text: &str) -> bool {
    let (rest, build) = text.split_once('+').map_or((text, None), |(rest, build)| (rest, Some(build)));
    let (core, pre) = rest.split_once('-').map_or((rest, None), |(core, pre)| (core, Some(pre)));
    let identifier = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let number = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit()) && (word == "0" || !word.starts_with('0'));
    let digits = |word: &str| word.bytes().all(|byte| byte.is_ascii_digit());
    core.split('.').count() == 3
        && core.split('.').all(number)
        && pre.is_none_or(|pre| pre.split('.').all(|word| identifier(word) && (!digits(word) || number(word))))
        && build.is_none_or(|build| build.split('.').all(identifier))
}

/// What Helm makes of a version that is written loosely.
fn loose_semver(text: &str) -> Option<String> {
    let bare = text.strip_prefix('v').unwrap_or(text);
    let end = bare.find(['-', '+']).unwrap_or(bare.len());
    let (core, rest) = bare.split_at_checked(end)?;
    let mut parts: Vec<&str> = core.split('.').collect();
    if parts.len() > 3 {
        return None;
    }
    parts.resize(3, "0");
    let full = format!("{}{rest}", parts.join("."));
    (full != text && is_semver(&full)).then_some(full)
}

/// Reports versions of charts that are no semantic versions.
pub(crate) fn chart_version_invalid(run: &mut Run<'_, '_>) {
    for artifact in charts(run) {
        let root = artifact.root;
        if !root.is_mapping() {
            continue;
        }
        let Some(version) = written(root, "version") else {
            let first = root.get("name").or_else(|| root.pairs().next().map(|(key, _)| key)).unwrap_or(root);
            run.report(first.place(), at(root, first), "the chart has no `version`");
            continue;
        };
        let Some(text) = version.text() else {
            run.report(version.place(), at(root, version), "the version of a chart is a text such as `1.4.0`");
            continue;
        };
        let filled =
            is_filled_later(text) || text.starts_with(['@', '_']) || text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
        // A release step puts the version in for zeros.
        if filled || is_semver(text) || loose_semver(text).as_deref() == Some("0.0.0") {
            continue;
        }
        let message = match loose_semver(text) {
            Some(full) => format!("chart version `{}` is no SemVer 2; write `{full}`", shorten(text)),
            None => format!("chart version `{}` is no SemVer 2, so Helm refuses the chart", shorten(text)),
        };
        let loose = loose_semver(text).is_some();
        let draft = run.report(version.place(), at(root, version), message);
        if loose {
            draft.severity = Severity::Low;
        }
    }
}

/// Reports charts without an icon, and icons that are no URL.
pub(crate) fn icon_missing(run: &mut Run<'_, '_>) {
    for artifact in charts(run) {
        let root = artifact.root;
        if !root.is_mapping() || root.text_of("type") == Some("library") || root.get("deprecated").and_then(Node::as_bool) == Some(true) {
            continue;
        }
        match written(root, "icon").and_then(|icon| Some((icon, icon.text()?))).filter(|(_, text)| !text.is_empty()) {
            None => {
                let first = root.get("name").or_else(|| root.pairs().next().map(|(key, _)| key)).unwrap_or(root);
                run.report(first.place(), at(root, first), "the chart has no icon");
            }
            Some((icon, text)) if !is_url(text) && !text.starts_with("data:") && !is_filled_later(text) => {
                run.report(icon.place(), at(root, icon), "the icon is no URL with a scheme and a host");
            }
            Some(_) => {}
        }
    }
}

/// Reports what is no definition in the folder that Helm installs definitions from.
pub(crate) fn crds_invalid(run: &mut Run<'_, '_>) {
    for artifact in run.file.artifacts.iter().filter(|artifact| artifact.crds && artifact.kind == ArtifactKind::Kubernetes) {
        let Some(kind) = artifact.root.get("kind").filter(|_| artifact.object.kind != "CustomResourceDefinition") else { continue };
        let message = format!(
            "`crds/` holds a {}; Helm takes only definitions there, and never updates or removes them",
            shorten(&artifact.object.kind)
        );
        run.report(kind.place(), artifact.object_at(kind, ""), message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_judged_as_semver() {
        for good in ["1.2.3", "0.0.0", "1.0.0-rc.1+build.5", "10.20.30-alpha-1"] {
            assert!(is_semver(good), "{good}");
        }
        for bad in ["1.2", "v1.2.3", "1.02.3", "1.2.3.4", "latest", "1.2.3-", "1.2.3-01"] {
            assert!(!is_semver(bad), "{bad}");
        }
        assert_eq!(loose_semver("v1.2"), Some("1.2.0".to_owned()));
        assert_eq!(loose_semver("1.2.3.4"), None);
    }

    #[test]
    fn urls_have_a_host() {
        assert!(is_url("https://example.com/icon.svg"));
        assert!(!is_url("example.com/icon.svg"));
        assert!(!is_url("https:///icon.svg"));
    }
}
