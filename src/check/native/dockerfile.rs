//! Dockerfiles, as far as a service that is built from one depends on it.

use std::collections::HashMap;

/// Whom a built image runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum User {
    /// `USER root` or the like, on this line.
    Root(usize),
    /// No stage says one, so the user of this base image counts.
    Base(String),
    /// Somebody else, or what is only known when it is built.
    Other,
}

/// A stage: its name, the image or stage it begins from, and its last user with the line.
struct Stage {
    name: String,
    from: String,
    user: Option<(String, usize)>,
}

/// The instructions with the line each begins on: continued lines joined, comments and here-documents left out.
fn instructions(text: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut continued = false;
    let mut ends: Vec<String> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if let Some(end) = ends.first() {
            if line.trim() == end {
                ends.remove(0);
            }
            continue;
        }
        let trimmed = line.trim();
        if trimmed.starts_with('#') || (trimmed.is_empty() && !continued) {
            continue;
        }
        let part = trimmed.strip_suffix(['\\', '`']).unwrap_or(trimmed);
        match found.last_mut().filter(|_| continued) {
            Some((_, whole)) => {
                whole.push(' ');
                whole.push_str(part);
            }
            None => found.push((number + 1, part.to_owned())),
        }
        continued = part.len() < trimmed.len();
        let opens = part.split("<<").skip(1).map(|rest| rest.trim_start_matches('-').trim_start_matches(['"', '\'']));
        ends.extend(
            opens
                .map(|rest| rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect())
                .filter(|end: &String| !end.is_empty()),
        );
    }
    found
}

/// Puts the defaults of build arguments in; what has none stays.
fn filled(text: &str, arguments: &HashMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let (inside, tail) = match after.strip_prefix('{').and_then(|after| after.split_once('}')) {
            Some(parts) => parts,
            None => after.split_at(after.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count()),
        };
        let (name, default) = inside.split_once(":-").map_or((inside, None), |(name, default)| (name, Some(default)));
        match arguments.get(name).map(String::as_str).or(default) {
            Some(value) => out.push_str(value),
            None => out.push('$'),
        }
        rest = tail;
    }
    out.push_str(rest);
    out
}

/// Whom the last stage of a Dockerfile, or the target that is built, runs as.
pub(super) fn user(text: &str, target: Option<&str>) -> User {
    let mut arguments: HashMap<String, String> = HashMap::new();
    let mut stages: Vec<Stage> = Vec::new();
    for (line, instruction) in instructions(text) {
        let Some((word, rest)) = instruction.split_once(char::is_whitespace) else { continue };
        let rest = rest.trim();
        match word.to_ascii_uppercase().as_str() {
            "ARG" if stages.is_empty() => {
                if let Some((name, value)) = rest.split_once('=') {
                    arguments.insert(name.trim().to_owned(), value.trim().trim_matches(['"', '\'']).to_owned());
                }
            }
            "FROM" => {
                let words: Vec<&str> = rest.split_whitespace().filter(|word| !word.starts_with("--")).collect();
                let from = filled(words.first().copied().unwrap_or_default(), &arguments);
                let name = match words.as_slice() {
                    [_, marker, name, ..] if marker.eq_ignore_ascii_case("as") => (*name).to_owned(),
                    _ => String::new(),
                };
                stages.push(Stage { name, from, user: None });
            }
            "USER" => {
                if let Some(stage) = stages.last_mut() {
                    stage.user = Some((rest.trim_matches(['"', '\'']).to_owned(), line));
                }
            }
            _ => {}
        }
    }
    let named = |name: &str, before: usize| stages.iter().take(before).rposition(|stage| stage.name.eq_ignore_ascii_case(name));
    let mut at = match target {
        Some(target) => named(target, stages.len()),
        None => stages.len().checked_sub(1),
    };
    while let Some((index, stage)) = at.and_then(|index| Some((index, stages.get(index)?))) {
        if let Some((user, line)) = &stage.user {
            let account = user.split(':').next().unwrap_or_default();
            return if matches!(account, "root" | "0") { User::Root(*line) } else { User::Other };
        }
        at = named(&stage.from, index).filter(|_| !stage.from.is_empty());
        if at.is_none() {
            return User::Base(stage.from.clone());
        }
    }
    User::Other
}

/// Images of languages and systems that run as root and are meant to be built upon.
const ROOT_IMAGES: &[&str] = &[
    "alpine",
    "debian",
    "ubuntu",
    "busybox",
    "scratch",
    "amazonlinux",
    "fedora",
    "centos",
    "rockylinux",
    "almalinux",
    "oraclelinux",
    "archlinux",
    "buildpack-deps",
    "node",
    "python",
    "golang",
    "ruby",
    "php",
    "rust",
    "perl",
    "elixir",
    "erlang",
    "haskell",
    "swift",
    "julia",
    "gcc",
    "openjdk",
    "eclipse-temurin",
    "amazoncorretto",
    "maven",
    "gradle",
    "composer",
    "tomcat",
    "nginx",
    "httpd",
    "caddy",
];

/// Whether an image of the library runs as root by itself.
pub(super) fn is_root_image(image: &str) -> bool {
    let image = image.split('@').next().unwrap_or_default();
    let (name, tag) = match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (image, ""),
    };
    let library = ["docker.io/library/", "docker.io/", "public.ecr.aws/docker/library/", "library/"];
    let name = library.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name);
    let other = ["nonroot", "rootless", "unprivileged", "chiseled"].iter().any(|word| tag.contains(word));
    ROOT_IMAGES.contains(&name) && !other
}

/// Whether something in a Dockerfile changes the user when the container starts.
pub(super) fn drops_privileges(text: &str) -> bool {
    ["gosu", "su-exec", "setpriv", "runuser", "s6-overlay", "s6-setuidgid", "chroot", "supervisord"].iter().any(|word| text.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_stage_decides() {
        assert_eq!(user("FROM node:20\n", None), User::Base("node:20".to_owned()));
        assert_eq!(user("FROM node:20\nUSER node\n", None), User::Other);
        assert_eq!(user("FROM node:20\nUSER node\nUSER root\n", None), User::Root(3));
        assert_eq!(user("FROM node:20 AS build\nUSER root\nFROM node:20\nUSER 1000:1000\n", None), User::Other);
        assert_eq!(user("FROM node:20 AS base\nUSER node\nFROM base\nRUN x\n", None), User::Other);
        assert_eq!(user("FROM a AS one\nUSER 0\nFROM b AS two\nUSER 5\n", Some("one")), User::Root(2));
        assert_eq!(user("FROM a AS one\n", Some("none")), User::Other);
        assert_eq!(user("FROM a\nUSER ${APP_USER}\n", None), User::Other);
    }

    #[test]
    fn arguments_and_continued_lines_are_read() {
        let text = "ARG BASE=node\nARG TAG\nFROM --platform=linux/amd64 ${BASE}:${TAG} as web\nRUN a \\\n  USER root\n";
        assert_eq!(user(text, None), User::Base("node:$".to_owned()));
        assert_eq!(user("FROM a\nRUN <<EOF\nUSER root\nEOF\nUSER 7\n", None), User::Other);
    }

    #[test]
    fn images_of_the_library_run_as_root() {
        for image in ["node:20-alpine", "docker.io/library/python:3.12", "scratch", "nginx@sha256:00", "node:$"] {
            assert!(is_root_image(image), "{image}");
        }
        for image in ["gcr.io/distroless/static:nonroot", "acme/node:1", "postgres:16", "node:20-nonroot", "$"] {
            assert!(!is_root_image(image), "{image}");
        }
    }
}
