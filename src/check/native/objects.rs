//! Native checks of pack schema that look at the names, labels and keys of objects.

use std::collections::HashSet;

use regex::Regex;

use super::cron::is_filled_later;
use crate::artifact::{Artifact, TargetKind};
use crate::check::{Run, shorten};
use crate::rule::ArtifactKind;
use crate::syntax::{Node, Reading, Scalar, Style};

/// Whether a script or a person puts the value in before it is applied.
fn is_open(text: &str) -> bool {
    // Kustomize puts the name of the namespace in for `_`.
    let nothing = !text.chars().any(char::is_alphanumeric);
    let word = text.bytes().any(|byte| byte.is_ascii_alphabetic()) && !text.bytes().any(|byte| byte.is_ascii_lowercase());
    is_filled_later(text) || text.starts_with(['@', '!']) || (text.starts_with("__") && text.ends_with("__")) || word || nothing
}

fn is_alphanumeric(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

/// What keeps a text from being a value of a label, or the part of a key after the slash.
fn label_fault(text: &str) -> Option<String> {
    let ends = |byte: Option<&u8>| byte.copied().is_some_and(is_alphanumeric);
    let bytes = text.as_bytes();
    if bytes.len() > 63 {
        return Some(format!("has {} characters; 63 are allowed", text.chars().count()));
    }
    if let Some(other) = text.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))) {
        let shown = if other == ' ' { "a space".to_owned() } else { format!("`{other}`") };
        return Some(format!("holds {shown}; letters, digits, `-`, `_` and `.` are allowed"));
    }
    (!ends(bytes.first()) || !ends(bytes.last())).then(|| "does not begin and end with a letter or digit".to_owned())
}

/// What keeps a text from being a DNS label, or several with dots between them.
fn dns_fault(text: &str, dots: bool, letter_first: bool, max: usize) -> Option<String> {
    if text.len() > max {
        return Some(format!("has {} characters; {max} are allowed", text.chars().count()));
    }
    let allowed = if dots { "lower-case letters, digits, `-` and `.`" } else { "lower-case letters, digits and `-`" };
    if let Some(other) = text.chars().find(|c| !(c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-' || (dots && *c == '.'))) {
        let shown = if other == ' ' { "a space".to_owned() } else { format!("`{other}`") };
        return Some(format!("holds {shown}; {allowed} are allowed"));
    }
    if letter_first && text.bytes().next().is_some_and(|first| first.is_ascii_digit()) {
        return Some("begins with a digit".to_owned());
    }
    let label = |label: &str| label.bytes().next().is_some_and(is_alphanumeric) && label.bytes().last().is_some_and(is_alphanumeric);
    let good = if dots { text.split('.').all(label) } else { label(text) };
    (!good).then(|| "does not begin and end with a letter or digit".to_owned())
}

/// What keeps a text from being the key of a label.
fn label_key_fault(key: &str) -> Option<String> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    if name.is_empty() {
        return Some("has no name".to_owned());
    }
    if let Some(prefix) = prefix
        && let Some(fault) = dns_fault(prefix, true, false, 253)
    {
        return Some(format!("has a prefix that is no DNS name: it {fault}"));
    }
    label_fault(name)
}

/// The mappings of an object that hold labels, or ask for them.
fn label_mappings<'d>(artifact: &Artifact<'d>) -> Vec<Node<'d>> {
    let mut found: Vec<Node<'d>> = artifact.root.at_path(&["metadata", "labels"]).into_iter().collect();
    let spec = artifact.root.get("spec");
    let at = |path: &[&str]| spec.and_then(|spec| spec.at_path(path));
    if artifact.targets(TargetKind::Workload).next().is_some() {
        found.extend(at(&["selector", "matchLabels"]));
        found.extend(at(&["template", "metadata", "labels"]));
        found.extend(at(&["jobTemplate", "metadata", "labels"]));
        found.extend(at(&["jobTemplate", "spec", "template", "metadata", "labels"]));
        found.extend(artifact.targets(TargetKind::Pod).filter_map(|pod| pod.node.get("nodeSelector")));
    }
    match (artifact.object.kind.as_str(), group(artifact)) {
        ("Service", "") => found.extend(at(&["selector"])),
        ("PodDisruptionBudget", "policy") => found.extend(at(&["selector", "matchLabels"])),
        ("NetworkPolicy", "networking.k8s.io") => found.extend(at(&["podSelector", "matchLabels"])),
        _ => {}
    }
    found.retain(|node| node.is_mapping() && !node.is_alias());
    found
}

fn group<'d>(artifact: &Artifact<'d>) -> &'d str {
    artifact.targets(TargetKind::Object).next().map_or("", |place| place.group)
}

/// Why a scalar is no string, where the API wants one.
fn no_string(node: Node<'_>) -> Option<&'static str> {
    match node.scalar(Reading::Yaml11) {
        Some(Scalar::Bool(_)) => Some("a boolean"),
        Some(Scalar::Number(_)) => Some("a number"),
        // `{{ name }}` parses as a mapping too.
        None if node.doc.source.slice(node.span()).starts_with("{{") => None,
        None => Some("a mapping or a list"),
        Some(Scalar::Null | Scalar::Text(_)) => None,
    }
}

/// Reports keys and values of labels that the API server refuses.
pub(crate) fn label_value_invalid(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts() {
        for mapping in label_mappings(artifact) {
            for (key, value) in mapping.pairs() {
                let Some(name) = key.text().filter(|name| !is_filled_later(name) && *name != "<<") else { continue };
                if let Some(fault) = label_key_fault(name) {
                    run.report(key.place(), artifact.object_at(value, ""), format!("label key `{}` {fault}", shorten(name)));
                    continue;
                }
                if value.is_null() || value.is_alias() {
                    continue;
                }
                if let Some(sort) = no_string(value) {
                    let message = format!("the value of label `{}` is {sort}, but labels are strings", shorten(name));
                    run.report(value.place(), artifact.object_at(value, ""), message);
                    continue;
                }
                let open = |text: &&str| text.is_empty() || is_filled_later(text) || (text.starts_with("__") && text.ends_with("__"));
                let Some(text) = value.text().filter(|text| !open(text)) else { continue };
                if let Some(fault) = label_fault(text) {
                    let message = format!("the value of label `{}` {fault}", shorten(name));
                    run.report(value.place(), artifact.object_at(value, ""), message);
                }
            }
        }
    }
}

/// What a kind asks of its names.
enum Naming {
    /// A DNS name with dots, and its greatest length.
    Subdomain(usize),
    /// One part of a DNS name.
    Label,
    /// One part of a DNS name that begins with a letter.
    LetterLabel,
    /// The plural and the group of its own specification.
    Definition,
}

/// The names of kinds that every cluster has; kinds whose names are free (such as roles) are left out.
fn naming(kind: &str, group: &str) -> Option<Naming> {
    Some(match (group, kind) {
        ("", "Service") => Naming::LetterLabel,
        ("", "Namespace") => Naming::Label,
        // The controller adds eleven characters to make the names of its Jobs.
        ("batch", "CronJob") => Naming::Subdomain(52),
        (
            "",
            "ConfigMap"
            | "Secret"
            | "ServiceAccount"
            | "Pod"
            | "PersistentVolume"
            | "PersistentVolumeClaim"
            | "ResourceQuota"
            | "LimitRange"
            | "ReplicationController"
            | "Endpoints"
            | "PodTemplate",
        )
        | ("apps" | "extensions", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet")
        | ("batch", "Job")
        | ("autoscaling", "HorizontalPodAutoscaler")
        | ("policy", "PodDisruptionBudget")
        | ("networking.k8s.io", "Ingress" | "IngressClass" | "NetworkPolicy")
        | ("storage.k8s.io", "StorageClass" | "CSIDriver")
        | ("scheduling.k8s.io", "PriorityClass")
        | ("node.k8s.io", "RuntimeClass") => Naming::Subdomain(253),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => Naming::Definition,
        _ => return None,
    })
}

/// Reports objects whose name is missing or refused.
pub(crate) fn name_invalid(run: &mut Run<'_, '_>) {
    for artifact in run.file.artifacts.iter().filter(|artifact| artifact.kind == ArtifactKind::Kubernetes) {
        let kind = artifact.object.kind.as_str();
        let Some(naming) = naming(kind, group(artifact)) else { continue };
        let Some(name) = artifact.root.at_path(&["metadata", "name"]).filter(|name| !name.is_null()) else {
            unnamed(run, artifact);
            continue;
        };
        if let Some(sort) = no_string(name) {
            run.report(name.place(), artifact.object_at(name, ""), format!("the name of this {kind} is {sort}, but names are strings"));
            continue;
        }
        let Some(text) = name.text().filter(|text| !is_open(text)) else { continue };
        let fault = match naming {
            Naming::Subdomain(max) => dns_fault(text, true, false, max),
            Naming::Label => dns_fault(text, false, false, 63),
            Naming::LetterLabel => dns_fault(text, false, true, 63),
            Naming::Definition => {
                let own = |path: &[&str]| artifact.root.at_path(path).and_then(Node::text).filter(|text| !is_filled_later(text));
                match (own(&["spec", "names", "plural"]), own(&["spec", "group"])) {
                    (Some(plural), Some(group)) if text != format!("{plural}.{group}") => {
                        Some(format!("is not `{plural}.{group}`, the plural and the group of its specification"))
                    }
                    _ => None,
                }
            }
        };
        if let Some(fault) = fault {
            run.report(name.place(), artifact.object_at(name, ""), format!("{kind} name `{}` {fault}", shorten(text)));
        }
    }
}

/// A Pod without a name is a template that another tool takes, and an assertion of a test names what it wants.
fn unnamed<'d>(run: &mut Run<'_, 'd>, artifact: &Artifact<'d>) {
    let path = &run.file.source.path;
    let file = path.rsplit('/').next().unwrap_or_default();
    let asserts = file.split(['-', '.', '_']).any(|word| matches!(word, "assert" | "errors" | "template" | "assertion"));
    let generated = artifact.root.at_path(&["metadata", "generateName"]).is_some_and(|name| !name.is_null());
    if !artifact.complete || asserts || generated || artifact.object.kind == "Pod" {
        return;
    }
    let at = artifact.root.get("metadata").filter(|node| node.is_mapping()).or_else(|| artifact.root.get("kind")).unwrap_or(artifact.root);
    let message = format!("this {} has no name", artifact.object.kind);
    run.report(at.place(), artifact.object_at(at, ""), message);
}

/// What keeps a text from being the name of a port: at most 15 characters, at least one letter.
fn port_fault(text: &str) -> Option<String> {
    if !text.bytes().any(|byte| byte.is_ascii_alphabetic()) && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some("is a number in quotes; a name has at least one letter".to_owned());
    }
    if let Some(fault) = dns_fault(text, false, false, 15) {
        return Some(fault);
    }
    if text.contains("--") {
        return Some("holds two hyphens in a row".to_owned());
    }
    (!text.bytes().any(|byte| byte.is_ascii_lowercase())).then(|| "has no letter".to_owned())
}

/// Reports names of ports that the API server refuses, and ports without a number.
pub(crate) fn port_name_invalid(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts() {
        for place in artifact.targets(TargetKind::Container) {
            let ports = place.node.get("ports").filter(|ports| !ports.is_alias());
            let mut seen = HashSet::new();
            for port in ports.into_iter().flat_map(Node::items).filter(|port| port.is_mapping() && !port.is_alias()) {
                if let Some(name) = port.get("name").filter(|name| !name.is_null()) {
                    port_name(run, artifact, name, "container port", port_fault, &mut seen);
                }
                if place.complete && port.get("containerPort").is_none_or(Node::is_null) {
                    run.report_at(place, port, format!("a port of container `{}` has no containerPort", place.name()));
                }
            }
        }
        if (artifact.object.kind.as_str(), group(artifact)) == ("Service", "") {
            let mut seen = HashSet::new();
            let ports = artifact.root.at_path(&["spec", "ports"]).filter(|ports| !ports.is_alias());
            for port in ports.into_iter().flat_map(Node::items).filter(|port| !port.is_alias()) {
                if let Some(name) = port.get("name").filter(|name| !name.is_null()) {
                    port_name(run, artifact, name, "Service port", |text| dns_fault(text, false, false, 63), &mut seen);
                }
                let target = port
                    .get("targetPort")
                    .filter(|target| target.scalar(Reading::Yaml11).is_some_and(|value| matches!(value, Scalar::Text(_))));
                if let Some((target, text)) = target.and_then(|target| Some((target, target.text().filter(|text| !is_open(text))?)))
                    && let Some(fault) = port_fault(text)
                {
                    run.report(target.place(), artifact.object_at(target, ""), format!("targetPort `{}` {fault}", shorten(text)));
                }
            }
        }
    }
}

fn port_name<'d>(
    run: &mut Run<'_, 'd>,
    artifact: &Artifact<'d>,
    name: Node<'d>,
    what: &str,
    fault: impl Fn(&str) -> Option<String>,
    seen: &mut HashSet<&'d str>,
) {
    let Some(text) = name.text().filter(|text| !is_filled_later(text)) else { return };
    let message = if let Some(sort) = no_string(name) {
        format!("the name of this {what} is {sort}, but names are strings")
    } else if let Some(fault) = fault(text) {
        format!("{what} name `{}` {fault}", shorten(text))
    } else if !seen.insert(text) {
        format!("{what} name `{}` stands twice", shorten(text))
    } else {
        return;
    };
    run.report(name.place(), artifact.object_at(name, ""), message);
}

/// Reports the deprecated name of the field for the service account.
pub(crate) fn deprecated_service_account_field(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts() {
        for pod in artifact.targets(TargetKind::Pod) {
            let Some(old) = pod.node.get("serviceAccount").filter(|old| !old.is_null()) else { continue };
            let runs = pod.node.get("containers").into_iter().flat_map(Node::items).any(|container| container.get("image").is_some());
            if !pod.complete && !runs {
                continue;
            }
            let message = match pod.node.text_of("serviceAccountName") {
                Some(new) if old.text() == Some(new) => continue,
                Some(new) if !new.is_empty() => {
                    format!("`serviceAccount` is ignored: `serviceAccountName` says `{}`", shorten(new))
                }
                _ => "`serviceAccount` is deprecated; write `serviceAccountName`".to_owned(),
            };
            let object = artifact.object_at(old, "");
            run.report(old.key().unwrap_or(old).place(), object, message);
        }
    }
}

/// Reports an instance label that names another installation than the object.
pub(crate) fn instance_label_mismatch(run: &mut Run<'_, '_>) {
    const LABEL: &str = "app.kubernetes.io/instance";
    let label = |artifact: &Artifact<'_>| artifact.root.at_path(&["metadata", "labels", LABEL]).and_then(Node::text).map(str::to_owned);
    for artifact in run.artifacts().filter(|artifact| artifact.complete) {
        let Some(node) = artifact.root.at_path(&["metadata", "labels", LABEL]).filter(|node| !node.is_null()) else { continue };
        let (Some(text), name) = (node.text().filter(|text| !is_filled_later(text)), artifact.object.name.as_str()) else { continue };
        if name.is_empty() || is_filled_later(name) || has_words(name, text) {
            continue;
        }
        // Several objects of one instance have names of their own.
        let shared =
            run.file.artifacts.iter().any(|other| {
                other.object.name != artifact.object.name && other.kind == artifact.kind && label(other).as_deref() == Some(text)
            });
        if !shared {
            let message = format!("label `{LABEL}` says `{}`, but the object is called `{}`", shorten(text), shorten(name));
            run.report(node.place(), artifact.object_at(node, ""), message);
        }
    }
}

/// Whether a name is made of a text and perhaps more words.
fn has_words(name: &str, text: &str) -> bool {
    name.match_indices(text).any(|(at, _)| {
        let edge = |byte: Option<u8>| byte.is_none_or(|byte| matches!(byte, b'-' | b'.'));
        edge(at.checked_sub(1).and_then(|before| name.as_bytes().get(before).copied()))
            && edge(name.as_bytes().get(at + text.len()).copied())
    })
}

/// Reports mappings whose keys are not in alphabetical order.
pub(crate) fn keys_unsorted(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts() {
        for mapping in artifact.root.values().into_iter().filter(|node| node.is_mapping() && node.style() == Style::Block) {
            if mapping.get("<<").is_some() || mapping.pairs().any(|(key, _)| key.text() == Some("<<")) {
                continue;
            }
            let mut last: Option<Node<'_>> = None;
            for (key, _) in mapping.pairs() {
                if let (Some(before), Some(text)) = (last, key.text())
                    && let Some(earlier) = before.text().filter(|earlier| *earlier > text)
                    && !begins_group(run, before, key)
                {
                    let message = format!("key `{}` stands after `{}`; sorted, it comes before", shorten(text), shorten(earlier));
                    run.report(key.place(), artifact.object_at(mapping, ""), message);
                    break;
                }
                last = Some(key);
            }
        }
    }
}

/// Whether a comment on a line of its own stands between two keys.
fn begins_group(run: &Run<'_, '_>, before: Node<'_>, key: Node<'_>) -> bool {
    let text = &run.file.source.text;
    before.doc.comments.iter().any(|comment| {
        let own_line = || {
            let start = text.get(..comment.start as usize).and_then(|head| head.rfind('\n')).map_or(0, |end| end + 1);
            text.get(start..comment.start as usize).is_some_and(|head| head.trim().is_empty())
        };
        // Deeper comments belong to what lies below the key before.
        let level = |start: u32| {
            let from = text.get(..start as usize).and_then(|head| head.rfind('\n')).map_or(0, |end| end + 1);
            start as usize - from
        };
        comment.start > before.span().end
            && comment.end <= key.span().start
            && own_line()
            && level(comment.start) <= level(key.span().start)
    })
}

/// Reports labels that the user asks for.
pub(crate) fn required_label_missing(run: &mut Run<'_, '_>) {
    required(run, "labels", "label");
}

/// Reports annotations that the user asks for.
pub(crate) fn required_annotation_missing(run: &mut Run<'_, '_>) {
    required(run, "annotations", "annotation");
}

/// A key that every object needs, and the form of its value.
struct Wanted {
    key: String,
    pattern: Option<String>,
    regex: Option<Regex>,
}

impl Wanted {
    /// An entry of the parameter is a key, or a key and a pattern.
    fn read(entry: &str) -> Self {
        let (key, pattern) = entry.split_once('=').map_or((entry, None), |(key, pattern)| (key, Some(pattern.to_owned())));
        let regex = pattern.as_ref().and_then(|pattern| Regex::new(&format!("^(?:{pattern})$")).ok());
        Self { key: key.trim().to_owned(), pattern, regex }
    }
}

fn required(run: &mut Run<'_, '_>, field: &str, word: &str) {
    let wanted: Vec<Wanted> = run.active.texts(field).iter().map(|entry| Wanted::read(entry)).collect();
    let spared = run.active.texts("except-kinds");
    for artifact in run.artifacts().filter(|artifact| artifact.complete && !spared.contains(&artifact.object.kind)) {
        let Some(metadata) = artifact.root.get("metadata").filter(|metadata| metadata.is_mapping()) else { continue };
        for Wanted { key, pattern, regex } in &wanted {
            let mapping = metadata.get(field).filter(|mapping| mapping.is_mapping());
            let Some(value) = mapping.and_then(|mapping| mapping.get(key)).filter(|value| !value.is_null()) else {
                let at = mapping.or_else(|| metadata.get("name")).unwrap_or(metadata);
                let message = format!("{} `{}` has no {word} `{key}`", artifact.object.kind, shorten(&artifact.object.name));
                run.report(at.place(), artifact.object_at(at, ""), message);
                continue;
            };
            let Some(pattern) = pattern else { continue };
            let text = value.text().unwrap_or_default();
            let good = regex.as_ref().map_or(text == pattern, |regex| regex.is_match(text));
            if !good && !is_filled_later(text) {
                let message = format!("the value of {word} `{key}` is not of the form `{pattern}`");
                run.report(value.place(), artifact.object_at(value, ""), message);
            }
        }
    }
}

/// Whether a value begins as an expression of a template engine.
fn expression(node: Node<'_>) -> Option<&'static str> {
    const MARKS: [(&str, &str); 3] = [("{{", "}}"), ("<%", "%>"), ("{%", "%}")];
    let text = match node.text() {
        Some(text) => text,
        // Without quotes the braces are read as mappings.
        None => node.doc.source.slice(node.span()),
    };
    let (open, _) = MARKS.into_iter().find(|(open, close)| {
        let bare = node.is_scalar() || text.starts_with(open);
        bare && text.split_once(open).is_some_and(|(_, rest)| rest.contains(close))
    })?;
    Some(open)
}

/// Whether a path says that its file is a template.
fn is_template_path(path: &str) -> bool {
    path.to_ascii_lowercase().split(['/', '-', '_', '.']).any(|word| {
        matches!(
            word,
            "template" | "templates" | "tmpl" | "tpl" | "j2" | "jinja" | "skel" | "scaffold" | "cookiecutter" | "ansible" | "roles"
        )
    })
}

/// Reports expressions in fields where no reader of the cluster knows any.
pub(crate) fn unrendered_template(run: &mut Run<'_, '_>) {
    if is_template_path(&run.file.source.path) {
        return;
    }
    for artifact in run.artifacts() {
        let mut fields: Vec<Node<'_>> = Vec::new();
        if artifact.kind == ArtifactKind::Kubernetes {
            let group = group(artifact);
            if group.contains('.') && !group.ends_with(".k8s.io") {
                continue;
            }
            let own = |path: &[&str]| artifact.root.at_path(path);
            fields.extend([own(&["metadata", "name"]), own(&["metadata", "namespace"]), own(&["spec", "replicas"])].into_iter().flatten());
            fields.extend(own(&["metadata", "labels"]).into_iter().flat_map(Node::entries).map(|(_, value)| value));
        }
        for place in artifact.places.iter().filter(|place| matches!(place.kind, TargetKind::Container | TargetKind::Service)) {
            fields.extend(place.node.get("image"));
        }
        fields.sort_by_key(|node| node.span().start);
        let Some((node, open)) = fields.into_iter().find_map(|node| Some((node, expression(node)?))) else { continue };
        let message = format!("the expression `{open} …` is left here, and neither a chart nor a folder of templates renders this file");
        run.report(node.place(), artifact.object_at(node, ""), message);
    }
}
