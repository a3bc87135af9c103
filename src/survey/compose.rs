//! Which Compose files are deployed together: what `docker compose up` takes by itself, and variants of it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::{Entry, Sort, join};
use crate::environment::compose::named_files;
use crate::source::Source;
use crate::syntax::{self, Node, Syntax};
use crate::tree::Tree;

/// The names that `docker compose` looks for, the first one wins.
const DEFAULTS: &[&str] = &["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
const OVERRIDES: &[&str] =
    &["compose.override.yml", "compose.override.yaml", "docker-compose.override.yml", "docker-compose.override.yaml"];

/// Top-level keys that declare what services use.
const KINDS: &[&str] = &["services", "networks", "volumes", "secrets", "configs"];

/// Compose files that run as one project.
#[derive(Clone, Debug)]
pub(crate) struct ComposeEnvironment {
    /// Indices of entries, in the order they are merged.
    pub(crate) files: Vec<usize>,
}

/// What the survey must know of a Compose file.
#[derive(Debug, Default)]
struct Part {
    /// Whether each of its services says what it runs.
    runs: bool,
    /// How many keys each of its services has.
    services: HashMap<String, usize>,
    /// What it declares, by top-level key and name.
    declared: BTreeSet<(&'static str, String)>,
    /// What its services use and it does not declare.
    wanted: BTreeSet<(&'static str, String)>,
    included: Vec<usize>,
    extended: Vec<usize>,
}

/// The environments of files that are not deployed each by itself; marks those files.
pub(super) fn environments(tree: &Tree, entries: &mut [Entry]) -> Vec<ComposeEnvironment> {
    let index: HashMap<Arc<str>, usize> = entries.iter().enumerate().map(|(index, entry)| (Arc::clone(&entry.path), index)).collect();
    let mut folders: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (number, entry) in entries.iter().enumerate().filter(|(_, entry)| entry.sort == Sort::Compose) {
        folders.entry(folder(&entry.path)).or_default().push(number);
    }
    let mut parts: HashMap<usize, Part> = HashMap::new();
    let mut waiting: Vec<usize> = folders.values().flatten().copied().collect();
    while let Some(number) = waiting.pop() {
        if let Some(entry) = entries.get(number).filter(|_| !parts.contains_key(&number)) {
            // A file alone in its folder is read for the others that it names.
            let alone = folders.get(folder(&entry.path)).is_some_and(|files| files.as_slice() == [number]);
            let part = Part::read(tree, &entry.path, &index, alone);
            // What is included may include more, whatever it is called.
            waiting.extend(part.included.iter().chain(&part.extended));
            parts.insert(number, part);
        }
    }
    let included: HashSet<usize> = parts.values().flat_map(|part| &part.included).copied().collect();
    let extended: HashSet<usize> = parts.values().flat_map(|part| &part.extended).copied().collect();
    let all = Files { entries, index: &index, parts: &parts, included, extended };
    let mut environments: Vec<Vec<usize>> = folders.iter().flat_map(|(folder, files)| all.of_folder(tree, folder, files)).collect();
    let mut covered: BTreeSet<usize> = environments.iter().flat_map(|files| all.reached(files)).collect();
    // Files that include each other have no root.
    for &number in folders.values().flatten() {
        if !covered.contains(&number) {
            covered.extend(all.reached(&[number]));
            environments.push(vec![number]);
        }
    }
    let reached: Vec<BTreeSet<usize>> = environments.iter().map(|files| all.reached(files)).collect();
    let mut uses: HashMap<usize, usize> = HashMap::new();
    for number in reached.iter().flatten() {
        *uses.entry(*number).or_default() += 1;
    }
    let is_shared = |number: &usize| uses.get(number).is_some_and(|&count| count > 1);
    let mut kept = Vec::new();
    for (files, reached) in environments.into_iter().zip(&reached) {
        if reached.len() > 1 || reached.iter().any(is_shared) {
            kept.push((ComposeEnvironment { files }, reached));
        }
    }
    let asked = |reached: &BTreeSet<usize>| reached.iter().any(|&number| entries.get(number).is_some_and(|entry| entry.reported));
    let composed: BTreeSet<usize> = kept.iter().flat_map(|(_, reached)| reached.iter().copied()).collect();
    let kept: Vec<ComposeEnvironment> =
        kept.into_iter().filter(|(_, reached)| asked(reached)).map(|(environment, _)| environment).collect();
    for number in composed {
        if let Some(entry) = entries.get_mut(number) {
            entry.composed = true;
        }
    }
    kept
}

struct Files<'a> {
    entries: &'a [Entry],
    index: &'a HashMap<Arc<str>, usize>,
    parts: &'a HashMap<usize, Part>,
    /// What other files include.
    included: HashSet<usize>,
    /// Files whose services others extend.
    extended: HashSet<usize>,
}

impl Files<'_> {
    fn path(&self, number: usize) -> &str {
        self.entries.get(number).map_or("", |entry| &entry.path)
    }

    /// The file of a folder that is found first.
    fn first(&self, folder: &str, names: &[&str]) -> Option<usize> {
        names.iter().find_map(|name| self.index.get(join(folder, name)?.as_str()).copied())
    }

    /// What runs in a folder.
    fn of_folder(&self, tree: &Tree, folder: &str, files: &[usize]) -> Vec<Vec<usize>> {
        let default = self.first(folder, DEFAULTS);
        let said = self.first(folder, &[".env"]).map(|env| self.compose_file(tree, folder, env)).unwrap_or_default();
        let base =
            if said.is_empty() { default.into_iter().chain(default.and_then(|_| self.first(folder, OVERRIDES))).collect() } else { said };
        let mut environments = Vec::new();
        // Whoever includes all of a project runs it.
        let is_included = base.len() == 1 && base.iter().all(|number| self.included.contains(number));
        if !base.is_empty() && !is_included {
            environments.push(base.clone());
        }
        for &number in files.iter().filter(|number| !base.contains(number)) {
            if self.included.contains(&number) || (self.extended.contains(&number) && default != Some(number)) {
                continue;
            }
            environments.push(self.merged(folder, number, default));
        }
        environments
    }

    /// A file with those that it is merged over: that of the name which its own one continues, else the default of the
    /// folder, unless it runs without.
    fn merged(&self, folder: &str, file: usize, default: Option<usize>) -> Vec<usize> {
        let name = self.path(file).rsplit('/').next().unwrap_or_default();
        let is_compose = |found: &usize| self.entries.get(*found).is_some_and(|entry| entry.sort == Sort::Compose);
        let named = |stem: &str| self.first(folder, &[&format!("{stem}.yaml"), &format!("{stem}.yml")]).filter(is_compose);
        let mut stems = std::iter::successors(shorter(stem(name)), |stem| shorter(stem));
        let below = stems.find_map(named).or(default).filter(|below| *below != file);
        let mut files = match below {
            Some(below) if !self.runs_without(file, below) => self.merged(folder, below, default),
            _ => Vec::new(),
        };
        files.push(file);
        files
    }

    fn runs_without(&self, file: usize, below: usize) -> bool {
        let (Some(file), Some(below)) = (self.parts.get(&file), self.parts.get(&below)) else { return true };
        // A file that says little of the services that both have changes them.
        let mut shared = file.services.iter().filter_map(|(name, keys)| Some((keys, below.services.get(name)?))).peekable();
        let changes = shared.peek().is_some() && shared.all(|(keys, all)| keys * 2 <= *all);
        file.runs && !changes && file.wanted.is_disjoint(&below.declared)
    }

    /// The files that `COMPOSE_FILE` names, where all of them are there.
    fn compose_file(&self, tree: &Tree, folder: &str, env: usize) -> Vec<usize> {
        let Some(source) = source(tree, self.path(env)).filter(|source| source.text.contains("COMPOSE_FILE")) else { return Vec::new() };
        let parsed = syntax::parse(&source, Syntax::Dotenv);
        let root = parsed.documents.first().map(|document| document.root());
        let text = |key: &str| root.and_then(|root| root.text_of(key)).filter(|text| !text.contains('$'));
        let separator = text("COMPOSE_PATH_SEPARATOR").unwrap_or(":");
        let named = text("COMPOSE_FILE").unwrap_or_default().split(separator).map(str::trim).filter(|name| !name.is_empty());
        named.map(|name| self.index.get(join(folder, name)?.as_str()).copied()).collect::<Option<Vec<usize>>>().unwrap_or_default()
    }

    /// The files of an environment, those that they include and extend, too.
    fn reached(&self, files: &[usize]) -> BTreeSet<usize> {
        let mut reached = BTreeSet::new();
        let mut waiting = files.to_vec();
        while let Some(number) = waiting.pop() {
            if reached.insert(number) {
                waiting.extend(self.parts.get(&number).into_iter().flat_map(|part| part.included.iter().chain(&part.extended)));
            }
        }
        reached
    }
}

impl Part {
    fn read(tree: &Tree, path: &str, index: &HashMap<Arc<str>, usize>, alone: bool) -> Self {
        let Some(source) = source(tree, path) else { return Self::default() };
        if alone && !source.text.contains("include") && !source.text.contains("extends") {
            return Self::default();
        }
        let parsed = syntax::parse(&source, Syntax::Yaml);
        let mut part = Self::default();
        let mut services = Vec::new();
        let mut has_include = false;
        for document in &parsed.documents {
            let root = document.root();
            let (included, extended) = named_files(document, folder(path));
            let known =
                |paths: Vec<String>| paths.into_iter().filter(|other| other != path).filter_map(|other| index.get(other.as_str()).copied());
            part.included.extend(known(included));
            part.extended.extend(known(extended));
            has_include |= root.get("include").is_some();
            for &kind in KINDS {
                let names = root.get(kind).map(Node::entries).unwrap_or_default();
                part.declared.extend(names.into_iter().filter_map(|(name, _)| Some((kind, name.text()?.to_owned()))));
            }
            services.extend(root.get("services").map(Node::entries).unwrap_or_default());
        }
        let runs = |service: &Node<'_>| ["image", "build", "extends", "provider"].iter().any(|key| service.get(key).is_some());
        part.runs = has_include || (!services.is_empty() && services.iter().all(|(_, service)| runs(service)));
        part.services = services.iter().filter_map(|(name, service)| Some((name.text()?.to_owned(), service.entries().len()))).collect();
        for (kind, names) in services.iter().flat_map(|(_, service)| names_of(*service)) {
            let names = names.into_iter().filter(|name| *name != "default").map(|name| (kind, name.to_owned()));
            part.wanted.extend(names.filter(|name| !part.declared.contains(name)));
        }
        part
    }
}

/// The names that a service uses, by the top-level key that declares them.
fn names_of(service: Node<'_>) -> Vec<(&'static str, Vec<&str>)> {
    let names = |key: &str| -> Vec<&str> {
        let list = service.get(key);
        let keys = list.map(Node::entries).unwrap_or_default().into_iter().filter_map(|(key, _)| key.text());
        keys.chain(list.into_iter().flat_map(Node::items).filter_map(|item| item.text().or_else(|| item.text_of("source")))).collect()
    };
    let volumes = names("volumes").into_iter().filter_map(|text| text.split(':').next()).collect();
    vec![
        ("services", names("depends_on")),
        ("networks", names("networks")),
        ("volumes", volumes),
        ("secrets", names("secrets")),
        ("configs", names("configs")),
    ]
}

fn source(tree: &Tree, path: &str) -> Option<Arc<Source>> {
    Source::decode(path.into(), tree.read(path).ok()?).ok().map(Arc::new)
}

fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// A stem without its last part.
fn shorter(stem: &str) -> Option<&str> {
    stem.get(..stem.rfind(['.', '-', '_'])?)
}

fn stem(name: &str) -> &str {
    name.strip_suffix(".yaml").or_else(|| name.strip_suffix(".yml")).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use crate::survey::{Request, Survey};
    use crate::tree::Tree;

    /// Files of a tree, and the environments that they are expected to form.
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);

    const WEB: &str = "services: {web: {image: x, restart: always, environment: {A: b}, networks: [n]}}\nnetworks: {n: {}}\n";
    const CHANGE: &str = "services: {web: {restart: always}}\n";
    const OTHER: &str = "services: {metrics: {image: y}}\n";

    /// The environments of files, and the files whose own part is their text alone.
    fn found(files: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
        let tree = files.iter().fold(Tree::default(), |tree, (path, text)| tree.with(*path, *text));
        let survey = Survey::new(&tree, &Request::default(), &globset::GlobSet::empty(), &[]);
        let path = |number: &usize| survey.entries.get(*number).map(|entry| entry.path.to_string()).unwrap_or_default();
        let environments =
            survey.compose.iter().map(|environment| environment.files.iter().map(path).collect::<Vec<_>>().join(" ")).collect();
        (environments, survey.entries.iter().filter(|entry| entry.composed).map(|entry| entry.path.to_string()).collect())
    }

    #[test]
    fn files_run_together_as_people_run_them() {
        let needs = "services: {api: {image: z, networks: [n]}}\n";
        let cases: &[Case<'_>] = &[
            (&[("compose.yaml", WEB)], &[]),
            (&[("compose.yaml", WEB), ("compose.metrics.yaml", OTHER)], &[]),
            (&[("a/compose.yaml", WEB), ("b/compose.override.yaml", CHANGE)], &[]),
            (&[("compose.yaml", WEB), ("compose.override.yaml", OTHER)], &["compose.yaml compose.override.yaml"]),
            (&[("compose.yaml", WEB), ("compose.prod.yaml", CHANGE)], &["compose.yaml", "compose.yaml compose.prod.yaml"]),
            (&[("compose.yaml", WEB), ("compose.api.yaml", needs)], &["compose.yaml", "compose.yaml compose.api.yaml"]),
            (
                &[("docker-compose.dev.yml", WEB), ("docker-compose.dev-ci.yml", CHANGE), ("docker-compose.yml", OTHER)],
                &["docker-compose.dev.yml docker-compose.dev-ci.yml", "docker-compose.dev.yml"],
            ),
            (
                &[("compose.yaml", WEB), ("compose.prod.yaml", CHANGE), ("compose.prod.override.yaml", CHANGE)],
                &["compose.yaml", "compose.yaml compose.prod.yaml compose.prod.override.yaml", "compose.yaml compose.prod.yaml"],
            ),
            (
                &[("compose.yaml", WEB), ("compose.live.yaml", CHANGE), (".env", "COMPOSE_FILE=compose.yaml:compose.live.yaml\n")],
                &["compose.yaml compose.live.yaml"],
            ),
            (&[("compose.yaml", "include: [part.yaml]\n"), ("part.yaml", OTHER)], &["compose.yaml"]),
            (&[("compose.yaml", "include: [b/compose.yaml]\n"), ("b/compose.yaml", "include: [../compose.yaml]\n")], &["compose.yaml"]),
            (&[("compose.yaml", WEB), ("dev.compose.yaml", "services: {web: {extends: {file: compose.yaml, service: web}}}\n")], &[]),
            (
                &[
                    ("compose.yaml", WEB),
                    ("compose.dev.yaml", "services: {web: {extends: {file: compose.yaml, service: web}, init: true, tty: true}}\n"),
                ],
                &["compose.yaml", "compose.dev.yaml"],
            ),
        ];
        for (files, expected) in cases {
            let (environments, _) = found(files);
            assert_eq!(environments, *expected, "{files:#?}");
        }
    }

    #[test]
    fn what_others_include_is_judged_with_them() {
        let (_, composed) = found(&[("compose.yaml", "include: [part.yaml]\n"), ("part.yaml", OTHER), ("other/compose.yaml", WEB)]);
        assert_eq!(composed, ["compose.yaml", "part.yaml"]);
    }
}
