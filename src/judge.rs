//! Judging: what the files left becomes a report. Linking, severities, suppressions, merging, order, identity, the
//! baseline, thresholds.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::baseline::{Baseline, Known, recognise};
use crate::check::Draft;
use crate::config::{self, Profiles, Settings};
use crate::deploy::Environment;
use crate::digest::{Binding, digest};
use crate::finding::{Compared, Coverage, Finding, Location, NotAnalysed, Related, Report, Status, Suppression};
use crate::line_hash::line_hashes;
use crate::project::{Build, Commands, Credential, Group, ObjectFacts, cuts, link, link_credentials, not_excused};
use crate::rule::Rule;
use crate::scan::{Outcome, Shown, mask_again, scan_draft};
use crate::source::{MaskedText, Span};
use crate::suppress::{Silence, Silencer, Verdict};
use crate::survey::{Entry, Sort, Survey};
use crate::tree::Tree;

/// What is composed, with the facts of its objects.
type Environments = Vec<(Environment, Vec<ObjectFacts>)>;

/// What all files left together.
struct Gathered<'s> {
    coverage: Coverage,
    drafts: Vec<Draft>,
    /// Facts of what is deployed as it stands in its file.
    facts: Vec<ObjectFacts>,
    environments: Environments,
    credentials: Vec<Credential>,
    texts: Texts,
    /// Secrets that only an environment shows.
    masks: Vec<Location>,
    silencer: Silencer<'s>,
}

/// The masked texts that findings may point into.
#[derive(Default)]
struct Texts(HashMap<Arc<str>, Shown>);

impl Texts {
    fn slice(&self, path: &str, span: Span) -> &str {
        self.0.get(path).and_then(|shown| shown.text.text().get(span.range())).unwrap_or_default()
    }

    fn line(&self, path: &str, offset: u32) -> u32 {
        self.0.get(path).map_or(1, |shown| shown.text.position(offset).line)
    }

    /// Masks more places of the texts.
    fn mask(&mut self, places: &[Location]) {
        let mut of_path: HashMap<&str, Vec<Span>> = HashMap::new();
        for place in places {
            of_path.entry(&place.path).or_default().push(place.span);
        }
        for (path, spans) in of_path {
            if let Some(shown) = self.0.get_mut(path) {
                shown.text = MaskedText::new(shown.text.text(), &spans);
            }
        }
    }

    /// Adds the text of a file that was not read as an artifact.
    fn add(&mut self, path: &str, text: MaskedText) {
        self.0.insert(path.into(), Shown { text, bom: false, raw: None });
    }
}

/// Suppresses, merges, sorts and completes what the files and groups left.
pub(crate) fn judge(tree: &Tree, survey: &Survey, outcomes: Vec<Outcome>, settings: &Settings, profiles: &Profiles) -> Report {
    let entries: HashMap<&str, &Entry> = survey.entries.iter().map(|entry| (&*entry.path, entry)).collect();
    let Gathered { mut coverage, drafts, facts, environments, credentials, mut texts, masks, mut silencer } =
        gather(survey, &entries, outcomes, settings);
    let mut drafts: Vec<(Draft, Verdict)> = linked(tree, survey, (&facts, &environments, &credentials), drafts, settings, profiles)
        .into_iter()
        .filter(|draft| entries.get(&*draft.location.path).is_none_or(|entry| entry.reported))
        .filter_map(|draft| settings.settle(draft, profiles))
        .map(|draft| {
            let verdict = silencer.judge(&draft);
            (draft, verdict)
        })
        .collect();
    let remarks = silencer
        .remarks(profiles, survey.whole, |path, offset| texts.line(path, offset))
        .into_iter()
        .filter_map(|remark| settings.settle(remark, profiles));
    drafts.extend(remarks.map(|remark| (remark, Verdict::default())));
    drafts.sort_by(|(a, _), (b, _)| {
        (&a.location, a.rule, &a.message, &a.environment).cmp(&(&b.location, b.rule, &b.message, &b.environment))
    });
    // Findings of groups may stand in files that had none of their own; related places too.
    for path in drafts.iter().flat_map(|(draft, _)| paths(&draft.location, &draft.related)) {
        if !texts.0.contains_key(path)
            && let Some(shown) = entries.get(&**path).and_then(|entry| mask_again(tree, entry, settings))
        {
            texts.0.insert(Arc::clone(path), shown);
        }
    }

    texts.mask(&masks);
    let names = Names::new(&environments);
    for (draft, _) in &mut drafts {
        draft.environment = draft.environment.take().and_then(|name| names.shown(&draft.location.path, name));
    }
    let mut findings: Vec<Finding> = Vec::new();
    for (draft, verdict) in drafts {
        let Some(rule) = settings.rules.rules().get(draft.rule) else { continue };
        // The same statement through several environments is one finding: as bad as in the worst, and silenced where all are.
        match findings.last_mut().filter(|last| last.rule == rule.id && last.location == draft.location) {
            Some(last) => {
                last.environments.extend(draft.environment);
                last.severity = last.severity.max(draft.severity);
                last.confidence = last.confidence.max(draft.confidence);
                if verdict.silence.is_none() {
                    last.status = Status::Active;
                }
            }
            None => findings.push(finding(draft, verdict, rule, &texts, settings)),
        }
    }
    let compared = settings.baseline.as_ref().map(|baseline| {
        let stale = apply_baseline(baseline, &mut findings, settings, profiles, survey.whole);
        texts.add(&baseline.path, MaskedText::new(&baseline.text, &[]));
        for draft in stale {
            let Some(rule) = settings.rules.rules().get(draft.rule) else { continue };
            findings.push(finding(draft, Verdict::default(), rule, &texts, settings));
        }
        Compared { baseline: Some(baseline.path.to_string()), ..Compared::default() }
    });
    fingerprints(&mut findings);
    findings.retain(|finding| finding.severity >= settings.min_severity && finding.confidence >= settings.min_confidence);
    if settings.line_hashes {
        add_line_hashes(&mut findings, &texts);
    }
    let used: BTreeSet<Arc<str>> = findings.iter().flat_map(|finding| paths(&finding.location, &finding.related)).map(Arc::clone).collect();
    let (findings, silenced): (Vec<_>, Vec<_>) = findings.into_iter().partition(|finding| finding.status == Status::Active);
    coverage.not_analysed.sort();
    let active = profiles.all().flat_map(|profile| &profile.active).filter_map(|active| settings.rules.rules().get(active.index));
    let selected: BTreeSet<Arc<str>> = active.map(|rule| Arc::clone(&rule.id)).collect();
    Report {
        findings,
        silenced,
        compared,
        coverage,
        sources: texts.0.into_iter().filter(|(path, _)| used.contains(path)).map(|(path, shown)| (path, shown.text)).collect(),
        rules: Arc::clone(&settings.rules),
        selected: selected.into_iter().collect(),
        notes: settings.notes.iter().chain(&survey.notes).cloned().collect(),
    }
}

fn gather<'s>(survey: &Survey, entries: &HashMap<&str, &Entry>, outcomes: Vec<Outcome>, settings: &'s Settings) -> Gathered<'s> {
    let silencer = Silencer::new(settings);
    let mut all = Gathered {
        coverage: Coverage::default(),
        drafts: Vec::new(),
        facts: Vec::new(),
        environments: Vec::new(),
        credentials: Vec::new(),
        texts: Texts::default(),
        masks: Vec::new(),
        silencer,
    };
    let mut quoted: Vec<Span> = Vec::new();
    let mut outcomes = outcomes.into_iter();
    for (entry, outcome) in survey.entries.iter().zip(outcomes.by_ref()) {
        quoted.extend(outcome.quoted);
        all.masks.extend(outcome.masks);
        all.credentials.extend(outcome.credentials);
        match outcome.environment {
            Some(environment) => all.environments.push((environment, outcome.facts)),
            None => all.facts.extend(outcome.facts),
        }
        if !entry.reported {
            continue;
        }
        all.coverage.files += 1;
        all.coverage.other += usize::from(outcome.other);
        for (kind, count) in outcome.artifacts {
            *all.coverage.artifacts.entry(kind).or_default() += count;
        }
        if let Some(reason) = outcome.not_analysed {
            all.coverage.not_analysed.push(NotAnalysed { path: Arc::clone(&entry.path), reason });
        }
        all.drafts.extend(outcome.drafts);
        all.silencer.add(&entry.path, outcome.directives, outcome.judged);
        if let Some(shown) = outcome.shown {
            all.texts.0.insert(Arc::clone(&entry.path), shown);
        }
    }
    // What remains are environments. Their findings count in files that are part of the scan.
    for outcome in outcomes {
        all.masks.extend(outcome.masks);
        all.drafts.extend(outcome.drafts.into_iter().filter(|draft| entries.contains_key(&*draft.location.path)));
        all.environments.extend(outcome.environment.map(|environment| (environment, outcome.facts)));
    }
    for (path, error) in &survey.errors {
        let path: Arc<str> = path.as_str().into();
        all.drafts.extend(scan_draft(settings, "scan/file-unreadable", &path, Span::default(), format!("cannot be read: {error}")));
        all.texts.0.entry(Arc::clone(&path)).or_insert_with(Shown::nothing);
        all.coverage.not_analysed.push(NotAnalysed { path, reason: "unreadable" });
    }
    if let Some(text) = &settings.text {
        all.texts.add(config::FILE, MaskedText::new(text.text(), &quoted));
    }
    all
}

/// The drafts that no fact excuses, and those of the rules over facts.
fn linked(
    tree: &Tree,
    survey: &Survey,
    (facts, environments, credentials): (&[ObjectFacts], &Environments, &[Credential]),
    drafts: Vec<Draft>,
    settings: &Settings,
    profiles: &Profiles,
) -> Vec<Draft> {
    let groups = groups(survey, facts, environments);
    let by_name: HashMap<&str, &Environment> = environments.iter().map(|(environment, _)| (&*environment.name, environment)).collect();
    let mut linked = not_excused(&groups, drafts);
    let commands = Commands::new(tree);
    // Every profile looks at all objects, and speaks for its own files only.
    for profile in profiles.all() {
        let found = link(&groups, settings, &profile.active, &commands).into_iter();
        let found = found.filter_map(|draft| match by_name.get(&*draft.location.path) {
            Some(environment) => environment.taken_back(draft),
            None => Some(draft),
        });
        let own = |draft: &Draft| std::ptr::eq(profiles.of(&draft.location.path), profile);
        linked.extend(found.filter(own));
        linked.extend(link_credentials(credentials, &settings.rules, &profile.active).into_iter().filter(own));
    }
    linked
}

/// How environments are called in findings.
struct Names<'a> {
    /// The environments of each file.
    of_file: HashMap<&'a str, Vec<&'a str>>,
}

impl<'a> Names<'a> {
    fn new(environments: &'a Environments) -> Self {
        let mut of_file: HashMap<&str, Vec<&str>> = HashMap::new();
        for (environment, _) in environments {
            for (_, path) in environment.origins.parts() {
                of_file.entry(path).or_default().push(&environment.name);
            }
        }
        Self { of_file }
    }

    /// The name of an environment of a file, without what the names of all its environments begin with; nothing where there
    /// is only one.
    fn shown(&self, path: &str, name: String) -> Option<String> {
        let all = self.of_file.get(path).map(Vec::as_slice).unwrap_or_default();
        if !all.contains(&name.as_str()) {
            return Some(name);
        }
        let parts = |name: &'a str| name.trim_end_matches('/').split('/');
        let (first, others) = all.split_first().filter(|(_, others)| !others.is_empty())?;
        let shared =
            others.iter().map(|other| parts(first).zip(parts(other)).take_while(|(a, b)| a == b).count()).min().unwrap_or_default();
        let rest: Vec<&str> = name.trim_end_matches('/').split('/').skip(shared).collect();
        // An environment may lie above another one.
        let whole = name.trim_end_matches('/');
        Some(if rest.concat().is_empty() { if whole.is_empty() { "." } else { whole }.to_owned() } else { rest.join("/") })
    }
}

/// The files that a finding points into.
fn paths<'l>(location: &'l Location, related: &'l [Related]) -> impl Iterator<Item = &'l Arc<str>> {
    std::iter::once(location).chain(related.iter().map(|related| &related.location)).map(|location| &location.path)
}

fn finding(draft: Draft, verdict: Verdict, rule: &Rule, texts: &Texts, settings: &Settings) -> Finding {
    let content = match &draft.secret {
        Some(secret) => secret,
        None => texts.slice(&draft.location.path, draft.location.span),
    };
    let named_secret = draft.secret.as_ref().filter(|_| rule.precedence.is_some());
    Finding {
        rule: Arc::clone(&rule.id),
        message: draft.message,
        severity: draft.severity,
        confidence: draft.confidence,
        content: digest(settings.baseline.as_ref().map_or(&[], |baseline| &baseline.salt), content),
        binding: named_secret.zip(settings.bind).map(|(secret, salt)| Binding::new(salt, secret)),
        unbound: verdict.unbound,
        location: draft.location,
        related: draft.related,
        object: draft.object,
        environments: draft.environment.into_iter().collect(),
        fingerprint: String::new(),
        line_hash: None,
        status: verdict.silence.map_or(Status::Active, |silence| Status::Suppressed(suppression(silence, texts))),
    }
}

fn suppression(silence: Silence, texts: &Texts) -> Suppression {
    let path = &silence.location.path;
    Suppression {
        kind: silence.kind,
        line: texts.line(path, silence.location.span.start),
        reason: texts.slice(path, silence.reason).split_whitespace().collect::<Vec<_>>().join(" "),
        until: silence.until.map(|until| until.to_string()),
        location: silence.location,
    }
}

/// Marks what the baseline holds; gives drafts about entries that hold nothing any more.
fn apply_baseline(baseline: &Baseline, findings: &mut [Finding], settings: &Settings, profiles: &Profiles, whole: bool) -> Vec<Draft> {
    let mut active: Vec<&mut Finding> = findings.iter_mut().filter(|finding| finding.status == Status::Active).collect();
    let (held, left) = recognise(&baseline.entries, &active.iter().map(|finding| &**finding).collect::<Vec<_>>());
    for (finding, _) in active.iter_mut().zip(held).filter(|(_, held)| held.is_some()) {
        finding.status = Status::Baseline;
    }
    // A part of the repository says nothing about the rest of the entries, and a rule that did not run nothing about its own.
    let checked = |entry: &Known| settings.rules.index(&entry.rule).is_none_or(|rule| profiles.of(&entry.path).runs(rule));
    let gone = baseline.entries.iter().zip(left).filter(|(entry, left)| whole && *left > 0 && checked(entry));
    let message = "the baseline holds a finding that is gone; `preflint baseline prune` takes it out";
    gone.filter_map(|(entry, _)| scan_draft(settings, "scan/baseline-entry-stale", &baseline.path, entry.span, message.to_owned()))
        .filter_map(|draft| settings.settle(draft, profiles))
        .collect()
}

/// Objects that are deployed together: one group for each environment, one for all plain manifests.
fn groups<'a>(survey: &Survey, plain: &'a [ObjectFacts], environments: &'a Environments) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = environments
        .iter()
        .filter(|(_, facts)| !facts.is_empty())
        .map(|(environment, facts)| {
            let build = Build { open: environment.open, built: true };
            Group::new(environment.name.to_string(), build, facts.iter().collect(), &BTreeSet::new())
        })
        .collect();
    let plain: Vec<&ObjectFacts> = plain.iter().collect();
    let cuts = cuts(&plain);
    // What charts render is not known, and it may be what plain manifests name.
    let open = survey.entries.iter().any(|entry| entry.sort == Sort::ChartTemplate);
    groups.push(Group::new(String::new(), Build { open, built: false }, plain, &cuts));
    groups
}

/// Fingerprints from rule, path and object, so that moved lines keep them; equal ones are numbered.
fn fingerprints(findings: &mut [Finding]) {
    let mut seen: HashMap<u64, u64> = HashMap::new();
    for finding in findings {
        let object = finding.object.key();
        let parts = [&*finding.rule, &*finding.location.path, &object];
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

fn add_line_hashes(findings: &mut [Finding], texts: &Texts) {
    let mut wanted: BTreeMap<Arc<str>, Vec<usize>> = BTreeMap::new();
    for (index, finding) in findings.iter().enumerate() {
        wanted.entry(Arc::clone(&finding.location.path)).or_default().push(index);
    }
    for (path, indices) in wanted {
        let Some(Shown { text, bom, raw: Some(raw) }) = texts.0.get(&path) else { continue };
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
