//! What is deployed together, as a list for people and programs.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use serde_json::{Value, json};

use super::cuts;
use crate::deploy::Environment;
use crate::finding::NotAnalysed;
use crate::rule::ArtifactKind;
use crate::scan::Outcome;
use crate::survey::Survey;
use crate::tree::Tree;

/// Everything that was found, by what is deployed together.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    groups: Vec<Listed>,
    not_analysed: Vec<NotAnalysed>,
    files: usize,
    other: usize,
}

/// Files that one kustomization root or several with shared files, a Compose project, a chart or a wrangler project tie
/// together; or all files of a kind that nothing ties.
#[derive(Debug)]
struct Listed {
    kind: &'static str,
    /// The folder that holds its environments.
    name: String,
    environments: Vec<Way>,
}

/// One way a group is deployed.
#[derive(Debug)]
struct Way {
    /// Within the group; empty where there is only one.
    name: String,
    files: BTreeSet<Arc<str>>,
    /// Objects or services; none where they are not counted.
    objects: Option<usize>,
    /// Whether more is deployed than the tree holds.
    open: bool,
    /// Path, 1-based line, and why a part was not evaluated.
    missing: Vec<(Arc<str>, usize, String)>,
}

impl Way {
    fn of_files(name: &str, files: impl IntoIterator<Item = Arc<str>>) -> Self {
        Self { name: name.to_owned(), files: files.into_iter().collect(), objects: None, open: false, missing: Vec::new() }
    }

    fn of_environment(tree: &Tree, environment: &Environment) -> Self {
        let line = |path: &str, offset: u32| {
            let text = tree.read(path).unwrap_or_default();
            1 + text.iter().take(offset as usize).filter(|&&byte| byte == b'\n').count()
        };
        let missing = environment.missing.iter().map(|(place, what)| {
            let path = Arc::clone(&place.path);
            let line = line(&path, place.span.start);
            (path, line, what.clone())
        });
        Self {
            name: environment.name.trim_end_matches('/').to_owned(),
            files: environment.origins.parts().iter().map(|(_, path)| Arc::clone(path)).collect(),
            objects: (environment.kind != ArtifactKind::HelmValues).then_some(environment.objects),
            open: environment.open && environment.kind != ArtifactKind::HelmValues,
            missing: missing.collect(),
        }
    }
}

/// The word for a kind of environment.
fn word(kind: ArtifactKind) -> &'static str {
    match kind {
        ArtifactKind::Kubernetes => "kustomize",
        ArtifactKind::HelmValues => "helm",
        kind => kind.word(),
    }
}

impl Listing {
    /// Lists the outcomes of a survey; those of its files come first, in their order.
    pub(crate) fn new(tree: &Tree, survey: &Survey, outcomes: &[Outcome]) -> Self {
        let mut listing = Self { files: survey.entries.len(), ..Self::default() };
        let mut alone: BTreeMap<&'static str, Vec<Arc<str>>> = BTreeMap::new();
        for (entry, outcome) in survey.entries.iter().zip(outcomes) {
            listing.other += usize::from(outcome.other);
            let path = &entry.path;
            listing.not_analysed.extend(outcome.not_analysed.map(|reason| NotAnalysed { path: Arc::clone(path), reason }));
            if !outcome.workers.is_empty() {
                let environments = outcome.workers.iter().map(|name| Way::of_files(if name.is_empty() { "top level" } else { name }, []));
                let mut group = Listed { kind: "wrangler", name: path.to_string(), environments: environments.collect() };
                for way in &mut group.environments {
                    way.files.insert(Arc::clone(path));
                }
                listing.groups.push(group);
            } else if !entry.composed && outcome.environment.is_none() {
                let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
                for &kind in outcome.artifacts.keys().filter(|kind| !matches!(**kind, "kubernetes" | "kustomize")) {
                    let way = Way::of_files(name, [Arc::clone(path)]);
                    match listing.groups.last_mut().filter(|group| group.kind == kind && group.name == folder) {
                        _ if kind != "compose" => alone.entry(kind).or_default().push(Arc::clone(path)),
                        Some(group) => group.environments.push(way),
                        None => listing.groups.push(Listed { kind, name: folder.to_owned(), environments: vec![way] }),
                    }
                }
            }
        }
        let environments: Vec<&Environment> = outcomes.iter().filter_map(|outcome| outcome.environment.as_ref()).collect();
        listing.groups.extend(tied(tree, &environments));
        listing.groups.extend(plain(outcomes));
        listing.groups.extend(alone.into_iter().map(|(kind, files)| Listed {
            kind,
            name: String::new(),
            environments: vec![Way::of_files("", files)],
        }));
        // What is tied together comes before what stands alone.
        let rank =
            |kind: &str| ["kustomize", "compose", "helm", "wrangler", "kubernetes"].iter().position(|known| *known == kind).unwrap_or(9);
        listing.groups.sort_by(|a, b| (rank(a.kind), &a.name, a.kind).cmp(&(rank(b.kind), &b.name, b.kind)));
        listing.not_analysed.sort();
        listing
    }

    /// Writes it as JSON.
    pub(crate) fn write_json(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let way = |way: &Way| {
            let missing: Vec<Value> =
                way.missing.iter().map(|(path, line, what)| json!({"path": **path, "line": line, "reason": what})).collect();
            let files: Vec<&str> = way.files.iter().map(|path| &**path).collect();
            json!({"name": way.name, "files": files, "objects": way.objects, "open": way.open, "not_evaluated": missing})
        };
        let groups: Vec<Value> = self
            .groups
            .iter()
            .map(|group| json!({"kind": group.kind, "name": group.name, "environments": group.environments.iter().map(way).collect::<Vec<_>>()}))
            .collect();
        let not_analysed: Vec<Value> = self.not_analysed.iter().map(|file| json!({"path": *file.path, "reason": file.reason})).collect();
        let all = json!({"schema_version": 1, "groups": groups, "not_analysed": not_analysed, "files": self.files, "other": self.other});
        writeln!(out, "{all:#}")
    }

    /// Writes it as a tree for people; `all` names every file.
    pub(crate) fn write_tree(&self, out: &mut dyn io::Write, all: bool) -> io::Result<()> {
        for group in &self.groups {
            let name = if group.name.is_empty() { "." } else { &group.name };
            match group.kind {
                "kubernetes" => writeln!(out, "plain manifests")?,
                "kustomize" | "compose" | "helm" | "wrangler" => writeln!(out, "{} {name}", group.kind)?,
                kind => writeln!(out, "{kind} files, each by itself")?,
            }
            let width = group.environments.iter().map(|way| way.name.chars().count()).max().unwrap_or_default();
            for way in &group.environments {
                let files = count(way.files.len(), "file");
                let what = match (way.objects, group.kind) {
                    (Some(objects), "compose") => format!("{} from {files}", count(objects, "service")),
                    (Some(objects), _) => format!("{} from {files}", count(objects, "object")),
                    (None, _) => files,
                };
                let open = if way.open { ", and more that is not here" } else { "" };
                let space = if width > 0 { "  " } else { "" };
                writeln!(out, "  {:width$}{space}{what}{open}", way.name)?;
                for (path, line, why) in &way.missing {
                    writeln!(out, "    not evaluated: {path}:{line} {why}")?;
                }
                if all {
                    for path in &way.files {
                        writeln!(out, "    {path}")?;
                    }
                }
            }
            writeln!(out)?;
        }
        if !self.not_analysed.is_empty() {
            writeln!(out, "not analysed")?;
            let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
            for file in &self.not_analysed {
                reasons.entry(file.reason).or_default().push(&file.path);
            }
            for (reason, paths) in reasons {
                let folder = common(paths.iter().map(|path| path.rsplit_once('/').map_or("", |(folder, _)| folder)));
                let place = if folder.is_empty() { String::new() } else { format!(", all below {folder}") };
                writeln!(out, "  {reason}: {}{place}", count(paths.len(), "file"))?;
                if all {
                    for path in paths {
                        writeln!(out, "    {path}")?;
                    }
                }
            }
            writeln!(out)?;
        }
        let verb = if self.other == 1 { "holds" } else { "hold" };
        writeln!(out, "{}, of which {} {verb} nothing that is deployed", count(self.files, "file"), self.other)
    }
}

fn count(number: usize, word: &str) -> String {
    format!("{number} {word}{}", if number == 1 { "" } else { "s" })
}

/// The folder that all paths share.
fn common<'a>(mut paths: impl Iterator<Item = &'a str>) -> String {
    let first: Vec<&str> = paths.next().unwrap_or_default().split('/').collect();
    let shared = paths.fold(first.len(), |shared, path| path.split('/').zip(&first).take(shared).take_while(|(a, b)| a == *b).count());
    first.get(..shared).unwrap_or_default().join("/")
}

/// Environments that share files are ways to deploy one thing.
fn tied(tree: &Tree, environments: &[&Environment]) -> Vec<Listed> {
    let mut group_of: BTreeMap<(&'static str, &str), usize> = BTreeMap::new();
    let mut groups: Vec<Vec<&Environment>> = Vec::new();
    for &environment in environments {
        let kind = word(environment.kind);
        let paths = || environment.origins.parts().iter().map(|(_, path)| &**path);
        let shared: BTreeSet<usize> = paths().filter_map(|path| group_of.get(&(kind, path)).copied()).collect();
        let number = shared.first().copied().unwrap_or(groups.len());
        if number == groups.len() {
            groups.push(Vec::new());
        }
        // What one environment ties together is one group.
        for other in shared.into_iter().skip(1) {
            let moved = groups.get_mut(other).map(std::mem::take).unwrap_or_default();
            for environment in &moved {
                group_of.extend(environment.origins.parts().iter().map(|(_, path)| ((kind, &**path), number)));
            }
            groups.get_mut(number).into_iter().for_each(|group| group.extend(&moved));
        }
        group_of.extend(paths().map(|path| ((kind, path), number)));
        groups.get_mut(number).into_iter().for_each(|group| group.push(environment));
    }
    let listed = groups.into_iter().filter(|group| !group.is_empty()).map(|group| {
        let kind = group.first().map_or("", |environment| word(environment.kind));
        let mut environments: Vec<Way> = group.iter().map(|environment| Way::of_environment(tree, environment)).collect();
        environments.sort_by(|a, b| a.name.cmp(&b.name));
        // A file of a Compose project names it; its folder is the place.
        let place = |way: &'_ Way| match kind {
            "compose" => way.name.rsplit_once('/').map_or(String::new(), |(folder, _)| folder.to_owned()),
            _ => way.name.clone(),
        };
        let places: Vec<String> = environments.iter().map(place).collect();
        let name = common(places.iter().map(String::as_str));
        for way in &mut environments {
            let rest = way.name.strip_prefix(&name).unwrap_or(&way.name).trim_start_matches('/').to_owned();
            way.name = if rest.is_empty() && places.len() > 1 { ".".to_owned() } else { rest };
        }
        Listed { kind, name, environments }
    });
    listed.collect()
}

/// Plain manifests, cut where they are several deployments.
fn plain(outcomes: &[Outcome]) -> Option<Listed> {
    let facts: Vec<_> = outcomes.iter().filter(|outcome| outcome.environment.is_none()).flat_map(|outcome| &outcome.facts).collect();
    let cuts = cuts(&facts);
    let mut ways: BTreeMap<&str, Way> = BTreeMap::new();
    for facts in &facts {
        let ends = facts.path.match_indices('/').map(|(end, _)| end).chain([facts.path.len()]);
        let nearest = ends.filter_map(|end| facts.path.get(..end)).rfind(|folder| cuts.contains(*folder)).unwrap_or(".");
        let way = ways.entry(nearest).or_insert_with(|| Way::of_files(nearest, []));
        way.files.insert(Arc::clone(&facts.path));
        *way.objects.get_or_insert_default() += 1;
    }
    (!ways.is_empty()).then(|| Listed { kind: "kubernetes", name: String::new(), environments: ways.into_values().collect() })
}
