//! Native checks of pack images.

use std::collections::HashSet;

use crate::artifact::{Artifact, PathScope, Place, TargetKind, interpolated};
use crate::check::{Run, shorten};
use crate::finding::Object;
use crate::rule::ArtifactKind;
use crate::source::Span;
use crate::syntax::Node;

/// A reference to an image, as far as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reference<'t> {
    /// Registry and repository, without tag and digest.
    name: &'t str,
    tag: Option<&'t str>,
    digest: bool,
}

impl<'t> Reference<'t> {
    fn read(text: &'t str) -> Self {
        let (rest, digest) = text.split_once('@').map_or((text, false), |(rest, digest)| (rest, digest.contains(':')));
        let from = rest.rfind('/').map_or(0, |slash| slash + 1);
        let tag = rest.get(from..).and_then(|last| last.split_once(':')).map(|(_, tag)| tag);
        let name = tag.map_or(rest, |tag| rest.get(..rest.len() - tag.len() - 1).unwrap_or(rest));
        Self { name, tag, digest }
    }

    /// The registry and the path in it, as a client completes them.
    fn complete(self) -> String {
        match self.name.split_once('/') {
            Some((host, path)) if is_host(host) => {
                let host = if matches!(host, "index.docker.io" | "registry-1.docker.io") { "docker.io" } else { host };
                if host == "docker.io" && !path.contains('/') { format!("docker.io/library/{path}") } else { format!("{host}/{path}") }
            }
            Some(_) => format!("docker.io/{}", self.name),
            None => format!("docker.io/library/{}", self.name),
        }
    }
}

fn is_host(part: &str) -> bool {
    part.contains(['.', ':']) || part == "localhost"
}

/// Whether something fills in the text before anybody pulls the image.
fn is_open(text: &str) -> bool {
    let placeholder = |part: &str| {
        part.len() > 2
            && part.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-'))
            && part.bytes().any(|byte| byte.is_ascii_uppercase())
    };
    text.is_empty()
        || text.contains(['$', '{', '}', '<', '>', '%', '(', ')', '[', '*', ' ', '\n', '#', '|', '!'])
        || text.contains("__")
        || text.starts_with("ko://")
        || text.contains("://")
        || text == "auto"
        || text.split(['/', ':', '@']).any(placeholder)
}

/// Where an image is named.
struct Named<'a, 'd> {
    artifact: &'a Artifact<'d>,
    node: Node<'d>,
    text: String,
    object: Object,
    scope: PathScope,
    /// The service or container, where it is one.
    place: Option<&'a Place<'d>>,
}

/// Whether a build tool puts an image of its own, with a tag of its own, in the place of this one.
fn is_replaced(run: &Run<'_, '_>, reference: &Reference<'_>) -> bool {
    run.file.images.iter().any(|image| image == reference.name)
}

impl Named<'_, '_> {
    /// The place of a part that ends the text, or of all of it.
    fn tail(&self, tail: &str) -> Span {
        let span = self.node.value_span();
        let same = self.node.is_verbatim() && self.node.text() == Some(self.text.as_str()) && self.text.ends_with(tail);
        if same && !tail.is_empty() {
            Span::new((span.end as usize).saturating_sub(tail.len()), span.end as usize)
        } else {
            self.node.place()
        }
    }

    /// Whether the image is built where it runs.
    fn is_built(&self) -> bool {
        let Some(place) = self.place.filter(|place| place.kind == TargetKind::Service) else { return false };
        let name = Reference::read(&self.text).name;
        let local = !name.split_once('/').is_some_and(|(host, _)| is_host(host)) || name.contains('$');
        let builds = |other: &Place<'_>| other.get(&["build"]).is_some_and(|build| !build.is_null());
        let by_other = || {
            self.artifact
                .targets(TargetKind::Service)
                .any(|other| builds(other) && other.get(&["image"]).and_then(Node::text) == self.node.text())
        };
        local && (builds(place) || by_other())
    }
}

/// The images of containers, services and workers.
fn named<'a, 'd>(artifact: &'a Artifact<'d>) -> Vec<Named<'a, 'd>> {
    let mut found: Vec<Named<'a, 'd>> = Vec::new();
    let mut seen = HashSet::new();
    for place in &artifact.places {
        let nodes: Vec<Node<'d>> = match place.kind {
            TargetKind::Container | TargetKind::Service => place.node.get("image").into_iter().collect(),
            TargetKind::Worker => {
                let images = place.node.get("containers").into_iter().flat_map(Node::items).filter_map(|container| container.get("image"));
                images
                    .filter(|image| {
                        image
                            .text()
                            .is_some_and(|text| text.split_once('/').is_some_and(|(host, _)| is_host(host) && !host.starts_with('.')))
                    })
                    .collect()
            }
            _ => continue,
        };
        for node in nodes {
            let Some(raw) = node.text().filter(|_| !node.is_null()) else { continue };
            if !seen.insert(node.place()) {
                continue;
            }
            let text =
                if artifact.kind == ArtifactKind::Compose { interpolated(raw, node.value_span()).0.into_owned() } else { raw.to_owned() };
            let object = Object { path: node.path(), ..place.object.clone() };
            found.push(Named { artifact, node, text, object, scope: place.scope, place: Some(place) });
        }
    }
    found
}

/// An image of a values file: the mapping or scalar, its repository and its tag.
struct Value<'d> {
    repository: Option<Node<'d>>,
    tag: Option<Node<'d>>,
    digest: bool,
    /// Repository and tag in one text.
    whole: Option<Node<'d>>,
}

/// The images of a values file.
fn values(root: Node<'_>) -> Vec<Value<'_>> {
    let mut found = Vec::new();
    for node in root.values() {
        let set = |key: &str| node.get(key).filter(|value| value.is_scalar() && !value.is_null() && value.text() != Some(""));
        if node.is_mapping() {
            let under_image = node.key_text().is_some_and(|key| key.to_ascii_lowercase().ends_with("image"));
            let repository = set("repository").or_else(|| set("image")).or_else(|| set("name").filter(|_| under_image));
            let is_image = repository.is_some() && (under_image || node.get("tag").is_some());
            let source = set("repository").and_then(Node::text).is_some_and(|text| text.contains("://") || text.ends_with(".git"));
            if is_image && !source {
                let digest = ["digest", "sha"].iter().any(|key| set(key).is_some());
                found.push(Value { repository, tag: set("tag"), digest, whole: None });
            }
        } else if node.key_text().is_some_and(|key| key == "image" || key.ends_with("Image"))
            && node.parent().is_none_or(|parent| parent.get("tag").is_none() && parent.get("imageTag").is_none())
            && node.text().is_some_and(|text| Reference::read(text).tag.is_some() && !text.contains("://"))
        {
            found.push(Value { repository: None, tag: None, digest: false, whole: Some(node) });
        }
    }
    found
}

/// Whether a tag is one that its makers move.
fn is_mutable(tag: &str, words: &[String]) -> bool {
    let lower = tag.to_ascii_lowercase();
    let hit = words.iter().any(|word| {
        let begins = lower.strip_prefix(word.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
        begins || lower.strip_suffix(word.as_str()).is_some_and(|rest| rest.ends_with('-'))
    });
    // A full version, a date, a build number or a commit beside the word makes it one image.
    let is_build = |part: &str| {
        let digits = part.bytes().filter(u8::is_ascii_digit).count();
        let hex = part.len() >= 7 && digits > 0 && part.strip_prefix("sha").unwrap_or(part).bytes().all(|byte| byte.is_ascii_hexdigit());
        hex || (digits == part.len() && digits >= 3)
            || part.split('.').filter(|number| number.bytes().any(|byte| byte.is_ascii_digit())).count() > 2
    };
    hit && !lower.split(['-', '_']).any(is_build)
}

/// Reports tags that name another image tomorrow.
pub(crate) fn mutable_image_tag(run: &mut Run<'_, '_>) {
    let words = run.active.texts("mutable").to_vec();
    for artifact in run.artifacts() {
        for image in named(artifact).into_iter().filter(|image| image.scope != PathScope::Development) {
            let reference = Reference::read(&image.text);
            let fixed = is_replaced(run, &reference);
            if reference.digest || fixed || image.is_built() {
                continue;
            }
            // Of `${REGISTRY}/app:latest` the tag is known; a template may be filled in otherwise.
            let known = if artifact.kind == ArtifactKind::Compose {
                reference.tag.map_or(!is_open(&image.text), |tag| !is_open(tag))
            } else {
                !is_open(&image.text)
            };
            if !known {
                continue;
            }
            match reference.tag {
                Some(tag) if is_mutable(tag, &words) => {
                    let message = format!("image `{}` has the mutable tag `{tag}`", shorten(reference.name));
                    run.report(image.tail(tag), image.object.clone(), message);
                }
                None => {
                    let message = format!("image `{}` has no tag, which means `latest`", shorten(&image.text));
                    run.report(image.node.place(), image.object.clone(), message);
                }
                Some(_) => {}
            }
        }
        if artifact.scope == PathScope::Development {
            continue;
        }
        if artifact.kind == ArtifactKind::HelmValues {
            for value in values(artifact.root) {
                if let Some(tag) = value.tag.filter(|_| !value.digest) {
                    let Some(text) = tag.text().filter(|text| !is_open(text) && is_mutable(text, &words)) else { continue };
                    let name = value.repository.and_then(Node::text).unwrap_or_default();
                    run.report(tag.place(), artifact.object_at(tag, ""), format!("image `{}` has the mutable tag `{text}`", shorten(name)));
                }
                if let Some(whole) = value.whole {
                    let text = whole.text().unwrap_or_default();
                    let reference = Reference::read(text);
                    let Some(tag) = reference.tag.filter(|tag| !reference.digest && !is_open(text) && is_mutable(tag, &words)) else {
                        continue;
                    };
                    let span = whole.value_span();
                    let span = if whole.is_verbatim() {
                        Span::new((span.end as usize).saturating_sub(tag.len()), span.end as usize)
                    } else {
                        span
                    };
                    let message = format!("image `{}` has the mutable tag `{tag}`", shorten(reference.name));
                    run.report(span, artifact.object_at(whole, ""), message);
                }
            }
        }
        for image in kustomize_images(artifact) {
            let pinned = image.get("digest").is_some_and(|digest| !digest.is_null());
            let Some(tag) = image.get("newTag").filter(|tag| !pinned && !tag.is_null()) else { continue };
            let Some(text) = tag.text().filter(|text| !is_open(text) && is_mutable(text, &words)) else { continue };
            let name = image.text_of("newName").or_else(|| image.text_of("name")).unwrap_or_default();
            run.report(tag.place(), artifact.object_at(tag, ""), format!("image `{}` has the mutable tag `{text}`", shorten(name)));
        }
    }
}

fn kustomize_images<'d>(artifact: &Artifact<'d>) -> Vec<Node<'d>> {
    let images = artifact.root.get("images").filter(|_| artifact.kind == ArtifactKind::Kustomize);
    images.into_iter().flat_map(Node::items).collect()
}

/// Reports images that are not pinned by digest.
pub(crate) fn image_digest_missing(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts() {
        for image in named(artifact) {
            let reference = Reference::read(&image.text);
            let own =
                image.place.is_some_and(|place| place.kind == TargetKind::Service && place.get(&["build"]).is_some()) || image.is_built();
            if reference.digest || is_open(&image.text) || own {
                continue;
            }
            let message = format!("image `{}` is not pinned by digest", shorten(&image.text));
            run.report(image.node.place(), image.object.clone(), message);
        }
    }
}

/// Whether a text holds a pattern at the begin of a word; `*` stands for anything.
fn holds(text: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    text.match_indices(first).any(|(at, _)| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        let word = first.starts_with(|first: char| first.is_ascii_alphanumeric());
        let begins = !word || before.is_none_or(|before| !before.is_ascii_alphanumeric());
        let mut rest = text.get(at + first.len()..).unwrap_or_default();
        begins
            && parts.clone().all(|part| match rest.find(part) {
                Some(found) => {
                    rest = rest.get(found + part.len()..).unwrap_or_default();
                    true
                }
                None => false,
            })
    })
}

/// Reports references that nobody has filled in.
pub(crate) fn image_placeholder(run: &mut Run<'_, '_>) {
    let patterns: Vec<String> = run.active.texts("patterns").iter().map(|pattern| pattern.to_lowercase()).collect();
    let file = run.file.source.path.rsplit('/').next().unwrap_or_default().to_lowercase();
    if file.split(['-', '_', '.']).any(|word| matches!(word, "example" | "sample" | "template" | "tpl")) {
        return;
    }
    let hit = |text: &str| {
        let text = text.to_lowercase();
        let templated = ["{{", "${", "$(", "<%", "{%"].iter().any(|mark| text.contains(mark));
        !templated && patterns.iter().any(|pattern| holds(&text, pattern))
    };
    for artifact in run.artifacts() {
        for image in named(artifact) {
            let reference = Reference::read(&image.text);
            let replaced = is_replaced(run, &reference);
            let built = image.place.is_some_and(|place| place.kind == TargetKind::Service && place.get(&["build"]).is_some());
            if hit(&image.text) && !replaced && !built && !image.is_built() {
                let message = format!("image `{}` is a placeholder", shorten(&image.text));
                run.report(image.node.place(), image.object.clone(), message);
            }
        }
        if artifact.kind == ArtifactKind::HelmValues {
            for node in values(artifact.root).into_iter().flat_map(|value| [value.repository, value.whole]).flatten() {
                let Some(text) = node.text().filter(|text| hit(text) || hit(&format!("{text}/"))) else { continue };
                run.report(node.place(), artifact.object_at(node, ""), format!("image `{}` is a placeholder", shorten(text)));
            }
        }
        for image in kustomize_images(artifact) {
            let Some(name) = image.get("newName") else { continue };
            let Some(text) = name.text().filter(|text| hit(text) || hit(&format!("{text}/"))) else { continue };
            run.report(name.place(), artifact.object_at(name, ""), format!("image `{}` is a placeholder", shorten(text)));
        }
    }
}

/// What decides whether a node asks the registry before it starts an image that it has.
fn containers<'a, 'd>(artifact: &'a Artifact<'d>) -> Vec<(Named<'a, 'd>, Option<Node<'d>>)> {
    let policy = |image: &Named<'a, 'd>| image.place?.node.get("imagePullPolicy").filter(|policy| !policy.is_null());
    named(artifact).into_iter().map(|image| (policy(&image), image)).map(|(policy, image)| (image, policy)).collect()
}

/// Whether a file belongs to a cluster on somebody's own machine.
fn is_local(image: &Named<'_, '_>) -> bool {
    let path = image.node.doc.source.path.to_ascii_lowercase();
    image.scope == PathScope::Development
        || path.split(['/', '-', '_', '.']).any(|word| matches!(word, "kind" | "minikube" | "k3d" | "microk8s" | "skaffold" | "tilt"))
}

/// Reports containers whose node may start a copy that it has.
pub(crate) fn pull_policy_not_always(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts() {
        for (image, policy) in containers(artifact) {
            let reference = Reference::read(&image.text);
            let pinned = reference.digest;
            if pinned || is_local(&image) || reference.name.starts_with("localhost/") {
                continue;
            }
            let name = image.place.map_or("", |place| place.name());
            match policy.and_then(Node::text) {
                Some("Always") => {}
                Some(text) if text.contains(['{', '$']) => {}
                Some(text) => {
                    let at = policy.unwrap_or(image.node);
                    run.report(at.place(), image.object.clone(), format!("container `{name}` has the pull policy {}", shorten(text)));
                }
                None => {
                    let always = reference.tag.is_none_or(|tag| tag == "latest");
                    let complete = image.place.is_some_and(|place| place.complete);
                    let retagged = is_replaced(run, &reference);
                    if !is_open(&image.text) && !always && complete && !retagged {
                        let message = format!("container `{name}` has no pull policy, which means IfNotPresent for its tag");
                        run.report(image.node.place(), image.object.clone(), message);
                    }
                }
            }
        }
    }
}

/// Reports nodes that run an old copy of an image that has moved on.
pub(crate) fn stale_image_possible(run: &mut Run<'_, '_>) {
    let words = run.active.texts("mutable").to_vec();
    for artifact in run.artifacts() {
        for (image, policy) in containers(artifact) {
            let Some(policy) = policy else { continue };
            let reference = Reference::read(&image.text);
            let fixed = reference.digest || is_replaced(run, &reference);
            let moves = !fixed && !is_open(&image.text) && reference.tag.is_none_or(|tag| is_mutable(tag, &words));
            let name = image.place.map_or("", |place| place.name());
            let message = match policy.text() {
                _ if is_local(&image) => continue,
                Some("IfNotPresent") if moves => {
                    format!("container `{name}` may start an old copy: `{}` moves and is pulled only once", shorten(&image.text))
                }
                Some("Never") if image.scope == PathScope::Production => format!("container `{name}` is never pulled in production"),
                Some("Never") if moves => format!("container `{name}` starts whatever copy of `{}` its node has", shorten(&image.text)),
                _ => continue,
            };
            run.report(policy.place(), image.object.clone(), message);
        }
    }
}

/// Reports images from registries that the user has not named.
pub(crate) fn registry_not_allowed(run: &mut Run<'_, '_>) {
    let allowed: Vec<String> = run
        .active
        .texts("allow")
        .iter()
        .map(|entry| {
            let entry = entry.trim().trim_end_matches('/');
            let first = entry.split('/').next().unwrap_or_default();
            if is_host(first) || entry.is_empty() { entry.to_owned() } else { format!("docker.io/{entry}") }
        })
        .filter(|entry| !entry.is_empty())
        .collect();
    if allowed.is_empty() {
        return;
    }
    let outside = |text: &str| {
        let name = Reference::read(text).complete();
        let registry = name.split('/').next().unwrap_or_default();
        let open = is_open(registry) || (is_open(text) && text.starts_with(['$', '{', '<']));
        !open && !allowed.iter().any(|entry| name.strip_prefix(entry.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
    };
    for artifact in run.artifacts() {
        for image in named(artifact) {
            let reference = Reference::read(&image.text);
            let built = image.place.is_some_and(|place| place.kind == TargetKind::Service && place.get(&["build"]).is_some());
            let replaced = is_replaced(run, &reference);
            if image.text != "auto" && !built && !replaced && outside(&image.text) {
                let message = format!("image `{}` comes from a registry that is not allowed", shorten(&image.text));
                run.report(image.node.place(), image.object.clone(), message);
            }
        }
        if artifact.kind == ArtifactKind::HelmValues {
            for value in values(artifact.root) {
                let Some(node) = value.repository.or(value.whole) else { continue };
                let registry = node.parent().and_then(|parent| parent.text_of("registry")).filter(|registry| !registry.is_empty());
                let Some(text) = node.text() else { continue };
                // A chart may put a global registry before a bare repository.
                let known = registry.is_some() || text.split_once('/').is_some_and(|(host, _)| is_host(host));
                let full = registry.map_or_else(|| text.to_owned(), |registry| format!("{registry}/{text}"));
                if known && outside(&full) {
                    let message = format!("image `{}` comes from a registry that is not allowed", shorten(&full));
                    run.report(node.place(), artifact.object_at(node, ""), message);
                }
            }
        }
        for image in kustomize_images(artifact) {
            let Some(name) = image.get("newName") else { continue };
            if let Some(text) = name.text().filter(|text| outside(text)) {
                let message = format!("image `{}` comes from a registry that is not allowed", shorten(text));
                run.report(name.place(), artifact.object_at(name, ""), message);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_as_clients_do() {
        let read = |text| {
            let reference = Reference::read(text);
            (reference.name, reference.tag, reference.digest)
        };
        assert_eq!(read("nginx"), ("nginx", None, false));
        assert_eq!(read("localhost:5000/app"), ("localhost:5000/app", None, false));
        assert_eq!(read("localhost:5000/app:1"), ("localhost:5000/app", Some("1"), false));
        assert_eq!(read("app:1@sha256:ab"), ("app", Some("1"), true));
        assert_eq!(Reference::read("nginx:1").complete(), "docker.io/library/nginx");
        assert_eq!(Reference::read("acme/web").complete(), "docker.io/acme/web");
        assert_eq!(Reference::read("ghcr.io/acme/web").complete(), "ghcr.io/acme/web");
    }

    #[test]
    fn tags_are_mutable_by_their_words() {
        let words: Vec<String> = ["latest", "main", "stable", "dev", "lts"].map(str::to_owned).into();
        for tag in ["latest", "latest-alpine", "stable", "main", "3.12-dev", "22-lts", "Latest"] {
            assert!(is_mutable(tag, &words), "{tag}");
        }
        for tag in ["1.2.3", "v1", "mainline", "main-1a2b3c4", "1.2.3-dev", "dev-20240501", "2.479.3-lts", "main-1234", "main-sha1a2b3c4"] {
            assert!(!is_mutable(tag, &words), "{tag}");
        }
    }

    #[test]
    fn patterns_begin_at_words() {
        assert!(holds("registry.example.com/app", "example.com/"));
        assert!(!holds("myexample.com/app", "example.com/"));
        assert!(holds("<your-name>/app", "<*>"));
        assert!(!holds("a/b", "<*>"));
    }
}
