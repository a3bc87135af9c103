//! A scan from the tree to the report: survey, then every file by itself, then what needs several, then judging.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use crate::artifact::{self, Artifact, Context, Kustomization, PathScope, in_example_folder, is_compose, is_kubernetes, is_patch_name};
use crate::check::{Draft, File, Lazy, check_file};
use crate::config::Settings;
use crate::finding::{Coverage, Finding, NotAnalysed, Object, Report};
use crate::line_hash::line_hashes;
use crate::project::{Build, Group, ObjectFacts, cuts, facts, link};
use crate::redact::FileSecrets;
use crate::rule::ArtifactKind;
use crate::source::{MaskedText, Source, Span};
use crate::survey::{Entry, KustomizeRoot, Request, Sort, State, Survey};
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

/// What one file left.
#[derive(Default)]
struct Outcome {
    drafts: Vec<Draft>,
    facts: Vec<ObjectFacts>,
    /// The masked text and line hashes, where the file has findings.
    shown: Option<Shown>,
    artifacts: BTreeMap<&'static str, usize>,
    not_analysed: Option<&'static str>,
    other: bool,
}

struct Shown {
    text: MaskedText,
    bom: bool,
    /// The raw text, kept only while line hashes are wanted.
    raw: Option<String>,
}

/// Checks what a request asks for.
pub fn check(tree: &Tree, request: &Request, settings: &Settings, progress: &Progress) -> Report {
    let survey = Survey::new(tree, request, &settings.exclude);
    progress.total.store(survey.entries.len(), Ordering::Relaxed);
    let outcomes: Vec<Outcome> = survey
        .entries
        .par_iter()
        .map(|entry| {
            let outcome = catch_unwind(AssertUnwindSafe(|| check_entry(tree, entry, settings))).unwrap_or_else(|_| failed(entry, settings));
            progress.done.fetch_add(1, Ordering::Relaxed);
            outcome
        })
        .collect();
    judge(tree, &survey, outcomes, settings)
}

/// Checks one text as if it were the only file of a tree; the path decides its kind.
pub fn check_source(path: &str, text: &str, settings: &Settings) -> Report {
    let tree = Tree::default().with(path, text);
    check(&tree, &Request { paths: vec![path.to_owned()], no_ignore: false }, settings, &Progress::default())
}

/// A draft of one of the scanner's own rules.
fn scan_draft(settings: &Settings, rule: &str, path: &Arc<str>, span: Span, message: String) -> Option<Draft> {
    let index = settings.rules.index(rule)?;
    let rule = settings.rules.rules().get(index)?;
    Some(Draft::new(rule, index, path, span, Object::default(), message))
}

fn failed(entry: &Entry, settings: &Settings) -> Outcome {
    let message = "preflint failed on this file and did not judge it; please report it".to_owned();
    Outcome {
        drafts: scan_draft(settings, "scan/internal-error", &entry.path, Span::default(), message).into_iter().collect(),
        shown: Some(Shown { text: MaskedText::new("", &[]), bom: false, raw: None }),
        not_analysed: Some("internal error"),
        ..Outcome::default()
    }
}

/// Bytes at the start of a JSON file that show whether it is a Kubernetes object.
const SNIFF: usize = 8 << 10;

fn check_entry(tree: &Tree, entry: &Entry, settings: &Settings) -> Outcome {
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
                shown: Some(Shown { text: MaskedText::new("", &[]), bom: false, raw: None }),
                not_analysed: Some("unreadable"),
                ..Outcome::default()
            };
        }
    };
    if entry.sort == Sort::Yaml && !may_be_artifact(&source.text) {
        return other;
    }
    let secrets = FileSecrets::scan(&settings.rules.data.secrets, &source);
    if entry.sort == Sort::ChartTemplate {
        return finish(entry, &source, &Parsed::default(), &[], secrets, settings, Some("chart template"));
    }
    let syntax = match entry.sort {
        Sort::Dotenv => Syntax::Dotenv,
        Sort::WranglerToml => Syntax::Toml,
        Sort::WranglerJson => Syntax::Jsonc,
        Sort::Json => Syntax::Json,
        _ => Syntax::Yaml,
    };
    let parsed = syntax::parse(&source, syntax);
    if parsed.documents.is_empty() && parsed.errors.is_empty() {
        return other;
    }
    // Text that a template engine fills in first is no YAML, and no fault of it.
    if !parsed.errors.is_empty() && is_templated(&source.text, syntax) {
        return finish(entry, &source, &Parsed::default(), &[], secrets, settings, Some("template of another tool"));
    }
    let kinds: Vec<Option<ArtifactKind>> = parsed.documents.iter().map(|document| document_kind(entry.sort, document)).collect();
    if kinds.iter().all(Option::is_none) && (parsed.errors.is_empty() || !claims(entry.sort, &source.text)) {
        return other;
    }
    let scope = PathScope::of_path(&entry.path);
    let fragment = entry.patch || is_patch_name(&entry.path) || entry.path.contains(".override.") || entry.path.contains(".override-");
    let complete = !fragment
        && !entry.patched
        && !entry.chart_defaults
        && (parsed.errors.is_empty() || syntax == Syntax::Yaml || syntax == Syntax::Dotenv);
    let context = Context { scope, complete };
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
    finish(entry, &source, &parsed, &artifacts, secrets, settings, None)
}

fn finish<'d>(
    entry: &Entry,
    source: &Arc<Source>,
    parsed: &'d Parsed,
    artifacts: &[Artifact<'d>],
    mut secrets: FileSecrets,
    settings: &Settings,
    not_analysed: Option<&'static str>,
) -> Outcome {
    let data = &settings.rules.data;
    secrets.judge(&data.secrets, artifacts);
    let mut outcome = Outcome { not_analysed, ..Outcome::default() };
    if !entry.patch {
        outcome.facts = artifacts.iter().filter_map(|artifact| facts(&entry.path, artifact)).collect();
    }
    if !entry.reported {
        return outcome;
    }
    for artifact in artifacts {
        *outcome.artifacts.entry(artifact.kind.word()).or_default() += 1;
    }
    let remote =
        artifacts.iter().any(|artifact| artifact.kind == ArtifactKind::Kustomize && Kustomization::read(artifact.root).has_remote());
    if remote {
        outcome.not_analysed = Some("remote base of a kustomization");
    }
    let file = File {
        source,
        parsed,
        artifacts,
        secrets: &secrets,
        rules: &settings.rules,
        kubernetes_version: settings.kubernetes_version,
        lazy: Lazy::default(),
    };
    outcome.drafts = check_file(&file, &settings.active);
    // What git ignores is not published.
    if entry.state == State::Ignored && entry.sort == Sort::Dotenv {
        outcome.drafts.retain(|draft| settings.rules.rules().get(draft.rule).is_none_or(|rule| rule.precedence.is_none()));
    }
    if let Some(limit) = parsed.errors.iter().find(|error| error.limit) {
        outcome.drafts.extend(scan_draft(settings, "scan/limit-exceeded", &entry.path, limit.span, limit.message.clone()));
    }
    for (span, what) in artifacts.iter().flat_map(Artifact::elsewhere) {
        outcome.drafts.extend(scan_draft(settings, "scan/environment-not-evaluated", &entry.path, span, what));
    }
    // Examples are often deployed as they are, but not always.
    if in_example_folder(&entry.path) {
        for draft in &mut outcome.drafts {
            draft.confidence = draft.confidence.lower();
        }
    }
    if !outcome.drafts.is_empty() {
        outcome.shown = Some(shown(source, parsed, &secrets, settings));
    }
    outcome
}

fn shown(source: &Source, parsed: &Parsed, secrets: &FileSecrets, settings: &Settings) -> Shown {
    let mut masks = secrets.masks(&settings.rules.data.secrets, source);
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
fn is_templated(text: &str, syntax: Syntax) -> bool {
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
fn document_kind(sort: Sort, document: &Document) -> Option<ArtifactKind> {
    let root = document.root();
    match sort {
        Sort::Dotenv => Some(ArtifactKind::Dotenv),
        Sort::WranglerToml | Sort::WranglerJson => Some(ArtifactKind::Wrangler),
        Sort::Kustomization => Some(ArtifactKind::Kustomize),
        Sort::Chart => Some(ArtifactKind::Chart),
        _ if is_kubernetes(root) => {
            let is_kustomization = root.text_of("apiVersion").is_some_and(|api| api.starts_with("kustomize.config.k8s.io/"));
            Some(if is_kustomization { ArtifactKind::Kustomize } else { ArtifactKind::Kubernetes })
        }
        Sort::Compose if root.is_mapping() && ["services", "include", "volumes", "networks"].iter().any(|key| root.get(key).is_some()) => {
            Some(ArtifactKind::Compose)
        }
        Sort::HelmValues if root.is_mapping() => Some(ArtifactKind::HelmValues),
        _ if is_compose(root) => Some(ArtifactKind::Compose),
        _ => None,
    }
}

/// Whether a text that does not parse says what it is: by its name, or by keys at the start of a line.
fn claims(sort: Sort, text: &str) -> bool {
    let key = |key: &str| text.lines().any(|line| line.strip_prefix(key).is_some_and(|rest| rest.starts_with(':')));
    sort != Sort::Yaml || (key("apiVersion") && key("kind")) || key("services")
}

/// Suppresses, merges, sorts and completes what the files and groups left.
fn judge(tree: &Tree, survey: &Survey, outcomes: Vec<Outcome>, settings: &Settings) -> Report {
    let mut coverage = Coverage::default();
    let mut drafts = Vec::new();
    let mut all_facts: Vec<ObjectFacts> = Vec::new();
    let mut shown: HashMap<Arc<str>, Shown> = HashMap::new();
    for (entry, outcome) in survey.entries.iter().zip(outcomes) {
        all_facts.extend(outcome.facts);
        if !entry.reported {
            continue;
        }
        coverage.files += 1;
        coverage.other += usize::from(outcome.other);
        for (kind, count) in outcome.artifacts {
            *coverage.artifacts.entry(kind).or_default() += count;
        }
        if let Some(reason) = outcome.not_analysed {
            coverage.not_analysed.push(NotAnalysed { path: Arc::clone(&entry.path), reason });
        }
        drafts.extend(outcome.drafts);
        if let Some(text) = outcome.shown {
            shown.insert(Arc::clone(&entry.path), text);
        }
    }
    for (path, error) in &survey.errors {
        let path: Arc<str> = path.as_str().into();
        drafts.extend(scan_draft(settings, "scan/file-unreadable", &path, Span::default(), format!("cannot be read: {error}")));
        shown.entry(Arc::clone(&path)).or_insert_with(|| Shown { text: MaskedText::new("", &[]), bom: false, raw: None });
        coverage.not_analysed.push(NotAnalysed { path, reason: "unreadable" });
    }
    let entries: HashMap<&str, &Entry> = survey.entries.iter().map(|entry| (&*entry.path, entry)).collect();
    let groups = groups(survey, &entries, &all_facts);
    let drafts = link(&groups, drafts, &settings.rules, &settings.active, &settings.externals);
    let mut findings: Vec<Finding> = Vec::new();
    let mut drafts: Vec<Draft> = drafts
        .into_iter()
        .filter(|draft| entries.get(&*draft.location.path).is_none_or(|entry| entry.reported))
        .filter(|draft| draft.severity >= settings.min_severity && draft.confidence >= settings.min_confidence)
        .collect();
    drafts.sort_by(|a, b| (&a.location, a.rule, &a.message, &a.environment).cmp(&(&b.location, b.rule, &b.message, &b.environment)));
    for draft in drafts {
        let Some(rule) = settings.rules.rules().get(draft.rule) else { continue };
        // The same statement through several environments is one finding.
        if let Some(last) = findings.last_mut()
            && last.rule == rule.id
            && last.location == draft.location
        {
            last.environments.extend(draft.environment);
            continue;
        }
        findings.push(Finding {
            rule: Arc::clone(&rule.id),
            message: draft.message,
            severity: draft.severity,
            confidence: draft.confidence,
            location: draft.location,
            related: draft.related,
            object: draft.object,
            environments: draft.environment.into_iter().collect(),
            fingerprint: String::new(),
            line_hash: None,
        });
    }
    // Findings of groups may stand in files that had none of their own; related places too.
    let places: BTreeSet<Arc<str>> = findings
        .iter()
        .flat_map(|finding| std::iter::once(&finding.location).chain(finding.related.iter().map(|related| &related.location)))
        .map(|location| Arc::clone(&location.path))
        .collect();
    for path in &places {
        if shown.contains_key(path) {
            continue;
        }
        if let Some(text) = entries.get(&**path).and_then(|entry| mask_again(tree, entry, settings)) {
            shown.insert(Arc::clone(path), text);
        }
    }
    fingerprints(&mut findings);
    if settings.line_hashes {
        add_line_hashes(&mut findings, &shown);
    }
    let sources = shown.into_iter().filter(|(path, _)| places.contains(path)).map(|(path, shown)| (path, shown.text)).collect();
    coverage.not_analysed.sort();
    let mut selected: Vec<Arc<str>> =
        settings.active.iter().filter_map(|active| settings.rules.rules().get(active.index)).map(|rule| Arc::clone(&rule.id)).collect();
    selected.sort();
    let notes = settings.notes.iter().chain(&survey.notes).cloned().collect();
    Report { findings, coverage, sources, rules: Arc::clone(&settings.rules), selected, notes }
}

/// The masked text of a file that only a project rule points at.
fn mask_again(tree: &Tree, entry: &Entry, settings: &Settings) -> Option<Shown> {
    let source = Arc::new(read(tree, entry).ok()?);
    let mut secrets = FileSecrets::scan(&settings.rules.data.secrets, &source);
    let parsed = syntax::parse(&source, if entry.sort == Sort::Json { Syntax::Json } else { Syntax::Yaml });
    let context = Context { scope: PathScope::of_path(&entry.path), complete: true };
    let kinds = parsed.documents.iter().filter_map(|document| document_kind(entry.sort, document).map(|kind| (kind, document)));
    let artifacts: Vec<Artifact<'_>> = kinds.flat_map(|(kind, document)| artifact::artifacts(kind, document.root(), &context)).collect();
    secrets.judge(&settings.rules.data.secrets, &artifacts);
    Some(shown(&source, &parsed, &secrets, settings))
}

/// Objects that are deployed together: one group for each kustomization root, one for all plain manifests.
fn groups<'a>(survey: &Survey, entries: &HashMap<&str, &'a Entry>, all: &'a [ObjectFacts]) -> Vec<Group<'a>> {
    let build = |root: &KustomizeRoot| Build { labels: root.labels.clone(), open: root.open, ..Build::default() };
    let mut of_root: Vec<(Build<'a>, Vec<&'a ObjectFacts>)> = survey.roots.iter().map(|root| (build(root), Vec::new())).collect();
    let mut plain: Vec<&'a ObjectFacts> = Vec::new();
    for facts in all {
        match entries.get(&*facts.path) {
            Some(entry) if !entry.roots.is_empty() => {
                for (root, namespace) in &entry.roots {
                    if let Some((build, group)) = of_root.get_mut(*root) {
                        build.namespaces.extend(namespace.as_deref().map(|namespace| (&*facts.path, namespace)));
                        group.push(facts);
                    }
                }
            }
            _ => plain.push(facts),
        }
    }
    let mut groups: Vec<Group<'a>> = of_root
        .into_iter()
        .zip(&survey.roots)
        .filter(|((_, objects), _)| !objects.is_empty())
        .map(|((build, objects), root)| Group::new(root.folder.clone(), build, objects, &BTreeSet::new()))
        .collect();
    let cuts = cuts(&plain);
    // What charts render is not known, and it may be what plain manifests name.
    let open = survey.entries.iter().any(|entry| entry.sort == Sort::ChartTemplate);
    groups.push(Group::new(String::new(), Build { open, ..Build::default() }, plain, &cuts));
    groups
}

/// Fingerprints from rule, path and object, so that moved lines keep them; equal ones are numbered.
fn fingerprints(findings: &mut [Finding]) {
    let mut seen: HashMap<u64, u64> = HashMap::new();
    for finding in findings {
        let object = &finding.object;
        let parts =
            [&*finding.rule, &*finding.location.path, &object.kind, &object.namespace, &object.name, &object.container, &object.path];
        let hash = fnv(parts.iter().flat_map(|part| part.bytes().chain([0])), 0xcbf2_9ce4_8422_2325);
        let count = seen.entry(hash).or_default();
        *count += 1;
        finding.fingerprint = format!("{:016x}", if *count == 1 { hash } else { fnv(count.to_le_bytes(), hash) });
    }
}

/// FNV-1a: stable over releases, which the standard library's hasher does not promise.
fn fnv(bytes: impl IntoIterator<Item = u8>, start: u64) -> u64 {
    bytes.into_iter().fold(start, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn add_line_hashes(findings: &mut [Finding], shown: &HashMap<Arc<str>, Shown>) {
    let mut wanted: BTreeMap<Arc<str>, Vec<usize>> = BTreeMap::new();
    for (index, finding) in findings.iter().enumerate() {
        wanted.entry(Arc::clone(&finding.location.path)).or_default().push(index);
    }
    for (path, indices) in wanted {
        let Some(Shown { text, bom, raw: Some(raw) }) = shown.get(&path) else { continue };
        let lines: Vec<u32> = indices
            .iter()
            .filter_map(|&index| findings.get(index))
            .map(|finding| text.position(finding.location.span.start).line)
            .collect();
        for (&index, hash) in indices.iter().zip(line_hashes(raw, *bom, &lines)) {
            if let Some(finding) = findings.get_mut(index) {
                finding.line_hash = Some(hash);
            }
        }
    }
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
        let survey = Survey::new(&tree, &Request::default(), &settings.exclude);
        let outcomes = survey.entries.iter().map(|entry| failed(entry, &settings)).collect();
        let report = judge(&tree, &survey, outcomes, &settings);
        assert_eq!(report.findings.iter().map(|finding| &*finding.rule).collect::<Vec<_>>(), ["scan/internal-error"]);
        assert_eq!(report.coverage.not_analysed.len(), 1);
        Ok(())
    }
}
