//! A scan from the tree to the report: survey, then every file and every environment by itself, in
//! parallel; `judge` does the rest.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use crate::artifact::{self, Artifact, Context, Kustomization, TargetKind, in_example_folder, is_compose, is_fragment_name, is_kubernetes};
use crate::check::{Draft, File, Lazy, Part, check_file};
use crate::config::{Profiles, Settings};
use crate::deploy::{Environment, check_compose, check_kustomization, check_release};
use crate::environment::compose::is_composed;
use crate::environment::helm::Release;
use crate::finding::{Coverage, Location, Object, Report, Severity};
use crate::judge::judge;
use crate::project::{Credential, Files, Listing, ObjectFacts, facts};
use crate::redact::{FileSecrets, random_words, repeated, texts};
use crate::rule::ArtifactKind;
use crate::secret;
use crate::source::{MaskedText, Source, Span};
use crate::suppress::{self, Directive, Suppressions};
use crate::survey::{Entry, Request, Sort, State, Survey};
use crate::syntax::{self, Document, Parsed, Syntax};
use crate::tree::Tree;

/// How far a scan is: files done and files in all.
#[derive(Debug, Default)]
pub struct Progress {
    /// Files that were looked at.
    pub done: AtomicUsize,
    /// Files of the scan, once the survey knows.
    pub total: AtomicUsize,
}

/// What every check of a scan needs.
#[derive(Clone, Copy)]
pub(crate) struct Scan<'a> {
    pub(crate) tree: &'a Tree,
    pub(crate) files: &'a Files<'a>,
    pub(crate) settings: &'a Settings,
    pub(crate) profiles: &'a Profiles,
}

/// What one file or environment left.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) drafts: Vec<Draft>,
    pub(crate) facts: Vec<ObjectFacts>,
    pub(crate) credentials: Vec<Credential>,
    /// The masked text and line hashes, where the file has findings.
    pub(crate) shown: Option<Shown>,
    pub(crate) artifacts: BTreeMap<&'static str, usize>,
    /// Names of the environments of a wrangler configuration; the top level has none.
    pub(crate) workers: Vec<String>,
    pub(crate) not_analysed: Option<&'static str>,
    pub(crate) other: bool,
    pub(crate) directives: Vec<Directive>,
    /// Where the configuration repeats a secret of the file.
    pub(crate) quoted: Vec<Span>,
    /// Whether every rule has seen the file, so that a suppression that silences nothing is of no use.
    pub(crate) judged: bool,
    /// What was composed.
    pub(crate) environment: Option<Environment>,
    /// Charts that objects of the file install.
    pub(crate) releases: Vec<Release>,
    /// Secrets that an environment shows, in its files.
    pub(crate) masks: Vec<Location>,
}

impl Shown {
    /// Stands for a file whose text is not known.
    pub(crate) fn nothing() -> Self {
        Self { text: MaskedText::new("", &[]), bom: false, raw: None }
    }
}

pub(crate) struct Shown {
    pub(crate) text: MaskedText,
    pub(crate) bom: bool,
    /// The raw text, kept only while line hashes are wanted.
    pub(crate) raw: Option<String>,
}

/// Checks what a request asks for.
pub fn check(tree: &Tree, request: &Request, settings: &Settings, progress: &Progress) -> Report {
    let survey = Survey::new(tree, request, &settings.exclude, &settings.releases);
    let profiles = Profiles::new(settings, survey.entries.iter().map(|entry| &entry.path));
    let outcomes = outcomes(tree, &survey, settings, &profiles, progress);
    judge(tree, &survey, outcomes, settings, &profiles)
}

/// Lists what is deployed together.
pub(crate) fn list(tree: &Tree, request: &Request, settings: &Settings) -> Listing {
    let survey = Survey::new(tree, request, &settings.exclude, &settings.releases);
    let profiles = Profiles::new(settings, survey.entries.iter().map(|entry| &entry.path));
    let outcomes = outcomes(tree, &survey, settings, &profiles, &Progress::default());
    Listing::new(tree, &survey, &outcomes)
}

/// What the files of a survey and its environments leave: one outcome for each file, in their order, then the environments.
fn outcomes(tree: &Tree, survey: &Survey, settings: &Settings, profiles: &Profiles, progress: &Progress) -> Vec<Outcome> {
    progress.total.store(survey.entries.len(), Ordering::Relaxed);
    let files = Files::new(tree, survey, settings);
    let scan = Scan { tree, files: &files, settings, profiles };
    let mut tasks: Vec<Task<'_>> = survey.entries.iter().map(Task::File).collect();
    // Environments follow the files; what they are checked for is independent of them.
    tasks.extend(survey.compose.iter().map(|environment| {
        Task::Compose(environment.files.iter().filter_map(|&number| survey.entries.get(number)).map(|entry| &*entry.path).collect())
    }));
    tasks.extend(survey.kustomize.iter().map(|folder| Task::Kustomize(folder)));
    let run = |task: &Task<'_>| {
        let outcome = catch_unwind(AssertUnwindSafe(|| match task {
            Task::File(entry) => check_entry(scan, entry),
            Task::Compose(files) => check_compose(scan, files),
            Task::Kustomize(folder) => check_kustomization(scan, folder, survey),
            Task::Release(release) => check_release(scan, release),
        }))
        .unwrap_or_else(|_| failed(task, settings));
        progress.done.fetch_add(usize::from(matches!(task, Task::File(_))), Ordering::Relaxed);
        outcome
    };
    let mut outcomes: Vec<Outcome> = tasks.par_iter().map(run).collect();
    // What delivery tools install is known once their objects are read.
    let found = outcomes.iter_mut().flat_map(|outcome| std::mem::take(&mut outcome.releases));
    let mut releases: Vec<Release> = settings.releases.iter().map(Release::of_config).chain(found).collect();
    releases.retain(|release| release.is_here(tree));
    releases.dedup();
    outcomes.par_extend(releases.par_iter().map(|release| run(&Task::Release(release))));
    outcomes
}

/// A part of a scan that is independent of all others.
enum Task<'s> {
    File(&'s Entry),
    /// The files of a Compose project, in the order they are merged.
    Compose(Vec<&'s str>),
    /// The folder of a kustomization.
    Kustomize(&'s str),
    Release(&'s Release),
}

/// Checks the tree that a change began with, for what the request of the changed tree would have shown there.
pub(crate) fn check_base(base: &Tree, changed: &Tree, request: &Request, settings: &Settings) -> Report {
    let is_folder = |path: &String| path.is_empty() || changed.is_folder(path);
    // A file may have had another name, so all of them are looked at; a folder stays what is asked for.
    let paths = if request.paths.iter().all(is_folder) {
        let there: Vec<String> = request.paths.iter().filter(|path| path.is_empty() || base.is_folder(path)).cloned().collect();
        if there.is_empty() && !request.paths.is_empty() {
            return Report::nothing(settings);
        }
        there
    } else {
        Vec::new()
    };
    check(base, &Request { paths, no_ignore: request.no_ignore }, settings, &Progress::default())
}

/// Checks one text as if it were the only file of a tree; the path decides its kind.
pub fn check_source(path: &str, text: &str, settings: &Settings) -> Report {
    let tree = Tree::default().with(path, text);
    check(&tree, &Request { paths: vec![path.to_owned()], no_ignore: false }, settings, &Progress::default())
}

/// A draft of one of the scanner's own rules.
pub(crate) fn scan_draft(settings: &Settings, rule: &str, path: &Arc<str>, span: Span, message: String) -> Option<Draft> {
    let index = settings.rules.index(rule)?;
    let rule = settings.rules.rules().get(index)?;
    Some(Draft::new(rule, index, path, span, Object::default(), message))
}

impl Report {
    /// A report of nothing.
    fn nothing(settings: &Settings) -> Self {
        Self {
            findings: Vec::new(),
            silenced: Vec::new(),
            compared: None,
            coverage: Coverage::default(),
            sources: BTreeMap::new(),
            rules: Arc::clone(&settings.rules),
            selected: Vec::new(),
            notes: Vec::new(),
        }
    }
}

fn failed(task: &Task<'_>, settings: &Settings) -> Outcome {
    let path: Arc<str> = match task {
        Task::File(entry) => Arc::clone(&entry.path),
        Task::Compose(files) => files.first().copied().unwrap_or_default().into(),
        Task::Kustomize(folder) => format!("{folder}/kustomization.yaml").trim_start_matches('/').into(),
        Task::Release(release) => format!("{}/Chart.yaml", release.chart).trim_start_matches('/').into(),
    };
    let message = "preflint failed on this file and did not judge it; please report it".to_owned();
    Outcome {
        drafts: scan_draft(settings, "scan/internal-error", &path, Span::default(), message).into_iter().collect(),
        shown: Some(Shown::nothing()),
        not_analysed: Some("internal error"),
        ..Outcome::default()
    }
}

pub(crate) fn syntax_of(sort: Sort) -> Syntax {
    match sort {
        Sort::Dotenv => Syntax::Dotenv,
        Sort::WranglerToml => Syntax::Toml,
        Sort::WranglerJson => Syntax::Jsonc,
        Sort::Json => Syntax::Json,
        _ => Syntax::Yaml,
    }
}

/// Bytes at the start of a JSON file that show whether it is a Kubernetes object.
const SNIFF: usize = 8 << 10;

fn check_entry(scan: Scan<'_>, entry: &Entry) -> Outcome {
    let Scan { tree, settings, .. } = scan;
    let other = Outcome { other: true, ..Outcome::default() };
    match entry.sort {
        Sort::Other => return other,
        Sort::VendoredChart => return Outcome { not_analysed: Some("vendored chart"), ..Outcome::default() },
        Sort::Json => match tree.read_start(&entry.path, SNIFF) {
            Ok(start) if contains(&start, b"\"apiVersion\"") && contains(&start, b"\"kind\"") => {}
            _ => return other,
        },
        _ => {}
    }
    let source = match read(tree, entry) {
        Ok(source) => Arc::new(source),
        Err(message) => {
            return Outcome {
                drafts: scan_draft(settings, "scan/file-unreadable", &entry.path, Span::default(), message).into_iter().collect(),
                shown: Some(Shown::nothing()),
                not_analysed: Some("unreadable"),
                ..Outcome::default()
            };
        }
    };
    if matches!(entry.sort, Sort::Yaml | Sort::ChartCrd) && !may_be_artifact(&source.text) {
        return other;
    }
    let secrets = FileSecrets::scan(&settings.rules.data.secrets, &source);
    if entry.sort == Sort::ChartTemplate {
        return finish(scan, entry, &source, &Parsed::default(), &[], secrets, Part::Whole, Some("chart template"));
    }
    let syntax = syntax_of(entry.sort);
    let parsed = syntax::parse(&source, syntax);
    if parsed.documents.is_empty() && parsed.errors.is_empty() {
        return other;
    }
    // Text that a template engine fills in first is no YAML, and no fault of it.
    if !parsed.errors.is_empty() && is_templated(&source.text, syntax) {
        return finish(scan, entry, &source, &Parsed::default(), &[], secrets, Part::Whole, Some("template of another tool"));
    }
    let kinds: Vec<Option<ArtifactKind>> = parsed.documents.iter().map(|document| document_kind(entry, document)).collect();
    if kinds.iter().all(Option::is_none) && (parsed.errors.is_empty() || !claims(entry.sort, &source.text)) {
        return other;
    }
    let scope = settings.scope(&entry.path);
    let complete = !is_fragment_name(&entry.path)
        && !entry.chart_defaults
        && (parsed.errors.is_empty() || syntax == Syntax::Yaml || syntax == Syntax::Dotenv);
    let context = Context { scope, complete, crds: entry.sort == Sort::ChartCrd };
    let mut artifacts: Vec<Artifact<'_>> = parsed
        .documents
        .iter()
        .zip(&kinds)
        .filter_map(|(document, kind)| kind.map(|kind| artifact::artifacts(kind, document.root(), &context)))
        .flatten()
        .collect();
    // The base is judged by itself; what cannot be read of it is reported there.
    let base = entry
        .base
        .as_ref()
        .and_then(|path| Source::decode(Arc::clone(path), tree.read(path).ok()?).ok())
        .map(|source| syntax::parse(&Arc::new(source), Syntax::Yaml));
    if let Some(base) = base.as_ref().and_then(|base| base.documents.first()) {
        for artifact in &mut artifacts {
            artifact::merge_over(artifact, base.root());
        }
    }
    let is_compose = |(document, kind): (&Document, &Option<ArtifactKind>)| *kind == Some(ArtifactKind::Compose) && is_composed(document);
    let alone = !entry.composed && parsed.documents.iter().zip(&kinds).any(is_compose);
    let part = if alone || entry.composed { Part::Text } else { Part::Whole };
    let mut outcome = finish(scan, entry, &source, &parsed, &artifacts, secrets, part, None);
    outcome.releases = parsed
        .documents
        .iter()
        .enumerate()
        .flat_map(|(number, document)| Release::of_object(&entry.path, number, document.root()))
        .collect();
    if alone && entry.reported {
        let deployed = check_compose(scan, &[&entry.path]);
        outcome.drafts.extend(deployed.drafts);
        outcome.environment = deployed.environment;
        outcome.masks = deployed.masks;
    }
    outcome
}

#[expect(clippy::too_many_arguments, reason = "what was read of a file, piece by piece")]
fn finish<'d>(
    scan: Scan<'_>,
    entry: &Entry,
    source: &Arc<Source>,
    parsed: &'d Parsed,
    artifacts: &[Artifact<'d>],
    mut secrets: FileSecrets,
    part: Part,
    not_analysed: Option<&'static str>,
) -> Outcome {
    let Scan { tree, files, settings, profiles } = scan;
    let data = &settings.rules.data;
    secrets.judge(&data.secrets, artifacts);
    let mut outcome = Outcome { not_analysed, ..Outcome::default() };
    if part == Part::Whole {
        outcome.facts = artifacts.iter().filter_map(|artifact| facts(&entry.path, artifact)).collect();
    }
    // What git ignores is not published.
    let published = !(entry.state == State::Ignored && entry.sort == Sort::Dotenv);
    if published {
        outcome.credentials = files.credentials(&profiles.of(&entry.path).active, artifacts, &secrets);
    }
    if let Some(text) = &settings.text {
        outcome.quoted = secrets.repeated_in(source, text.text());
    }
    if !entry.reported {
        return outcome;
    }
    for artifact in artifacts {
        *outcome.artifacts.entry(artifact.kind.word()).or_default() += 1;
        outcome.workers.extend(artifact.targets(TargetKind::Worker).map(|worker| worker.environment.to_owned()));
    }
    let remote =
        artifacts.iter().any(|artifact| artifact.kind == ArtifactKind::Kustomize && Kustomization::read(artifact.root).has_remote());
    if remote {
        outcome.not_analysed = Some("remote base of a kustomization");
    }
    let file = File {
        part,
        source,
        parsed,
        artifacts,
        secrets: &secrets,
        rules: &settings.rules,
        kubernetes_version: settings.kubernetes_version,
        today: settings.policy.today,
        tree,
        files,
        state: entry.state,
        images: &entry.images,
        problems: &[],
        lazy: Lazy::default(),
    };
    outcome.drafts = check_file(&file, &profiles.of(&entry.path).active);
    if !published {
        outcome.drafts.retain(|draft| settings.rules.rules().get(draft.rule).is_none_or(|rule| rule.precedence.is_none()));
    }
    if let Some(limit) = parsed.errors.iter().find(|error| error.limit) {
        outcome.drafts.extend(scan_draft(settings, "scan/limit-exceeded", &entry.path, limit.span, limit.message.clone()));
    }
    // Examples are often deployed as they are, but not always.
    if in_example_folder(&entry.path) {
        for draft in &mut outcome.drafts {
            draft.confidence = draft.confidence.lower();
        }
    }
    for draft in &mut outcome.drafts {
        if secrets.covers(draft.location.span) {
            // The quotes around a value are no part of a secret.
            draft.secret = Some(secret::unquoted(source.slice(draft.location.span)).into());
        }
        // `env.prod.vars.KEY` belongs to an environment of the file.
        if matches!(entry.sort, Sort::WranglerToml | Sort::WranglerJson) {
            draft.environment = draft.object.path.strip_prefix("env.").and_then(|rest| rest.split('.').next()).map(str::to_owned);
        }
    }
    let Suppressions { directives, remarks } = suppress::read(source, parsed, artifacts, &settings.rules, &settings.policy);
    let said: Vec<Span> = directives.iter().map(|directive| directive.span).chain(remarks.iter().map(|remark| remark.span)).collect();
    for remark in remarks {
        let mut draft = scan_draft(settings, remark.rule, &entry.path, remark.span, remark.message);
        if let Some(draft) = draft.as_mut().filter(|_| remark.foreign) {
            draft.severity = Severity::Info;
        }
        outcome.drafts.extend(draft);
    }
    outcome.directives = directives;
    outcome.judged = outcome.not_analysed.is_none() && parsed.errors.is_empty() && published;
    if !outcome.drafts.is_empty() {
        outcome.shown = Some(shown(source, parsed, &secrets, &said, settings));
    }
    outcome
}

/// The text of a file without its secrets; `said` are the places of suppressions, which may quote one.
fn shown(source: &Source, parsed: &Parsed, secrets: &FileSecrets, said: &[Span], settings: &Settings) -> Shown {
    let mut masks = secrets.masks(&settings.rules.data.secrets, source);
    let known = texts(source, masks.iter().copied());
    for part in parsed.documents.iter().flat_map(|document| &document.comments).chain(said) {
        masks.extend(repeated(&known, source.slice(*part), part.start));
        masks.extend(random_words(source.slice(*part), part.start));
    }
    // A line that does not parse may hold a secret that no document has.
    if parsed.documents.first().is_some_and(|document| document.syntax == Syntax::Dotenv) {
        masks.extend(parsed.errors.iter().map(|error| error.span));
    }
    Shown { text: MaskedText::new(&source.text, &masks), bom: source.bom, raw: settings.line_hashes.then(|| source.text.clone()) }
}

fn read(tree: &Tree, entry: &Entry) -> Result<Source, String> {
    let bytes = tree.read(&entry.path).map_err(|error| format!("the file cannot be read: {error}"))?;
    Source::decode(Arc::clone(&entry.path), bytes).map_err(|error| error.to_string())
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    memchr::memmem::find(haystack, needle).is_some()
}

/// Whether a YAML text can be a Kubernetes object or a Compose file at all.
fn may_be_artifact(text: &str) -> bool {
    let bytes = text.as_bytes();
    (contains(bytes, b"kind") && contains(bytes, b"apiVersion")) || contains(bytes, b"services")
}

/// Lines that only a template engine can make YAML of.
pub(crate) fn is_templated(text: &str, syntax: Syntax) -> bool {
    if syntax != Syntax::Yaml {
        return ["{{", "{%", "<%"].iter().any(|mark| text.contains(mark));
    }
    text.lines().any(|line| {
        let line = line.trim_start();
        line.starts_with("{{") || line.starts_with("{%") || line.starts_with("<%") || line.starts_with("- {{") || line.starts_with("#@")
    }) || text.contains(": {{")
        || text.match_indices(": ").any(|(at, _)| text.get(at + 2..).is_some_and(is_placeholder))
}

/// Whether a text begins with `{NAME}` or `@NAME@`, as scripts fill them in.
fn is_placeholder(text: &str) -> bool {
    let close = if text.starts_with('{') { '}' } else { '@' };
    text.strip_prefix(['{', '@']).and_then(|rest| rest.split_once(close)).is_some_and(|(name, _)| {
        name.len() > 1 && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
    })
}

/// What a document is, by the file's name and its content.
fn document_kind(entry: &Entry, document: &Document) -> Option<ArtifactKind> {
    let root = document.root();
    let holds = |keys: &[&str]| root.is_mapping() && keys.iter().any(|key| root.get(key).is_some());
    match entry.sort {
        Sort::Dotenv => Some(ArtifactKind::Dotenv),
        Sort::WranglerToml | Sort::WranglerJson => Some(ArtifactKind::Wrangler),
        Sort::Kustomization => Some(ArtifactKind::Kustomize),
        Sort::Chart => Some(ArtifactKind::Chart),
        _ if is_kubernetes(root) => {
            let is_kustomization = root.text_of("apiVersion").is_some_and(|api| api.starts_with("kustomize.config.k8s.io/"));
            Some(if is_kustomization { ArtifactKind::Kustomize } else { ArtifactKind::Kubernetes })
        }
        Sort::Compose if holds(&["services", "include", "volumes", "networks"]) => Some(ArtifactKind::Compose),
        // What a Compose file includes or extends is one, too.
        Sort::Yaml if entry.composed && holds(&["services"]) => Some(ArtifactKind::Compose),
        Sort::HelmValues if root.is_mapping() => Some(ArtifactKind::HelmValues),
        _ if is_compose(root) => Some(ArtifactKind::Compose),
        _ => None,
    }
}

/// Whether a text that does not parse says what it is: by its name, or by keys at the start of a line.
fn claims(sort: Sort, text: &str) -> bool {
    let key = |key: &str| text.lines().any(|line| line.strip_prefix(key).is_some_and(|rest| rest.starts_with(':')));
    !matches!(sort, Sort::Yaml | Sort::ChartCrd) || (key("apiVersion") && key("kind")) || key("services")
}

/// The masked text of a file that only a project rule points at.
pub(crate) fn mask_again(tree: &Tree, entry: &Entry, settings: &Settings) -> Option<Shown> {
    let source = Arc::new(read(tree, entry).ok()?);
    let mut secrets = FileSecrets::scan(&settings.rules.data.secrets, &source);
    let parsed = syntax::parse(&source, syntax_of(entry.sort));
    let scope = settings.scope(&entry.path);
    let context = Context { scope, complete: true, crds: false };
    let kinds = parsed.documents.iter().filter_map(|document| document_kind(entry, document).map(|kind| (kind, document)));
    let artifacts: Vec<Artifact<'_>> = kinds.flat_map(|(kind, document)| artifact::artifacts(kind, document.root(), &context)).collect();
    secrets.judge(&settings.rules.data.secrets, &artifacts);
    let Suppressions { directives, .. } = suppress::read(&source, &parsed, &artifacts, &settings.rules, &settings.policy);
    let said: Vec<Span> = directives.iter().map(|directive| directive.span).collect();
    Some(shown(&source, &parsed, &secrets, &said, settings))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::error::SetupError;
    use crate::rule::RuleSet;

    #[test]
    fn a_failure_on_one_file_is_a_finding() -> Result<(), SetupError> {
        let settings = Settings::new(Arc::new(RuleSet::load(&[])?), &Config::default())?;
        let tree = Tree::default().with("web.yaml", "a: 1\n");
        let survey = Survey::new(&tree, &Request::default(), &settings.exclude, &settings.releases);
        let outcomes = survey.entries.iter().map(|entry| failed(&Task::File(entry), &settings)).collect();
        let profiles = Profiles::new(&settings, std::iter::empty());
        let report = judge(&tree, &survey, outcomes, &settings, &profiles);
        assert_eq!(report.findings.iter().map(|finding| &*finding.rule).collect::<Vec<_>>(), ["scan/internal-error"]);
        assert_eq!(report.coverage.not_analysed.len(), 1);
        Ok(())
    }
}
