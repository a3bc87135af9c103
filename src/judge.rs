//! Judging: what the files left becomes a report. Linking, severities, suppressions, merging, order, identity, the
//! baseline, thresholds.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::baseline::{Baseline, Known, recognise};
use crate::check::Draft;
use crate::config::{self, Profiles, Settings};
use crate::digest::{Binding, digest};
use crate::finding::{Compared, Coverage, Finding, Location, NotAnalysed, Related, Report, Status, Suppression};
use crate::line_hash::line_hashes;
use crate::project::{Build, Group, ObjectFacts, cuts, link, not_excused};
use crate::rule::Rule;
use crate::scan::{Outcome, Shown, mask_again, scan_draft};
use crate::source::{MaskedText, Span};
use crate::suppress::{Silence, Silencer, Verdict};
use crate::survey::{Entry, KustomizeRoot, Sort, Survey};
use crate::tree::Tree;

/// What all files left together.
struct Gathered<'s> {
    coverage: Coverage,
    drafts: Vec<Draft>,
    facts: Vec<ObjectFacts>,
    texts: Texts,
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

    /// Adds the text of a file that was not read as an artifact.
    fn add(&mut self, path: &str, text: MaskedText) {
        self.0.insert(path.into(), Shown { text, bom: false, raw: None });
    }
}

/// Suppresses, merges, sorts and completes what the files and groups left.
pub(crate) fn judge(tree: &Tree, survey: &Survey, outcomes: Vec<Outcome>, settings: &Settings, profiles: &Profiles) -> Report {
    let entries: HashMap<&str, &Entry> = survey.entries.iter().map(|entry| (&*entry.path, entry)).collect();
    let Gathered { mut coverage, drafts, facts, mut texts, mut silencer } = gather(survey, outcomes, settings);
    let mut drafts: Vec<(Draft, Verdict)> = linked(survey, &entries, &facts, drafts, settings, profiles)
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

    let mut findings: Vec<Finding> = Vec::new();
    for (draft, verdict) in drafts {
        let Some(rule) = settings.rules.rules().get(draft.rule) else { continue };
        // The same statement through several environments is one finding.
        match findings.last_mut().filter(|last| last.rule == rule.id && last.location == draft.location) {
            Some(last) => last.environments.extend(draft.environment),
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

fn gather<'s>(survey: &Survey, outcomes: Vec<Outcome>, settings: &'s Settings) -> Gathered<'s> {
    let silencer = Silencer::new(settings);
    let mut all = Gathered { coverage: Coverage::default(), drafts: Vec::new(), facts: Vec::new(), texts: Texts::default(), silencer };
    let mut quoted: Vec<Span> = Vec::new();
    for (entry, outcome) in survey.entries.iter().zip(outcomes) {
        quoted.extend(outcome.quoted);
        all.facts.extend(outcome.facts);
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
    survey: &Survey,
    entries: &HashMap<&str, &Entry>,
    facts: &[ObjectFacts],
    drafts: Vec<Draft>,
    settings: &Settings,
    profiles: &Profiles,
) -> Vec<Draft> {
    let groups = groups(survey, entries, facts);
    let mut linked = not_excused(&groups, drafts);
    // Every profile looks at all objects, and speaks for its own files only.
    for profile in profiles.all() {
        let own = |draft: &Draft| std::ptr::eq(profiles.of(&draft.location.path), profile);
        linked.extend(link(&groups, &settings.rules, &profile.active, &settings.externals).into_iter().filter(own));
    }
    linked
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
