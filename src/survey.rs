//! The survey: which files there are, what their names say, and which of them are deployed together.

mod compose;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use globset::GlobSet;

use crate::artifact::{Kustomization, is_remote};
use crate::config::Release;
use crate::source::Source;
use crate::syntax::{self, Node, Syntax};
use crate::tree::{Tree, is_below};

pub(crate) use compose::ComposeEnvironment;

/// What git says of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Tracked,
    Untracked,
    Ignored,
}

/// What a file's name says of its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    Chart,
    ChartTemplate,
    /// YAML in `crds/` of a chart, which Helm installs as it stands.
    ChartCrd,
    /// Below `charts/` of a chart.
    VendoredChart,
    HelmValues,
    Kustomization,
    Compose,
    WranglerToml,
    WranglerJson,
    Dotenv,
    /// YAML whose content decides.
    Yaml,
    /// JSON whose content decides.
    Json,
    Other,
}

/// One file of the scan.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) path: Arc<str>,
    pub(crate) state: State,
    pub(crate) sort: Sort,
    /// Whether its findings are asked for, or only its facts.
    pub(crate) reported: bool,
    /// Names of images that a build tool puts others in the place of.
    pub(crate) images: Vec<String>,
    /// Values files: the chart's own values, which this one is merged over.
    pub(crate) base: Option<Arc<str>>,
    /// What it deploys is judged with its environments; its own text is judged here.
    pub(crate) composed: bool,
    /// The values that a chart brings along, which every release changes.
    pub(crate) chart_defaults: bool,
}

/// The files of a scan.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    pub(crate) entries: Vec<Entry>,
    /// Folders of the kustomizations that no other one uses.
    pub(crate) kustomize: Vec<String>,
    pub(crate) compose: Vec<ComposeEnvironment>,
    /// Path and what went wrong.
    pub(crate) errors: Vec<(String, String)>,
    pub(crate) notes: Vec<String>,
    /// Whether all that lies below the root is loaded and reported.
    pub(crate) whole: bool,
}

/// Which files a scan takes.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Files and folders relative to the root, separated by `/`; empty stands for the root. A folder is loaded and
    /// reported; a file is reported, and what it is deployed with is loaded.
    pub paths: Vec<String>,
    /// Take files that ignore files name, too.
    pub no_ignore: bool,
}

/// Judges a file by its name and the folders that hold a Chart.yaml.
fn sort(path: &str, charts: &BTreeSet<&str>) -> Sort {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let lower = name.to_ascii_lowercase();
    let yaml = lower.ends_with(".yaml") || lower.ends_with(".yml");
    if name == "Chart.yaml" {
        return if inside_vendored(folder, charts) { Sort::VendoredChart } else { Sort::Chart };
    }
    if !charts.is_empty() {
        if inside_vendored(folder, charts) && (yaml || lower.ends_with(".tpl")) {
            return Sort::VendoredChart;
        }
        let template = ancestors(folder).any(|part| {
            part.rsplit('/').next() == Some("templates") && charts.contains(part.rsplit_once('/').map_or("", |(parent, _)| parent))
        });
        if template {
            return if yaml || lower.ends_with(".tpl") || lower.ends_with(".json") || lower.ends_with(".txt") {
                Sort::ChartTemplate
            } else {
                Sort::Other
            };
        }
    }
    if yaml && !lower.starts_with("kustomization.") && (inside(folder, "crds", charts) || is_chart_crds(folder)) {
        return Sort::ChartCrd;
    }
    if is_dotenv(&lower) {
        return Sort::Dotenv;
    }
    match lower.as_str() {
        "kustomization.yaml" | "kustomization.yml" | "kustomization" => return Sort::Kustomization,
        _ => {}
    }
    if lower.strip_prefix("wrangler").is_some_and(|rest| rest.starts_with(['.', '-', '_'])) {
        match lower.rsplit_once('.').map(|(_, ending)| ending) {
            Some("toml") => return Sort::WranglerToml,
            Some("json" | "jsonc") => return Sort::WranglerJson,
            _ => {}
        }
    }
    if yaml {
        let stem = lower.rsplit_once('.').map_or("", |(stem, _)| stem);
        let begins = |word: &str| stem.strip_prefix(word).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-', '_']));
        let ends = |word: &str| stem.strip_suffix(word).is_some_and(|rest| rest.ends_with(['.', '-', '_']));
        if begins("compose") || begins("docker-compose") {
            return Sort::Compose;
        }
        if begins("values") || ends("values") {
            return Sort::HelmValues;
        }
        return Sort::Yaml;
    }
    if lower.ends_with(".json") { Sort::Json } else { Sort::Other }
}

/// `.env`, `.env.production`, `prod.env`, `.dev.vars`, but no code and no `.envrc`.
pub(crate) fn is_dotenv(name: &str) -> bool {
    const CODE: &[&str] = &[
        ".js", ".ts", ".mjs", ".cjs", ".py", ".rb", ".go", ".md", ".json", ".yaml", ".yml", ".toml", ".sh", ".enc", ".age", ".gpg",
        ".sops", ".vault", ".rs", ".php", ".j2", ".tpl", ".tmpl", ".erb", ".patch", ".diff",
    ];
    let named = name == ".env"
        || name.starts_with(".env.")
        || name.starts_with(".env-")
        || name.starts_with(".env_")
        || name == ".dev.vars"
        || name.starts_with(".dev.vars.")
        || (name.ends_with(".env") && name.len() > 4);
    named && !CODE.iter().any(|ending| name.ends_with(ending))
}

/// The values file that another one of its folder is merged over.
fn base(path: &str) -> Option<String> {
    let (folder, name) = path.rsplit_once('/').map_or(("", path), |(folder, name)| (folder, name));
    let stem = name.strip_suffix(".yaml").or_else(|| name.strip_suffix(".yml"))?;
    let named = stem.strip_prefix("values").is_some_and(|rest| rest.starts_with(['.', '-', '_']))
        || stem.strip_suffix("values").is_some_and(|rest| rest.ends_with(['.', '-', '_']));
    named.then(|| if folder.is_empty() { "values.yaml".to_owned() } else { format!("{folder}/values.yaml") })
}

/// A folder and those above it, nearest first.
fn ancestors(folder: &str) -> impl Iterator<Item = &str> {
    std::iter::successors((!folder.is_empty()).then_some(folder), |folder| folder.rsplit_once('/').map(|(parent, _)| parent))
}

fn inside_vendored(folder: &str, charts: &BTreeSet<&str>) -> bool {
    inside(folder, "charts", charts)
}

/// Whether a folder is, or lies below, the one of this name in a chart.
fn inside(folder: &str, name: &str, charts: &BTreeSet<&str>) -> bool {
    ancestors(folder).any(|part| {
        let (parent, own) = part.rsplit_once('/').unwrap_or(("", part));
        own == name && charts.contains(parent)
    })
}

/// Whether a folder is that of the definitions of `charts/NAME`, wherever its Chart.yaml is.
fn is_chart_crds(folder: &str) -> bool {
    let mut parts = folder.rsplit('/');
    parts.next() == Some("crds") && parts.nth(1) == Some("charts")
}

impl Survey {
    /// Walks the tree and ties its files together.
    pub(crate) fn new(tree: &Tree, request: &Request, exclude: &GlobSet, releases: &[Release]) -> Self {
        let mut survey = Self::default();
        let paths: Vec<String> = if request.paths.is_empty() { vec![String::new()] } else { request.paths.clone() };
        let (mut folders, mut files): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
        for path in paths {
            if path.is_empty() || tree.is_folder(&path) {
                folders.push(path);
            } else if tree.is_file(&path) {
                files.push(path);
            } else {
                survey.errors.push((path, "no such file or folder".to_owned()));
            }
        }
        let tracked: BTreeSet<String> = match tree.tracked() {
            Ok(tracked) => tracked.into_iter().collect(),
            Err(error) => {
                survey
                    .notes
                    .push(format!("git could not say which files it tracks ({error}); ignored files that are committed may be missed"));
                BTreeSet::new()
            }
        };
        // Files deployed with a named file may stand anywhere below the root.
        let no_charts = BTreeSet::new();
        let is_one_of = |sorts: &[Sort]| files.iter().any(|file| sorts.contains(&sort(file, &no_charts)));
        let needs_facts = is_one_of(&[Sort::Yaml, Sort::Json, Sort::Kustomization, Sort::HelmValues, Sort::Chart]);
        let needs_group = needs_facts || is_one_of(&[Sort::Compose]);
        let walked: &[String] = if needs_group { &[String::new()] } else { &folders };
        let mut found: BTreeMap<String, State> = BTreeMap::new();
        for folder in walked {
            let walk = tree.walk(folder, false);
            survey.errors.extend(walk.errors);
            for file in walk.files {
                let state = if tracked.contains(&file) { State::Tracked } else { State::Untracked };
                found.insert(file, state);
            }
            for file in tracked.iter().filter(|file| is_below(folder, file)) {
                if !found.contains_key(file) && tree.is_file(file) {
                    found.insert(file.clone(), State::Tracked);
                }
            }
            if request.no_ignore {
                for file in tree.walk(folder, true).files {
                    found.entry(file).or_insert(State::Ignored);
                }
            }
        }
        for file in &files {
            let state = if tracked.contains(file) { State::Tracked } else { State::Untracked };
            // A named file that an ignore file covers is looked at, but it is not published by git.
            let ignored = state == State::Untracked && !needs_group && is_ignored(tree, file);
            found.entry(file.clone()).or_insert(if ignored || needs_group && state == State::Untracked { State::Ignored } else { state });
        }
        found.retain(|path, _| !exclude.is_match(path));
        let charts: BTreeSet<&str> = found
            .keys()
            .filter_map(|path| path.strip_suffix("Chart.yaml").filter(|folder| folder.is_empty() || folder.ends_with('/')))
            .map(|folder| folder.trim_end_matches('/'))
            .collect();
        let entries: Vec<Entry> = found
            .iter()
            .map(|(path, &state)| (path, state, sort(path, &charts)))
            .map(|(path, state, sort)| Entry {
                path: path.as_str().into(),
                state,
                sort,
                reported: files.contains(path) || folders.iter().any(|folder| is_below(folder, path)),
                chart_defaults: ["values.yaml", "values.yml"].iter().any(|name| {
                    path.strip_suffix(name)
                        .is_some_and(|folder| (folder.is_empty() || folder.ends_with('/')) && charts.contains(folder.trim_end_matches('/')))
                }),
                images: Vec::new(),
                base: base(path).filter(|base| found.contains_key(base)).map(Into::into),
                composed: false,
            })
            .collect();
        survey.entries = entries;
        survey.whole = folders.iter().any(String::is_empty);
        survey.tie(tree);
        survey.compose = compose::environments(tree, &mut survey.entries);
        // The values of a release are judged together.
        let own = |chart: &str| ["values.yaml", "values.yml"].map(|name| join(chart, name));
        let named: BTreeSet<String> =
            releases.iter().flat_map(|release| own(&release.chart).into_iter().flatten().chain(release.values.iter().cloned())).collect();
        for entry in survey.entries.iter_mut().filter(|entry| named.contains(&*entry.path)) {
            entry.composed = true;
            if entry.sort == Sort::Yaml {
                entry.sort = Sort::HelmValues;
            }
        }
        if !needs_facts {
            // Nothing else of the tree matters to Compose files.
            for entry in survey.entries.iter_mut().filter(|entry| !entry.reported && !entry.composed) {
                entry.sort = Sort::Other;
            }
        }
        survey
    }

    /// Finds the kustomizations that no other one uses, and marks the files that they are made of.
    fn tie(&mut self, tree: &Tree) {
        let index: HashMap<Arc<str>, usize> =
            self.entries.iter().enumerate().map(|(index, entry)| (Arc::clone(&entry.path), index)).collect();
        let mut kustomizations: BTreeMap<String, Kustomization> = BTreeMap::new();
        for entry in self.entries.iter().filter(|entry| entry.sort == Sort::Kustomization) {
            let Some(kustomization) = read_kustomization(tree, &entry.path) else { continue };
            let folder = entry.path.rsplit_once('/').map_or("", |(folder, _)| folder);
            kustomizations.insert(folder.to_owned(), kustomization);
        }
        self.take_built(tree);
        let mut used: BTreeSet<String> = BTreeSet::new();
        for (folder, kustomization) in &kustomizations {
            for part in kustomization.resources.iter().chain(&kustomization.patches).filter_map(|part| join(folder, part)) {
                if let Some(entry) = index.get(part.as_str()).and_then(|&index| self.entries.get_mut(index)) {
                    entry.composed = true;
                } else {
                    used.insert(part);
                }
            }
        }
        self.kustomize = kustomizations.into_keys().filter(|folder| !used.contains(folder)).collect();
    }
}

impl Survey {
    /// Images that Skaffold builds and tags: it puts their names in place of those in the manifests below it.
    fn take_built(&mut self, tree: &Tree) {
        let configs: Vec<Arc<str>> = self
            .entries
            .iter()
            .map(|entry| &entry.path)
            .filter(|path| matches!(path.rsplit('/').next(), Some("skaffold.yaml" | "skaffold.yml")))
            .cloned()
            .collect();
        for path in configs {
            let folder = path.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
            let Some(source) = tree.read(&path).ok().and_then(|bytes| Source::decode(path, bytes).ok()) else { continue };
            let parsed = syntax::parse(&Arc::new(source), Syntax::Yaml);
            let images: Vec<String> = parsed
                .documents
                .iter()
                .filter_map(|document| document.root().at_path(&["build", "artifacts"]))
                .flat_map(Node::items)
                .filter_map(|artifact| artifact.text_of("image"))
                .map(str::to_owned)
                .collect();
            for entry in self.entries.iter_mut().filter(|entry| entry.path.starts_with(&folder)) {
                entry.images.extend(images.iter().cloned());
            }
        }
    }
}

fn is_ignored(tree: &Tree, file: &str) -> bool {
    let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
    tree.walk(folder, false).files.binary_search_by(|found| found.as_str().cmp(file)).is_err()
}

fn read_kustomization(tree: &Tree, path: &Arc<str>) -> Option<Kustomization> {
    // A kustomization that does not parse is reported when it is checked.
    let source = Arc::new(Source::decode(Arc::clone(path), tree.read(path).ok()?).ok()?);
    let parsed = syntax::parse(&source, Syntax::Yaml);
    parsed.documents.first().map(|document| Kustomization::read(document.root()))
}

/// A path relative to a folder; nothing for URLs and for paths out of the root.
pub(crate) fn join(folder: &str, path: &str) -> Option<String> {
    if is_remote(path) || path.starts_with('/') || path.contains('?') {
        return None;
    }
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_files_are() {
        let charts = BTreeSet::from(["charts/web", ""]);
        for (path, expected) in [
            (".env", Sort::Dotenv),
            (".env.production", Sort::Dotenv),
            ("deploy/prod.env", Sort::Dotenv),
            (".envrc", Sort::Other),
            (".env.ts", Sort::Other),
            (".dev.vars.example", Sort::Dotenv),
            ("docker-compose.prod.yml", Sort::Compose),
            ("composer.yaml", Sort::Yaml),
            ("charts/web/templates/a/deployment.yaml", Sort::ChartTemplate),
            ("charts/web/templates/_helpers.tpl", Sort::ChartTemplate),
            ("other/templates/deployment.yaml", Sort::Yaml),
            ("charts/web/crds/widget.yaml", Sort::ChartCrd),
            ("crds/widget.yaml", Sort::Yaml),
            ("charts/web/values-prod.yaml", Sort::HelmValues),
            ("ci/default-values.yaml", Sort::HelmValues),
            ("wrangler.jsonc", Sort::WranglerJson),
            ("kustomization.yml", Sort::Kustomization),
            ("a.json", Sort::Json),
        ] {
            assert_eq!(sort(path, &BTreeSet::from(["charts/web"])), expected, "{path}");
        }
        assert_eq!(sort("charts/redis/values.yaml", &charts), Sort::VendoredChart);
    }

    #[test]
    fn paths_join_within_the_root() {
        assert_eq!(join("a/b", "../c.yaml"), Some("a/c.yaml".to_owned()));
        assert_eq!(join("", "./c.yaml"), Some("c.yaml".to_owned()));
        assert_eq!(join("a", "../../c"), None);
        assert_eq!(join("a", "https://example.com/x"), None);
    }
}
