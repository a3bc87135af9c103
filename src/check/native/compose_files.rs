//! Native checks of Compose files that look at the files they name: what is built, mounted and read.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashSet};

use super::compose::{Dollar, dollars, in_command, is_completed, is_fragment, is_part_of_secret, is_set_by, is_set_in, services};
use super::dockerfile::{User, drops_privileges, is_root_image, user};
use super::env_files::is_example;
use crate::artifact::{Artifact, PathScope, Place, Placement};
use crate::check::{Run, shorten};
use crate::finding::{Confidence, Object};
use crate::source::Span;
use crate::survey::{Sort, join};
use crate::syntax::{Node, Style};
use crate::tree::{is_below, parent};

/// Whether a text is a path near the file, and all of it is written.
fn is_local(text: &str) -> bool {
    let drive = text.get(1..2) == Some(":");
    !text.is_empty() && !drive && !text.starts_with(['/', '~']) && !text.contains(['$', '{', '<', '\\', '*']) && !text.contains("://")
}

/// The folder of a file and those above it, nearest first.
fn folders(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(parent(path), |folder| parent(folder))
}

/// Where a path of the file leads.
enum Target {
    /// To something of the project; the folder that it was found from may be one above the file's.
    Found(String),
    /// To nothing that the project has.
    Missing(String),
    /// Out of the project, or to what it does not keep.
    Unknown,
}

/// Follows a path as Compose does: from the folder of the file, or of another one that this one is merged with.
fn follow(run: &Run<'_, '_>, text: &str) -> Target {
    if !is_local(text) {
        return Target::Unknown;
    }
    let tree = run.file.tree;
    let path = &*run.file.source.path;
    let Some(own) = parent(path).and_then(|folder| join(folder, text)) else { return Target::Unknown };
    let found = folders(path).filter_map(|folder| join(folder, text)).find(|path| tree.is_file(path) || tree.is_folder(path));
    match found {
        Some(found) => Target::Found(found),
        None if tree.ignores(&own, false) || tree.ignores(&own, true) || in_submodule(run, &own) => Target::Unknown,
        None => Target::Missing(own),
    }
}

/// Whether a path lies in another repository that is checked out there.
fn in_submodule(run: &Run<'_, '_>, path: &str) -> bool {
    let modules = run.file.files.text(".gitmodules").unwrap_or_default();
    let folders = modules.lines().filter_map(|line| line.trim().strip_prefix("path")?.trim_start().strip_prefix('='));
    folders.map(str::trim).any(|folder| folder == path || is_below(folder, path))
}

/// Whether an example of a file lies beside it, so that whoever runs the project knows to make it.
fn has_example(run: &Run<'_, '_>, path: &str) -> bool {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let stem = name.trim_start_matches('.').split('.').next().unwrap_or_default();
    run.file.tree.names(folder).iter().any(|other| is_example(other) && other.contains(stem))
}

/// Reports environment files that are not there.
pub(crate) fn env_file_missing(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts() {
        let mut seen = HashSet::new();
        for place in services(artifact) {
            let Some(list) = place.node.get("env_file") else { continue };
            let items: Vec<Node<'_>> = if list.is_sequence() { list.items().collect() } else { vec![list] };
            for item in items {
                let required = item.text_of("required") != Some("false");
                let Some(node) = (if item.is_mapping() { item.get("path") } else { Some(item) }) else { continue };
                let Some(text) = node.text().filter(|_| required && seen.insert(node.place())) else { continue };
                if !is_local(text) {
                    continue;
                }
                let Some(own) = parent(&run.file.source.path).and_then(|folder| join(folder, text)) else { continue };
                let tree = run.file.tree;
                if folders(&run.file.source.path).filter_map(|folder| join(folder, text)).any(|path| tree.is_file(&path)) {
                    continue;
                }
                let example = has_example(run, &own);
                // Whoever checks the project out copies the example.
                if example && tree.ignores(&own, false) || in_submodule(run, &own) {
                    continue;
                }
                let message = format!("service `{}` reads `{}`, which is not there", place.name(), shorten(text));
                let draft = run.report_at(place, node, message);
                if example {
                    draft.confidence = draft.confidence.lower();
                }
            }
        }
    }
}

/// Endings of files that programs read; a folder has none of these.
const FILES: &[&str] = &[
    "conf",
    "cnf",
    "cfg",
    "ini",
    "yml",
    "yaml",
    "json",
    "toml",
    "xml",
    "properties",
    "env",
    "sh",
    "sql",
    "js",
    "ts",
    "mjs",
    "py",
    "rb",
    "php",
    "lua",
    "pem",
    "crt",
    "cer",
    "key",
    "p12",
    "jks",
    "htpasswd",
    "txt",
    "html",
    "tmpl",
    "template",
    "tpl",
    "hcl",
    "acl",
    "vcl",
    "rules",
    "csv",
];

/// Whether the last part of a path is the name of a file.
fn names_a_file(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.eq_ignore_ascii_case("Caddyfile")
        || name.rsplit_once('.').is_some_and(|(stem, ending)| {
            // `conf.d` and `.env` alone: the first is a folder by custom, the second a file.
            (!stem.is_empty() || ending == "env" || ending == "htpasswd") && FILES.contains(&ending)
        })
}

/// The source of a bind mount, and what it is mounted at.
fn bind(item: Node<'_>) -> Option<(Node<'_>, &str, &str)> {
    if item.is_mapping() {
        let created = item.at_path(&["bind", "create_host_path"]).and_then(Node::text) != Some("false");
        let source = item.get("source").filter(|_| item.text_of("type") == Some("bind") && created)?;
        return Some((source, source.text()?, item.text_of("target")?));
    }
    let (source, rest) = item.text()?.split_once(':')?;
    let is_path = source.starts_with(['.', '/', '~']);
    is_path.then_some((item, source, rest.split(':').next().unwrap_or_default()))
}

/// Reports bind mounts of files that are not there.
pub(crate) fn bind_source_missing(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts() {
        let mut seen = HashSet::new();
        for place in services(artifact) {
            for item in place.node.get("volumes").into_iter().flat_map(Node::items) {
                let Some((node, source, target)) = bind(item) else { continue };
                if !names_a_file(source) || target.ends_with('/') || !seen.insert(node.place()) {
                    continue;
                }
                if let Target::Missing(path) = follow(run, source) {
                    let start = node.value_span().start as usize;
                    let span = if node.is_verbatim() { Span::new(start, start + source.len()) } else { node.place() };
                    let object = Object { path: node.path(), ..place.object.clone() };
                    let message = format!(
                        "service `{}` mounts `{}`, which is not there, so Docker makes a folder of it",
                        place.name(),
                        shorten(source)
                    );
                    let example = has_example(run, &path);
                    let draft = run.report(span, object, message);
                    if example {
                        draft.confidence = draft.confidence.lower();
                    }
                }
            }
        }
    }
}

/// Reports files of secrets and configs that hold nothing, and paths in containers that no secret is mounted at.
pub(crate) fn secret_file_missing(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts() {
        for kind in ["secrets", "configs"] {
            for (key, entry) in artifact.root.get(kind).into_iter().flat_map(Node::entries) {
                let (Some(name), Some(node)) = (key.text(), entry.get("file")) else { continue };
                let Some(text) = node.text() else { continue };
                let what = kind.trim_end_matches('s');
                let message = match follow(run, text) {
                    Target::Missing(_) => format!("the file of {what} `{}` is not there", shorten(name)),
                    Target::Found(path) if run.file.files.text(&path).is_some_and(|text| text.trim().is_empty()) => {
                        format!("the file of {what} `{}` is empty", shorten(name))
                    }
                    _ => continue,
                };
                run.report(node.place(), artifact.object_at(node, ""), message);
            }
        }
        unmounted(run, artifact);
    }
}

/// Variables of a service that name a file of a secret which the service does not get.
fn unmounted<'d>(run: &mut Run<'_, 'd>, artifact: &Artifact<'d>) {
    if is_fragment(artifact) {
        return;
    }
    for variable in artifact.variables.iter().filter(|variable| variable.placement == Placement::ComposeEnvironment) {
        let Some(name) = variable.value.strip_prefix("/run/secrets/").filter(|_| variable.name.ends_with("_FILE")) else { continue };
        let Some(place) = services(artifact).find(|place| place.name() == variable.container && place.complete) else { continue };
        let known = [Some(place.node), artifact.base.and_then(|base| base.at_path(&["services", place.name()]))];
        let layers = place.layers.iter().map(|layer| layer.node).chain(known.into_iter().flatten());
        let mut mounted = false;
        for node in layers {
            for secret in node.get("secrets").into_iter().flat_map(Node::items) {
                let target = secret.text_of("target").or_else(|| secret.text_of("source")).or_else(|| secret.text()).unwrap_or_default();
                mounted |= target.trim_start_matches("/run/secrets/") == name || target.contains('$');
            }
            for volume in node.get("volumes").into_iter().flat_map(Node::items) {
                let text = volume.text_of("target").or_else(|| volume.text()).unwrap_or_default();
                mounted |= text.contains("/run/secrets") || text.contains('$') || text.ends_with(":/run");
            }
        }
        if mounted || name.is_empty() || name.contains('$') || variable.value.contains("..") {
            continue;
        }
        let message =
            format!("`{}` names a file that service `{}` does not get: it has no secret `{}`", variable.name, place.name(), shorten(name));
        run.report(variable.span, artifact.object_at(variable.node, variable.container), message);
    }
}

/// Where a service is built: the context and where that is said, the Dockerfile where one is named, and the stage.
struct Build<'d> {
    node: Node<'d>,
    context: &'d str,
    dockerfile: Option<Node<'d>>,
    inline: Option<&'d str>,
    target: Option<&'d str>,
}

fn build<'d>(place: &Place<'d>) -> Option<Build<'d>> {
    let build = place.node.get("build").filter(|build| !build.is_null())?;
    if !build.is_mapping() {
        return Some(Build { node: build, context: build.text()?, dockerfile: None, inline: None, target: None });
    }
    let context = build.get("context");
    Some(Build {
        node: context.unwrap_or(build),
        context: context.map_or(Some("."), Node::text)?,
        dockerfile: build.get("dockerfile"),
        inline: build.text_of("dockerfile_inline"),
        target: build.text_of("target"),
    })
}

fn is_remote(context: &str) -> bool {
    context.contains("://")
        || context.starts_with("git@")
        || context.starts_with("github.com/")
        || context.ends_with(".git")
        || context.contains('#')
}

/// Reports builds from folders and Dockerfiles that are not there.
pub(crate) fn build_context_missing(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts() {
        let mut seen = HashSet::new();
        for place in services(artifact) {
            let Some(build) = build(place).filter(|build| !is_remote(build.context) && seen.insert(build.node.place())) else { continue };
            let name = place.name();
            let context = match follow(run, build.context) {
                Target::Found(context) => context,
                Target::Missing(_) => {
                    let message = format!("service `{name}` is built in `{}`, which is not there", shorten(build.context));
                    run.report_at(place, build.node, message);
                    continue;
                }
                Target::Unknown => continue,
            };
            // What is no folder is an archive.
            if build.inline.is_some() || !run.file.tree.is_folder(&context) {
                continue;
            }
            let file = build.dockerfile.map_or(Some("Dockerfile"), Node::text).unwrap_or("$");
            let Some(path) = join(&context, file).filter(|_| is_local(file)) else { continue };
            let tree = run.file.tree;
            let elsewhere = || {
                folders(&run.file.source.path).filter_map(|folder| join(folder, build.context)).filter_map(|context| join(&context, file))
            };
            // Docker also takes the small letters, and Podman another name.
            let names = ["dockerfile", "Containerfile"].iter().filter(|_| build.dockerfile.is_none());
            let other = || names.filter_map(|name| join(&context, name)).any(|path| tree.is_file(&path));
            let is_there = tree.is_file(&path) || other() || elsewhere().any(|path| tree.is_file(&path));
            if is_there || tree.ignores(&path, false) || in_submodule(run, &path) {
                continue;
            }
            let at = build.dockerfile.unwrap_or(build.node);
            let message = match build.dockerfile {
                Some(_) => format!("service `{name}` is built by `{}`, which is not there", shorten(file)),
                None => format!("service `{name}` is built in `{}`, which has no Dockerfile", shorten(build.context)),
            };
            run.report_at(place, at, message);
        }
    }
}

/// Reports services that run as root because their Dockerfile leaves it at that.
pub(crate) fn built_image_runs_as_root(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts().filter(|artifact| artifact.scope != PathScope::Development) {
        let mut seen = HashSet::new();
        for place in services(artifact).filter(|place| place.complete) {
            // privileges/privileged-container says more.
            let privileged = place.get(&["privileged"]).is_some_and(|node| node.text() == Some("true"));
            let base = artifact.base.and_then(|base| base.at_path(&["services", place.name(), "user"])).is_some();
            if place.get(&["user"]).is_some() || privileged || base {
                continue;
            }
            let Some(build) = build(place).filter(|build| !is_remote(build.context) && seen.insert(build.node.place())) else { continue };
            let file = build.dockerfile.map_or(Some("Dockerfile"), Node::text).unwrap_or("$");
            let (text, name) = if let Some(inline) = build.inline {
                (inline.to_owned(), "its Dockerfile".to_owned())
            } else {
                let Target::Found(context) = follow(run, build.context) else { continue };
                let Some(path) = join(&context, file).filter(|_| is_local(file)) else { continue };
                let development = PathScope::of_path(&path) == PathScope::Development;
                let Some(text) = run.file.files.text(&path).filter(|_| !development) else { continue };
                (text, format!("`{}`", shorten(&path)))
            };
            // A stage for work on the code is not what production runs.
            let tried_only =
                build.target.is_some_and(|target| PathScope::of_words(target) == PathScope::Development || target.contains('$'));
            if drops_privileges(&text) || tried_only {
                continue;
            }
            let message = match user(&text, build.target) {
                User::Root(line) => format!("service `{}` runs as root: {name} ends as root (line {line})", place.name()),
                User::Base(image) if is_root_image(&image) => format!("service `{}` runs as root: {name} has no USER", place.name()),
                _ => continue,
            };
            let draft = run.report_at(place, build.node, message);
            // A script may change the user before it starts the program.
            if text.contains("entrypoint.sh") {
                draft.confidence = Confidence::Low;
            }
        }
    }
}

/// Variables that a shell has by itself, or that Compose sets.
const OF_SHELLS: &[&str] =
    &["HOME", "PATH", "PWD", "USER", "LOGNAME", "SHELL", "HOSTNAME", "LANG", "TERM", "TMPDIR", "DISPLAY", "SSH_AUTH_SOCK", "OSTYPE"];
const OF_SHELLS_PREFIXES: &[&str] = &["COMPOSE_", "DOCKER_", "XDG_", "LC_"];

/// The names that the environment files around the file set; nothing where there are none.
fn defined(run: &Run<'_, '_>, artifact: &Artifact<'_>) -> Option<BTreeSet<String>> {
    let path = &*run.file.source.path;
    let mut files: BTreeSet<String> = BTreeSet::new();
    for folder in folders(path) {
        files.extend(run.file.files.environment_files(folder));
    }
    for place in services(artifact) {
        let Some(list) = place.node.get("env_file") else { continue };
        let items = list.items().chain(list.is_scalar().then_some(list)).chain(list.is_mapping().then_some(list));
        let paths = items.filter_map(|item| item.text().or_else(|| item.text_of("path")));
        files.extend(paths.filter_map(|text| join(parent(path)?, text)).filter(|path| run.file.tree.is_file(path)));
    }
    let folder = parent(path).unwrap_or_default();
    let own = files.iter().any(|file| is_below(folder, file));
    // Any other one may be named by `--env-file`.
    files.extend(run.file.files.of_sort(Sort::Dotenv).filter(|file| is_below(folder, file)).map(ToString::to_string));
    own.then(|| files.iter().flat_map(|file| run.file.files.variables(file)).collect())
}

/// Reports variables that nothing in the project defines.
pub(crate) fn variable_undefined(run: &mut Run<'_, '_>) {
    for artifact in run.artifacts().filter(|artifact| !is_completed(artifact)) {
        // Few files have a variable to look up.
        let known: OnceCell<Option<BTreeSet<String>>> = OnceCell::new();
        let mut seen: HashSet<String> = HashSet::new();
        for key in ["services", "networks", "volumes", "configs", "secrets"] {
            for node in artifact.root.get(key).into_iter().flat_map(Node::values) {
                let block = !node.is_verbatim() && matches!(node.style(), Style::Literal | Style::Folded);
                let (text, exact) = match node.text() {
                    Some(text) if text.contains('$') && !block => (text, node.is_verbatim()),
                    Some(text) if text.contains('$') => (node.doc.source.slice(node.value_span()), true),
                    _ => continue,
                };
                for dollar in dollars(text) {
                    let Dollar::Variable { at, name, braced } = dollar else { continue };
                    let of_shell = OF_SHELLS.contains(&name) || OF_SHELLS_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
                    let declared = run.file.files.is_external("variable", name);
                    let escaped_instead = in_command(node) && (is_set_in(artifact, node, name) || is_set_by(text, name));
                    if of_shell || declared || escaped_instead || (!braced && is_part_of_secret(node, text, at, name)) {
                        continue;
                    }
                    let Some(known) = known.get_or_init(|| defined(run, artifact)) else { return };
                    if known.contains(name) || !seen.insert(name.to_owned()) {
                        continue;
                    }
                    let start = node.value_span().start as usize + at;
                    let length = name.len() + if braced { 3 } else { 1 };
                    let span = if exact { Span::new(start, start + length) } else { node.place() };
                    let message =
                        format!("`{name}` is defined in no environment file of the project, so it is empty unless the shell sets it");
                    run.report(span, artifact.object_at(node, ""), message);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_their_endings() {
        for path in ["./nginx.conf", "./init/001.sql", "./.env", "Caddyfile"] {
            assert!(names_a_file(path), "{path}");
        }
        for path in ["./data", "./conf.d", "./.cache", "./data.ms", "./src/app"] {
            assert!(!names_a_file(path), "{path}");
        }
    }

    #[test]
    fn paths_of_the_project_are_written_out() {
        for path in ["./a", "../a", "a/b"] {
            assert!(is_local(path), "{path}");
        }
        for path in ["/a", "~/a", "${A}/b", "https://example.com/a", "C:/a", ""] {
            assert!(!is_local(path), "{path}");
        }
        assert_eq!(folders("a/b/c.yaml").collect::<Vec<_>>(), ["a/b", "a", ""]);
    }
}
