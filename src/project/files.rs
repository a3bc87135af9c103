//! The files of a scan as rules ask for them: what lies beside a file, which Workers the repository configures, and which
//! credentials stand in which environment.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::is_external;
use crate::artifact::kubernetes::api_group;
use crate::artifact::{Artifact, PathScope, worker_entries};
use crate::check::{Active, Check, Draft, Native};
use crate::config::Settings;
use crate::digest::{digest, salt};
use crate::finding::{Location, Object, Related};
use crate::redact::FileSecrets;
use crate::rule::{ArtifactKind, Rule};
use crate::secret::Verdict;
use crate::source::Source;
use crate::survey::{Sort, Survey, is_dotenv, join};
use crate::syntax::{self, Document, Node, Parsed, Syntax};
use crate::tree::{Tree, parent};

/// A configuration of a Worker, as far as those of others speak of it.
#[derive(Debug)]
pub(crate) struct WorkerFile {
    pub(crate) path: String,
    /// The names that it is deployed under.
    pub(crate) names: Vec<String>,
    /// The names of Workers that it calls, and that it sends what it logs to.
    pub(crate) calls: Vec<String>,
    /// Whether it keeps migrations of a database, by the database's identifier.
    pub(crate) migrated: Vec<String>,
}

/// The files of a scan.
pub(crate) struct Files<'a> {
    tree: &'a Tree,
    survey: &'a Survey,
    settings: &'a Settings,
    /// Key of the digests of credentials; they never leave the scan.
    key: [u8; 16],
    workers: OnceLock<Vec<WorkerFile>>,
    repositories: OnceLock<BTreeSet<String>>,
    /// Kinds and names; a kind without a name is that of a template.
    needed: OnceLock<Vec<(&'static str, Option<String>)>>,
    values: Mutex<HashMap<String, Arc<Vec<Parsed>>>>,
}

/// The most charts whose values are kept for their other templates.
const MAX_CHARTS: usize = 32;

impl<'a> Files<'a> {
    pub(crate) fn new(tree: &'a Tree, survey: &'a Survey, settings: &'a Settings) -> Self {
        // Without random bytes digests are as good: nobody sees them.
        Self {
            tree,
            survey,
            settings,
            key: salt().unwrap_or_default(),
            workers: OnceLock::new(),
            repositories: OnceLock::new(),
            needed: OnceLock::new(),
            values: Mutex::default(),
        }
    }

    /// The text of a file; nothing where it is not there or no text.
    pub(crate) fn text(&self, path: &str) -> Option<String> {
        Source::decode(path.into(), self.tree.read(path).ok()?).ok().map(|source| source.text)
    }

    /// A file as documents.
    pub(crate) fn parsed(&self, path: &str, syntax: Syntax) -> Option<Parsed> {
        let source = Source::decode(path.into(), self.tree.read(path).ok()?).ok()?;
        Some(syntax::parse(&Arc::new(source), syntax))
    }

    /// The environment files of a folder, examples of them too.
    pub(crate) fn environment_files(&self, folder: &str) -> Vec<String> {
        let is_example = |name: &str| matches!(name.strip_prefix("env"), Some(".example" | ".sample" | ".template" | ".dist"));
        let is_wanted = |name: &String| is_dotenv(&name.to_ascii_lowercase()) || is_example(name);
        self.tree.names(folder).into_iter().filter(is_wanted).filter_map(|name| join(folder, &name)).collect()
    }

    /// The names that an environment file sets, and those that its comments show.
    pub(crate) fn variables(&self, path: &str) -> BTreeSet<String> {
        let Some(parsed) = self.parsed(path, Syntax::Dotenv) else { return BTreeSet::new() };
        let mut names = BTreeSet::new();
        for document in &parsed.documents {
            names.extend(document.root().pairs().filter_map(|(key, _)| key.text().map(str::to_owned)));
            names.extend(document.comments.iter().filter_map(|comment| shown_variable(document.source.slice(*comment))).map(str::to_owned));
        }
        names
    }

    /// Whether the configuration says that something exists elsewhere.
    pub(crate) fn is_external(&self, kind: &str, name: &str) -> bool {
        is_external(&self.settings.externals, kind, name)
    }

    /// Whether all that lies below the root is known.
    pub(crate) fn is_whole(&self) -> bool {
        self.survey.whole
    }

    /// Whether a file is a part of an environment that is composed.
    pub(crate) fn is_composed(&self, path: &str) -> bool {
        self.survey.entries.iter().any(|entry| entry.composed && *entry.path == *path)
    }

    /// The paths of files of a sort.
    pub(crate) fn of_sort(&self, sort: Sort) -> impl Iterator<Item = &'a Arc<str>> {
        self.survey.entries.iter().filter(move |entry| entry.sort == sort).map(|entry| &entry.path)
    }

    /// Every configuration of a Worker in the scan.
    pub(crate) fn workers(&self) -> &[WorkerFile] {
        self.workers.get_or_init(|| {
            let of = |sort, syntax| self.of_sort(sort).map(move |path| (path, syntax));
            let files = of(Sort::WranglerToml, Syntax::Toml).chain(of(Sort::WranglerJson, Syntax::Jsonc));
            files.filter_map(|(path, syntax)| self.worker(path, syntax)).collect()
        })
    }

    fn worker(&self, path: &str, syntax: Syntax) -> Option<WorkerFile> {
        let parsed = self.parsed(path, syntax)?;
        let root = parsed.documents.first()?.root();
        let name = root.text_of("name");
        let mut found = WorkerFile { path: path.to_owned(), names: Vec::new(), calls: Vec::new(), migrated: Vec::new() };
        found.names.extend(name.map(str::to_owned));
        let environments = root.get("env").into_iter().flat_map(Node::entries).filter(|(_, worker)| worker.is_mapping());
        for (key, worker) in environments {
            match worker.text_of("name") {
                Some(own) => found.names.push(own.to_owned()),
                None => found.names.extend(name.zip(key.text()).map(|(name, key)| format!("{name}-{key}"))),
            }
            self.read_worker(&mut found, worker);
        }
        self.read_worker(&mut found, root);
        Some(found)
    }

    fn read_worker(&self, found: &mut WorkerFile, worker: Node<'_>) {
        for (list, entry) in worker_entries(worker) {
            found.calls.extend(called(&list, entry).and_then(Node::text).map(str::to_owned));
            if list == "d1_databases" {
                let folder = entry.text_of("migrations_dir").unwrap_or("migrations");
                let there = join(parent(&found.path).unwrap_or_default(), folder).is_some_and(|folder| self.tree.is_folder(&folder));
                found.migrated.extend(entry.text_of("database_id").filter(|_| there).map(str::to_owned));
            }
        }
    }

    /// Whether the files of a repository that deliveries name are those of the scan: git knows it as a remote, or what
    /// deliveries name of it is here.
    pub(crate) fn is_own_repository(&self, repository: &str) -> bool {
        let known = self.repositories.get_or_init(|| {
            let config = self.text(".git/config").unwrap_or_default();
            let remotes = config.lines().filter_map(|line| line.trim().strip_prefix("url")?.trim_start().strip_prefix('='));
            let mut known: BTreeSet<String> = remotes.map(normal_url).collect();
            for path in self.of_sort(Sort::Yaml) {
                let delivers = |text: &String| says_kind(text, DELIVERING) && (text.contains("repoURL") || text.contains("sourceRef"));
                let Some(text) = self.text(path).filter(delivers) else { continue };
                let source = Source { path: Arc::clone(path), text, bom: false };
                let parsed = syntax::parse(&Arc::new(source), Syntax::Yaml);
                let sources = parsed.documents.iter().flat_map(|document| delivered(document.root()));
                // A folder such as `deploy` is in many repositories.
                let here = sources.filter(|source| source.path.contains('/') && self.tree.is_folder(&source.path));
                known.extend(here.map(|source| source.repository));
            }
            known
        });
        known.contains(repository)
    }

    /// The values files in the folder of a chart.
    pub(crate) fn values(&self, chart: &str) -> Arc<Vec<Parsed>> {
        let known = || self.values.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known().get(chart) {
            return Arc::clone(found);
        }
        let is_values = |name: &String| name.contains("values") && (name.ends_with(".yaml") || name.ends_with(".yml"));
        let names = self.tree.names(chart).into_iter().filter(is_values);
        let found: Arc<Vec<Parsed>> = Arc::new(names.filter_map(|name| self.parsed(&join(chart, &name)?, Syntax::Yaml)).collect());
        let mut kept = known();
        // Templates of one chart are looked at one after the other.
        if kept.len() >= MAX_CHARTS {
            kept.clear();
        }
        kept.insert(chart.to_owned(), Arc::clone(&found));
        found
    }

    /// The names of the objects of a kind that files of the scan define, of those kinds that deliveries need; none where
    /// a template may define others.
    pub(crate) fn needed(&self, kind: &str) -> BTreeSet<&str> {
        const KINDS: &[&str] = &["AppProject", "Namespace"];
        let objects = self.needed.get_or_init(|| {
            let mut objects = Vec::new();
            let kinds_in = |text: &str| KINDS.iter().copied().filter(|kind| text.contains(&format!("kind: {kind}"))).collect::<Vec<_>>();
            for path in self.of_sort(Sort::ChartTemplate) {
                objects.extend(kinds_in(&self.text(path).unwrap_or_default()).into_iter().map(|kind| (kind, None)));
            }
            for path in self.of_sort(Sort::Yaml) {
                let Some(text) = self.text(path).filter(|text| says_kind(text, KINDS)) else { continue };
                let parsed = syntax::parse(&Arc::new(Source { path: Arc::clone(path), text, bom: false }), Syntax::Yaml);
                for root in parsed.documents.iter().map(Document::root) {
                    let kind = root.text_of("kind").and_then(|kind| KINDS.iter().copied().find(|known| *known == kind));
                    let name = root.at_path(&["metadata", "name"]).and_then(Node::text);
                    objects.extend(kind.zip(name).map(|(kind, name)| (kind, Some(name.to_owned()))));
                }
            }
            objects
        });
        let of_kind = || objects.iter().filter(|(known, _)| *known == kind);
        if of_kind().any(|(_, name)| name.is_none()) {
            return BTreeSet::new();
        }
        of_kind().filter_map(|(_, name)| name.as_deref()).collect()
    }

    /// The credentials of a file for rules that compare environments, where one of them runs.
    pub(crate) fn credentials(&self, active: &[Active], artifacts: &[Artifact<'_>], secrets: &FileSecrets) -> Vec<Credential> {
        let rules = self.settings.rules.rules();
        let compares = |check: &Check| matches!(check, Check::Native(Native::Credentials(..)));
        let is_asked = active.iter().filter_map(|active| rules.get(active.index)).any(|rule| rule.checks.iter().any(compares));
        if !is_asked {
            return Vec::new();
        }
        let mut found = Vec::new();
        for (number, artifact) in artifacts.iter().enumerate() {
            for (index, variable) in artifact.variables.iter().enumerate() {
                let path = &variable.node.doc.source.path;
                let object = artifact.object_at(variable.node, variable.container);
                let environment = match artifact.kind {
                    ArtifactKind::Wrangler => object.path.strip_prefix("env.").and_then(|rest| rest.split('.').next()),
                    _ => None,
                };
                let Some(stage) = Stage::of(variable.scope, path, environment) else { continue };
                let url = secrets.url_passwords.iter().find(|url| url.at == (number, index));
                let (span, verdict) = match (variable.verdict.get().copied().flatten(), url) {
                    (Some(verdict), _) => (variable.span, verdict),
                    (None, Some(url)) => (url.span, url.verdict),
                    (None, None) => continue,
                };
                let text = if span == variable.span { &*variable.value } else { variable.node.doc.source.slice(span) };
                // What is short or published is the same in many places.
                if verdict == Verdict::Default || text.trim().len() < 6 {
                    continue;
                }
                let name = variable.name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
                let digest = digest(&self.key, text);
                found.push(Credential {
                    name,
                    shown: variable.name.to_string(),
                    digest,
                    stage,
                    location: Location { path: Arc::clone(path), span },
                    object,
                    is_dummy: verdict == Verdict::Placeholder,
                });
            }
        }
        found
    }
}

/// The Worker that an entry of a configuration means.
pub(crate) fn called<'d>(list: &str, entry: Node<'d>) -> Option<Node<'d>> {
    match list {
        "services" | "tail_consumers" | "streaming_tail_consumers" => entry.get("service"),
        "durable_objects.bindings" | "workflows" => entry.get("script_name"),
        _ => None,
    }
}

/// A folder of a repository that something deploys from.
pub(crate) struct Delivered<'d> {
    /// The source itself.
    pub(crate) node: Node<'d>,
    /// Where the path is said.
    pub(crate) at: Node<'d>,
    /// From the root of the repository.
    pub(crate) path: String,
    /// Which repository it is.
    pub(crate) repository: String,
}

/// Kinds of the objects that [`delivered`] reads.
const DELIVERING: &[&str] = &["Application", "Kustomization", "HelmRelease"];

/// Whether a text may hold an object of one of these kinds: a cheap look before it is parsed. Definitions of such kinds
/// are large, and say them further in.
fn says_kind(text: &str, kinds: &[&str]) -> bool {
    text.lines().any(|line| {
        // Where keys are quoted, they may stand further in, and several on one line.
        let quoted = || line.trim_start().starts_with(['{', '"', '\'']);
        (line.starts_with("kind") || quoted()) && kinds.iter().any(|kind| line.contains(kind))
    })
}

/// What an Argo CD Application or an object of Flux deploys from.
pub(crate) fn delivered<'d>(root: Node<'d>) -> Vec<Delivered<'d>> {
    let group = api_group(root.text_of("apiVersion").unwrap_or_default());
    let Some(spec) = root.get("spec") else { return Vec::new() };
    let read = |node: Node<'d>, at: Node<'d>, repository: String| {
        let text = at.text().filter(|text| !text.contains(['{', '$', '<', '*']))?;
        Some(Delivered { node, at, path: join("", text.trim_start_matches('/'))?, repository })
    };
    let flux = |node: Node<'d>| {
        let source = node.get("sourceRef").filter(|source| source.text_of("kind") == Some("GitRepository"))?;
        Some(format!("GitRepository/{}", source.text_of("name")?))
    };
    match (root.text_of("kind").unwrap_or_default(), group) {
        ("Application", "argoproj.io") => {
            let sources = spec.get("source").into_iter().chain(spec.get("sources").into_iter().flat_map(Node::items));
            sources.filter_map(|source| read(source, source.get("path")?, normal_url(source.text_of("repoURL")?))).collect()
        }
        ("Kustomization", "kustomize.toolkit.fluxcd.io") => {
            spec.get("path").and_then(|path| read(spec, path, flux(spec)?)).into_iter().collect()
        }
        ("HelmRelease", "helm.toolkit.fluxcd.io") => {
            let chart = spec.at_path(&["chart", "spec"]);
            chart.and_then(|chart| read(chart, chart.get("chart")?, flux(chart)?)).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

/// A repository's address without what differs between the ways to reach it.
fn normal_url(url: &str) -> String {
    let url = url.trim().trim_end_matches('/').trim_end_matches(".git").to_ascii_lowercase();
    let rest = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
    rest.rsplit_once('@').map_or(rest, |(_, rest)| rest).replacen(':', "/", 1)
}

/// The name in a comment that shows a variable, such as `# LOG_LEVEL=info`.
fn shown_variable(comment: &str) -> Option<&str> {
    let text = comment.trim_start_matches(['#', ' ', '\t']);
    let (name, _) = text.strip_prefix("export ").unwrap_or(text).split_once('=')?;
    let name = name.trim_end();
    let fits = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    (fits && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')).then_some(name)
}

/// What an environment is to the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Production,
    /// Staging and development.
    Earlier,
}

impl Stage {
    fn of(scope: PathScope, path: &str, environment: Option<&str>) -> Option<Self> {
        let words = format!("{path}/{}", environment.unwrap_or_default()).to_ascii_lowercase();
        let staging = words
            .split(['/', '-', '_', '.'])
            .any(|word| matches!(word, "staging" | "stage" | "stg" | "uat" | "qa" | "preprod" | "nonprod"));
        match scope {
            PathScope::Production if !staging => Some(Self::Production),
            PathScope::Development => Some(Self::Earlier),
            PathScope::Unscoped if staging => Some(Self::Earlier),
            _ => None,
        }
    }
}

/// A credential as rules over several files know it: not its value.
#[derive(Debug)]
pub(crate) struct Credential {
    /// Letters and digits of the name, in lower case.
    name: String,
    shown: String,
    digest: u32,
    stage: Stage,
    location: Location,
    object: Object,
    /// A placeholder, or what a development file may well set.
    is_dummy: bool,
}

/// Reports credentials of production that another environment has, too.
pub(crate) fn reused_across_environments(rule: &Rule, active: &Active, credentials: &[Credential]) -> Vec<Draft> {
    let mut earlier: HashMap<(&str, u32), &Credential> = HashMap::new();
    for credential in credentials.iter().filter(|credential| credential.stage == Stage::Earlier) {
        earlier.entry((&credential.name, credential.digest)).or_insert(credential);
    }
    let production = credentials.iter().filter(|credential| credential.stage == Stage::Production && !credential.is_dummy);
    let shared = production.filter_map(|credential| Some((credential, earlier.get(&(credential.name.as_str(), credential.digest))?)));
    let report = |(credential, other): (&Credential, &&Credential)| {
        let Location { path, span } = &credential.location;
        let message = format!("`{}` of production has the same value in another environment", credential.shown);
        let mut draft = Draft::new(rule, active.index, path, *span, credential.object.clone(), message);
        draft.related.push(Related { location: other.location.clone(), label: "the same value".to_owned() });
        draft
    };
    shared.map(report).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_show_variables() {
        assert_eq!(shown_variable("# LOG_LEVEL=info"), Some("LOG_LEVEL"));
        assert_eq!(shown_variable("#export A=1"), Some("A"));
        assert_eq!(shown_variable("# set it to a=b here"), None);
        assert_eq!(shown_variable("# nothing"), None);
    }

    #[test]
    fn addresses_of_one_repository_are_one() {
        for url in ["https://github.com/Acme/shop.git", "git@github.com:acme/shop", "ssh://git@github.com/acme/shop/"] {
            assert_eq!(normal_url(url), "github.com/acme/shop", "{url}");
        }
    }

    #[test]
    fn stages_are_words_of_paths() {
        assert_eq!(Stage::of(PathScope::Production, ".env.production", None), Some(Stage::Production));
        assert_eq!(Stage::of(PathScope::Unscoped, "wrangler.toml", Some("staging")), Some(Stage::Earlier));
        assert_eq!(Stage::of(PathScope::Unscoped, "wrangler.toml", None), None);
        assert_eq!(Stage::of(PathScope::Production, "prod/staging/a.yaml", None), None);
    }
}
