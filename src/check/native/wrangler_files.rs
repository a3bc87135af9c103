//! Native checks of pack wrangler that look at the files around a configuration and at other Workers.

use std::collections::{BTreeMap, BTreeSet};

use super::wrangler::{consumers, each_worker, whose};
use crate::artifact::{Artifact, PathScope, Place, worker_entries};
use crate::check::native::cron::is_filled_later;
use crate::check::{Run, shorten};
use crate::finding::{Confidence, Severity};
use crate::project::called;
use crate::rule::ArtifactKind;
use crate::survey::join;
use crate::syntax::{Node, Syntax};
use crate::tree::parent;

/// Folders that tools write what is deployed into.
const BUILT: &[&str] = &[
    "dist",
    "build",
    "built",
    "out",
    "output",
    ".output",
    ".svelte-kit",
    ".open-next",
    ".vercel",
    ".next",
    ".nuxt",
    ".astro",
    ".worker-next",
    "_site",
    "target",
    "pkg",
    ".wrangler",
    "release",
    "bundle",
    "client",
    ".solid",
    ".react-router",
    ".nitro",
    "esm",
    "lib",
];
/// Endings of what Wrangler takes as the start of a Worker.
const CODE: &[&str] = &["js", "mjs", "cjs", "jsx", "ts", "mts", "cts", "tsx", "py"];

fn folder(run: &Run<'_, '_>) -> String {
    parent(&run.file.source.path).unwrap_or_default().to_owned()
}

/// Whether something before the deployment makes a path: a build, a framework, or whatever git ignores it for.
fn is_built(run: &Run<'_, '_>, place: &Place<'_>, path: &str) -> bool {
    let made = path.split('/').any(|part| BUILT.contains(&part));
    let command = place.get(&["build", "command"]).is_some_and(|command| command.text() != Some(""));
    made || command || run.file.tree.ignores(path, false) || run.file.tree.ignores(path, true)
}

/// Reports entry points and folders of assets that are not there.
pub(crate) fn entry_missing(run: &mut Run<'_, '_>) {
    let folder = folder(run);
    let tree = run.file.tree;
    each_worker(run, |run, _, place| {
        if let Some((node, text)) = place.node.get("main").and_then(|node| Some((node, node.text()?))) {
            // `@framework/entry` is a module that a bundler resolves.
            let written = text.rsplit_once('.').is_some_and(|(_, ending)| CODE.contains(&ending)) && !text.starts_with(['@', '/']);
            if let Some(path) = join(&folder, text).filter(|_| written && !is_filled_later(text))
                && !tree.is_file(&path)
                && !is_built(run, place, &path)
            {
                run.report_at(place, node, format!("the entry point `{}` is not there", shorten(text)));
            }
        }
        if let Some((node, text)) = place.node.at_path(&["assets", "directory"]).and_then(|node| Some((node, node.text()?)))
            && let Some(path) = join(&folder, text).filter(|_| !is_filled_later(text))
            && !tree.is_folder(&path)
            && !is_built(run, place, &path)
        {
            let draft = run.report_at(place, node, format!("the folder of assets `{}` is not there", shorten(text)));
            // A script that nobody here knows may make it.
            if tree.is_file(&format!("{}package.json", if folder.is_empty() { String::new() } else { format!("{folder}/") })) {
                draft.confidence = Confidence::Low;
            }
        }
    });
}

/// Reports databases whose migrations are missing or out of order.
pub(crate) fn d1_migrations_missing(run: &mut Run<'_, '_>) {
    const ORM_FILES: &[&str] = &["drizzle.config.", "prisma.config.", "kysely.config.", "knexfile."];
    let folder = folder(run);
    let tree = run.file.tree;
    each_worker(run, |run, _, place| {
        if place.scope == PathScope::Development {
            return;
        }
        for (list, entry) in worker_entries(place.node) {
            let Some(binding) = entry.get("binding").or_else(|| entry.get("database_name")).filter(|_| list == "d1_databases") else {
                continue;
            };
            let said = entry.get("migrations_dir");
            let Some(text) = said.map_or(Some("migrations"), Node::text).filter(|text| !is_filled_later(text)) else { continue };
            let Some(path) = join(&folder, text) else { continue };
            if !tree.is_folder(&path) {
                let id = entry.text_of("database_id").unwrap_or_default();
                let owned = run
                    .file
                    .files
                    .workers()
                    .iter()
                    .any(|worker| worker.path != *run.file.source.path && worker.migrated.iter().any(|known| known == id));
                let names = tree.names(&folder);
                let orm = ORM_FILES.iter().any(|file| names.iter().any(|name| name.starts_with(file)))
                    || ["drizzle", "prisma"].iter().any(|name| join(&folder, name).is_some_and(|path| tree.is_folder(&path)));
                if owned || is_built(run, place, &path) || (said.is_none() && orm) {
                    continue;
                }
                let message = format!("there is no folder `{}` with the migrations of this database", shorten(text));
                let draft = run.report_at(place, said.unwrap_or(binding), message);
                if said.is_none() {
                    // It may be set up by hand.
                    draft.confidence = Confidence::Low;
                }
                continue;
            }
            let names: Vec<String> = tree.names(&path).into_iter().filter(|name| name.ends_with(".sql")).collect();
            if let Some(fault) = out_of_order(&names) {
                run.report_at(place, said.unwrap_or(binding), format!("the migrations in `{}` {fault}", shorten(text)));
            }
        }
    });
}

/// What is wrong with the numbers of migrations; those that begin with a date have none.
fn out_of_order(names: &[String]) -> Option<String> {
    if names.is_empty() {
        return Some("are missing: the folder has no `.sql` file".to_owned());
    }
    let number = |name: &String| {
        let digits = name.bytes().take_while(u8::is_ascii_digit).count();
        name.get(..digits).filter(|text| !text.is_empty()).map(|text| (text.len(), text.parse::<u64>().ok()))
    };
    let mut numbers: Vec<u64> = Vec::new();
    for name in names {
        match number(name) {
            None => return Some(format!("are not numbered: `{}` has no number", shorten(name))),
            Some((digits, _)) if digits > 6 => return None,
            Some((_, number)) => numbers.extend(number),
        }
    }
    numbers.sort_unstable();
    let pairs = numbers.iter().zip(numbers.iter().skip(1));
    pairs.into_iter().find_map(|(before, after)| match after - before {
        0 => Some(format!("have the number {after} twice")),
        1 => None,
        _ => Some(format!("leave out the number {}", before + 1)),
    })
}

/// Reports configurations that Wrangler does not read because another one lies beside them.
pub(crate) fn multiple_config_files(run: &mut Run<'_, '_>) {
    /// In the order in which Wrangler looks for them.
    const NAMES: &[&str] = &["wrangler.json", "wrangler.jsonc", "wrangler.toml"];
    let folder = folder(run);
    let own = run.file.source.path.rsplit('/').next().unwrap_or_default();
    let Some(rank) = NAMES.iter().position(|name| *name == own) else { return };
    let path = |name: &str| if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
    let Some(read) = NAMES.iter().take(rank).find(|name| run.file.tree.is_file(&path(name))) else { return };
    // A script that names the file reads it.
    let chosen = run.file.files.text(&path("package.json")).is_some_and(|text| text.contains(own));
    let Some(artifact) = run.file.artifacts.iter().find(|artifact| artifact.kind == ArtifactKind::Wrangler && !chosen) else { return };
    // An empty file misleads nobody.
    let Some((first, _)) = artifact.root.pairs().next() else { return };
    run.report(first.span(), artifact.object.clone(), format!("Wrangler reads `{read}` and not this file"));
}

/// Reports required secrets that nobody who checks the project out is told of.
pub(crate) fn required_secret_undeclared(run: &mut Run<'_, '_>) {
    let folder = folder(run);
    each_worker(run, |run, _, place| {
        let required: Vec<Node<'_>> = place.node.at_path(&["secrets", "required"]).into_iter().flat_map(Node::items).collect();
        if required.is_empty() {
            return;
        }
        let files = run.file.files.environment_files(&folder);
        let known: BTreeSet<String> = files.iter().flat_map(|file| run.file.files.variables(file)).collect();
        for node in required {
            let Some(name) = node.text().filter(|name| !known.contains(*name) && !is_filled_later(name)) else { continue };
            let message = if files.is_empty() {
                format!("no `.dev.vars` or example of one lists the required secret `{}`", shorten(name))
            } else {
                format!("no environment file beside this one lists the required secret `{}`", shorten(name))
            };
            let draft = run.report_at(place, node, message);
            if files.is_empty() {
                draft.confidence = Confidence::Low;
            }
        }
    });
}

/// Reports Workers that are called and that no configuration defines.
pub(crate) fn service_binding_dangling(run: &mut Run<'_, '_>) {
    let files = run.file.files;
    // A part of the repository says nothing about the rest.
    if !files.is_whole() || files.workers().len() < 2 {
        return;
    }
    each_worker(run, |run, artifact, place| {
        // Tests make the Workers that they call.
        if place.scope == PathScope::Development {
            return;
        }
        for (list, entry) in worker_entries(place.node) {
            let Some((node, name)) = called(&list, entry).and_then(|node| Some((node, node.text()?))) else { continue };
            let own = artifact.root.text_of("name") == Some(name);
            let full = entry.text_of("environment").map(|environment| format!("{name}-{environment}"));
            let is_known = |wanted: &str| files.workers().iter().any(|worker| worker.names.iter().any(|known| known == wanted));
            let is_defined = is_known(name) || full.as_deref().is_some_and(is_known);
            if own || is_defined || is_filled_later(name) || files.is_external("worker", name) {
                continue;
            }
            run.report_at(place, node, format!("no configuration of the repository defines the Worker `{}`", shorten(name)));
        }
    });
}

/// The environment that a command of Wrangler names; nothing where it names another configuration.
fn environment_of<'t>(command: &'t str, file: &str) -> Option<&'t str> {
    let words: Vec<&str> = command.split_whitespace().map(|word| word.trim_matches(['"', '\''])).collect();
    let start = words.iter().position(|word| *word == "wrangler" || word.starts_with("wrangler@"))?;
    let words = words.get(start + 1..)?;
    if words.first() == Some(&"pages") {
        return None;
    }
    let option = |names: &[&str]| {
        words.iter().enumerate().find_map(|(index, word)| match word.split_once('=') {
            Some((name, value)) if names.contains(&name) => Some(value.trim_matches(['"', '\''])),
            None if names.contains(word) => words.get(index + 1).copied(),
            _ => None,
        })
    };
    if option(&["--config", "-c"]).is_some_and(|other| other.trim_start_matches("./") != file) || option(&["--cwd"]).is_some() {
        return None;
    }
    let name = option(&["--env", "-e"])?;
    let plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    plain.then_some(name)
}

/// The environments that a script names, one command after the other.
fn environments<'t>(script: &'t str, file: &str) -> Vec<&'t str> {
    // Whoever changes the folder means another configuration.
    if script.split(['&', ';', '|', '\n']).any(|command| command.trim_start().starts_with("cd ")) {
        return Vec::new();
    }
    script.split(['&', ';', '|', '\n']).filter_map(|command| environment_of(command, file)).collect()
}

/// Reports environments that scripts deploy and the configuration does not define.
pub(crate) fn environment_undefined(run: &mut Run<'_, '_>) {
    let folder = folder(run);
    let file = run.file.source.path.rsplit('/').next().unwrap_or_default().to_owned();
    let files = run.file.files;
    let mut wanted: BTreeMap<String, String> = BTreeMap::new();
    let package = if folder.is_empty() { "package.json".to_owned() } else { format!("{folder}/package.json") };
    if let Some(parsed) = files.parsed(&package, Syntax::Json) {
        let scripts = parsed.documents.first().and_then(|document| document.root().get("scripts"));
        for (key, script) in scripts.into_iter().flat_map(Node::entries) {
            for name in environments(script.text().unwrap_or_default(), &file) {
                let said = format!("script `{}` of package.json", shorten(key.text().unwrap_or_default()));
                wanted.entry(name.to_owned()).or_insert(said);
            }
        }
    }
    // A workflow of a repository with several Workers may mean any of them.
    if files.is_whole() && files.workers().len() == 1 {
        for path in run.file.tree.names(".github/workflows").iter().filter(|name| name.ends_with(".yml") || name.ends_with(".yaml")) {
            let Some(parsed) = files.parsed(&format!(".github/workflows/{path}"), Syntax::Yaml) else { continue };
            for node in parsed.documents.iter().flat_map(|document| document.root().values()) {
                for name in of_step(node, &file) {
                    wanted.entry(name).or_insert_with(|| format!("workflow `{}`", shorten(path)));
                }
            }
        }
    }
    let Some(artifact) = run.file.artifacts.iter().find(|artifact| artifact.kind == ArtifactKind::Wrangler) else { return };
    if run.file.rules.data.wrangler.is_generated(artifact.root) {
        return;
    }
    let environments = artifact.root.get("env");
    for (name, said) in wanted {
        if environments.is_some_and(|environments| environments.get(&name).is_some()) {
            continue;
        }
        let at = environments.unwrap_or_else(|| artifact.root.get("name").unwrap_or(artifact.root));
        run.report(
            at.place(),
            artifact.object.clone(),
            format!("{said} names environment `{}`, which is not defined here", shorten(&name)),
        );
    }
}

/// The environments that a step of a workflow names.
fn of_step(node: Node<'_>, file: &str) -> Vec<String> {
    let text = node.text().unwrap_or_default();
    let step = || node.parent().and_then(Node::parent);
    let is_action = || step().and_then(|step| step.text_of("uses")).is_some_and(|uses| uses.starts_with("cloudflare/wrangler-action"));
    let elsewhere = || node.parent().is_some_and(|with| with.get("workingDirectory").is_some() || with.get("working-directory").is_some());
    match node.key_text() {
        Some("run") if !elsewhere() => environments(text, file).into_iter().map(str::to_owned).collect(),
        Some("command" | "postCommands" | "preCommands") if is_action() && !elsewhere() => {
            let commands = text.lines().map(|line| if line.contains("wrangler") { line.to_owned() } else { format!("wrangler {line}") });
            commands.filter_map(|command| environment_of(&command, file).map(str::to_owned)).collect()
        }
        Some("environment") if is_action() && !elsewhere() && !is_filled_later(text) => vec![text.to_owned()],
        _ => Vec::new(),
    }
}

/// Whether anything starts a Worker: requests, schedules, messages.
fn is_reached(place: &Place<'_>) -> bool {
    let has_items =
        |keys: &[&str]| place.get(keys).is_some_and(|list| list.items().next().is_some() || (list.is_scalar() && list.text() != Some("")));
    let route = place.get(&["route"]).is_some_and(|route| !route.is_null());
    route || has_items(&["routes"]) || has_items(&["triggers", "crons"]) || consumers(place.node).next().is_some()
}

/// Reports Workers that nothing can start.
pub(crate) fn worker_unreachable(run: &mut Run<'_, '_>) {
    let files = run.file.files;
    each_worker(run, |run, artifact, place| {
        let Some(off) = place.get(&["workers_dev"]).filter(|node| node.as_bool() == Some(false)) else { return };
        let name = name_of(artifact, place);
        let is_base =
            place.environment.is_empty() && artifact.root.get("env").is_some_and(|env| env.entries().into_iter().next().is_some());
        // A namespace of Workers starts its own, and so does whoever shows a preview.
        let dispatched = ["tenant", "dispatch", "user-worker", "customer"].iter().any(|word| name.contains(word));
        let previewed = place.get(&["preview_urls"]).and_then(Node::as_bool) == Some(true);
        let undeployed = place.scope == PathScope::Development || place.pages || !place.complete || is_filled_later(&name);
        if is_base || dispatched || previewed || undeployed || is_reached(place) {
            return;
        }
        let base = artifact.root.text_of("name").unwrap_or_default();
        let is_called = files.workers().iter().any(|worker| worker.calls.iter().any(|called| *called == name || called == base));
        // Mail and what Cloudflare keeps to itself start a Worker without a word in this file.
        let takes_mail = worker_entries(place.node).iter().any(|(list, _)| list == "send_email") || name.contains("mail");
        if is_called || takes_mail || place.get(&["unsafe"]).is_some() {
            return;
        }
        let message = format!("nothing starts {}: it has no route, schedule or queue, and `workers_dev` is off", whose(place));
        let at = if off.doc.source.path == run.file.source.path && place.node.span().contains(off.span()) { off } else { place.node };
        let draft = run.report_at(place, at, message);
        // What calls it may be in another repository.
        if !files.is_whole() {
            draft.confidence = Confidence::Low;
        }
        draft.severity = draft.severity.min(Severity::Low);
    });
}

/// The name that a Worker is deployed under.
fn name_of(artifact: &Artifact<'_>, place: &Place<'_>) -> String {
    let base = artifact.root.text_of("name").unwrap_or_default();
    match place.node.text_of("name") {
        Some(name) => name.to_owned(),
        None if place.environment.is_empty() => base.to_owned(),
        None => format!("{base}-{}", place.environment),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_name_environments() {
        let of = |command: &'static str| environment_of(command, "wrangler.toml");
        assert_eq!(of("npx wrangler deploy --env staging"), Some("staging"));
        assert_eq!(of("wrangler deploy -e=prod --minify"), Some("prod"));
        assert_eq!(of("wrangler deploy -c wrangler.toml --env prod"), Some("prod"));
        for other in [
            "wrangler deploy",
            "wrangler deploy --env $ENV",
            "wrangler deploy --env ${{ inputs.env }}",
            "wrangler deploy --config other.toml --env prod",
            "wrangler pages deploy --env prod",
            "vite build --env prod",
            "wrangler types --env-interface Env",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
        assert_eq!(environments("vite build && wrangler deploy --env a; wrangler d1 x --env b", "wrangler.toml"), ["a", "b"]);
        assert!(environments("cd api && wrangler deploy --env a", "wrangler.toml").is_empty());
    }

    #[test]
    fn migrations_are_numbered_without_gaps() {
        let fault = |names: &[&str]| out_of_order(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert!(fault(&[]).is_some());
        assert!(fault(&["0001_a.sql", "0003_c.sql"]).is_some_and(|fault| fault.contains("number 2")));
        assert!(fault(&["0001_a.sql", "0001_b.sql"]).is_some_and(|fault| fault.contains("twice")));
        assert!(fault(&["init.sql"]).is_some());
        assert_eq!(fault(&["0000_a.sql", "0001_b.sql"]), None);
        assert_eq!(fault(&["20240101120000_a.sql", "20240301120000_b.sql"]), None);
    }
}
