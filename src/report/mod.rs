//! Writers: one for each output format, all over the same final report.

mod concise;
mod github;
mod gitlab;
mod json;
mod junit;
mod markdown;
mod pretty;
mod sarif;

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::str::FromStr;
use std::time::Duration;

use serde_json::Value;

use crate::finding::{Finding, Location, Object, Report, Severity, Status};
use crate::source::{MaskedText, Position, Span};

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Snippets and a summary, for people at a terminal.
    Pretty,
    /// One line a finding.
    Concise,
    /// The schema in `schemas/report-v1.json`.
    Json,
    /// SARIF 2.1.0, as GitHub code scanning takes it.
    Sarif,
    /// Workflow commands that GitHub Actions turns into annotations.
    Github,
    /// A GitLab code quality report.
    Gitlab,
    /// `JUnit` XML, one suite for each rule, for the test pages of GitLab, Jenkins and others.
    Junit,
    /// A summary for the page of a job or pull request.
    Markdown,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 8] =
        [Self::Pretty, Self::Concise, Self::Json, Self::Sarif, Self::Github, Self::Gitlab, Self::Junit, Self::Markdown];

    /// The word used in options.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pretty => "pretty",
            Self::Concise => "concise",
            Self::Json => "json",
            Self::Sarif => "sarif",
            Self::Github => "github",
            Self::Gitlab => "gitlab",
            Self::Junit => "junit",
            Self::Markdown => "markdown",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.word())
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|format| format.word() == word)
            .ok_or_else(|| "use pretty, concise, json, sarif, github, gitlab, junit or markdown".to_owned())
    }
}

/// What a terminal can show and what was asked for; only the pretty format looks at it.
#[derive(Clone, Debug)]
pub struct Style {
    /// Whether to colour.
    pub color: bool,
    /// Columns to fill.
    pub width: usize,
    /// Whether every finding gets its snippet, however many there are.
    pub all: bool,
    /// How long the scan took, where that is to be shown.
    pub elapsed: Option<Duration>,
}

impl Default for Style {
    fn default() -> Self {
        Self { color: false, width: 80, all: false, elapsed: None }
    }
}

impl Report {
    /// Writes the report, in small pieces: give it a buffer. Equal reports give equal bytes, but for `style.elapsed`.
    pub fn write(&self, format: Format, style: &Style, out: &mut dyn io::Write) -> io::Result<()> {
        match format {
            Format::Pretty => pretty::write(self, style, out),
            Format::Concise => concise::write(self, out),
            Format::Json => json::write(self, out),
            Format::Sarif => sarif::write(self, out),
            Format::Github => github::write(self, out),
            Format::Gitlab => gitlab::write(self, out),
            Format::Junit => junit::write(self, out),
            Format::Markdown => markdown::write(self, out),
        }
    }

    /// Where a location is; nothing is known of a source whose text the report does not hold.
    fn place(&self, location: &Location) -> Option<Place> {
        self.sources.get(&location.path).map(|source| Place::new(source, location.span))
    }

    /// Where a finding is; the first character of a source without text, since every finding needs a place.
    fn finding_place(&self, finding: &Finding) -> Place {
        self.place(&finding.location).unwrap_or(Place::FIRST)
    }

    /// The findings, worst first and otherwise in their order.
    fn worst_first(&self) -> Vec<&Finding> {
        let mut findings: Vec<&Finding> = self.findings.iter().collect();
        findings.sort_by_key(|finding| Reverse(finding.severity));
        findings
    }

    /// How many artifacts could not be judged, by reason.
    fn not_analysed(&self) -> BTreeMap<&'static str, usize> {
        let mut reasons = BTreeMap::new();
        for skipped in &self.coverage.not_analysed {
            *reasons.entry(skipped.reason).or_default() += 1;
        }
        reasons
    }

    /// The same as text, most first: `2 chart templates, 1 templated file`. Empty where everything could be judged.
    fn not_analysed_text(&self) -> String {
        let mut reasons: Vec<(&str, usize)> = self.not_analysed().into_iter().collect();
        reasons.sort_by_key(|&(_, count)| Reverse(count));
        let reasons: Vec<String> = reasons.into_iter().map(|(reason, count)| counted(count, reason)).collect();
        reasons.join(", ")
    }

    /// `5 artifacts (4 kubernetes, 1 compose) in 9 files; 3 have none`.
    fn checked_text(&self) -> String {
        let coverage = &self.coverage;
        let artifacts = match coverage.artifacts.iter().next() {
            Some((kind, count)) if coverage.artifacts.len() == 1 => counted(*count, &format!("{kind} artifact")),
            _ => {
                let mut kinds: Vec<(&str, usize)> = coverage.artifacts.iter().map(|(&kind, &count)| (kind, count)).collect();
                kinds.sort_by_key(|&(_, count)| Reverse(count));
                let kinds: Vec<String> = kinds.into_iter().map(|(kind, count)| format!("{count} {kind}")).collect();
                format!("{} ({})", counted(coverage.artifacts.values().sum(), "artifact"), kinds.join(", ")).replace(" ()", "")
            }
        };
        let other = match coverage.other {
            0 => String::new(),
            1 => "; 1 has none".to_owned(),
            other => format!("; {other} have none"),
        };
        format!("{artifacts} in {}{other}", counted(coverage.files, "file"))
    }

    /// Why nothing was checked, where that is so.
    fn nothing_checked(&self) -> Option<&'static str> {
        if !self.findings.is_empty() || self.coverage.artifacts.values().any(|&count| count > 0) {
            None
        } else if self.coverage.not_analysed.is_empty() {
            Some("nothing to check: no deployment artifact was found")
        } else {
            Some("nothing was checked: no artifact could be analysed")
        }
    }

    /// `5 findings in 2 files`.
    fn total_text(&self) -> String {
        let paths: BTreeSet<&str> = self.findings.iter().map(|finding| &*finding.location.path).collect();
        format!("{} in {}", counted(self.findings.len(), "finding"), counted(paths.len(), "file"))
    }

    /// How many silenced findings a suppression covers, and how many the baseline holds.
    fn silenced_counts(&self) -> (usize, usize) {
        let baseline = self.silenced.iter().filter(|finding| finding.status == Status::Baseline).count();
        (self.silenced.len() - baseline, baseline)
    }

    /// `9 in the baseline, 3 suppressed`; empty where nothing is silenced.
    fn silenced_text(&self) -> String {
        let (suppressed, baseline) = self.silenced_counts();
        let parts = [(baseline, "in the baseline"), (suppressed, "suppressed")];
        let parts: Vec<String> = parts.into_iter().filter(|(count, _)| *count > 0).map(|(count, how)| format!("{count} {how}")).collect();
        parts.join(", ")
    }

    /// The revision that is compared with, if one is, and how many known findings are not shown.
    fn known(&self) -> Option<(&str, String)> {
        let compared = self.compared.as_ref()?;
        Some((compared.base.as_deref()?, format!("{} not shown", counted(compared.known, "known finding"))))
    }
}

/// `Deployment shop/web, container app`, as far as it is known.
fn object_text(object: &Object) -> Option<String> {
    if object.kind.is_empty() || object.name.is_empty() {
        return None;
    }
    let slash = if object.namespace.is_empty() { "" } else { "/" };
    let text = format!("{} {}{slash}{}", object.kind, object.namespace, object.name);
    Some(if object.container.is_empty() { text } else { format!("{text}, container {}", object.container) })
}

/// A span as lines and columns that exist in its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    start: Position,
    /// Behind the last character; never behind a line break.
    end: Position,
    /// The same in bytes.
    span: Span,
}

impl Place {
    const FIRST: Self =
        Self { start: Position { line: 1, column: 1 }, end: Position { line: 1, column: 1 }, span: Span { start: 0, end: 0 } };

    fn new(source: &MaskedText, span: Span) -> Self {
        let text = source.text();
        let start = (span.start as usize).min(text.len());
        let body = text.get(start..(span.end as usize).min(text.len())).unwrap_or_default();
        let mut span = Span::new(start, start + body.trim_end().len());
        // Behind a final line break there is no line that could be shown.
        let lines = source.line_count() as u32;
        if source.position(span.start).line > lines {
            let end = source.line_span(lines).end as usize;
            span = Span::new(end, end);
        }
        Self { start: source.position(span.start), end: source.position(span.end), span }
    }

    /// The same with at least one character in it, wherever its line has one.
    fn visible(self, source: &MaskedText) -> Self {
        if !self.span.is_empty() {
            return self;
        }
        let line = source.line_span(self.start.line);
        let halves = source
            .text()
            .get(line.range())
            .and_then(|text| text.split_at_checked(self.span.range().start.checked_sub(line.range().start)?));
        let (before, after) = halves.unwrap_or_default();
        let at = self.span.range().start;
        let span = match (after.chars().next(), before.chars().next_back()) {
            (Some(next), _) => Span::new(at, at + next.len_utf8()),
            (None, Some(last)) => Span::new(at - last.len_utf8(), at),
            (None, None) => return self,
        };
        Self { start: source.position(span.start), end: source.position(span.end), span }
    }
}

/// The three levels that SARIF and GitHub know.
fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Info | Severity::Low => "note",
        Severity::Medium => "warning",
        Severity::High | Severity::Critical => "error",
    }
}

/// Whether a character could move the cursor, reorder a line or end it, and so lie about what stands there.
fn is_unprintable(character: char) -> bool {
    character.is_control() || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A text for one line of a terminal.
fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unprintable) {
        return Cow::Borrowed(text);
    }
    let replace = |character| match character {
        '\n' | '\r' | '\t' => ' ',
        character if is_unprintable(character) => '\u{fffd}',
        character => character,
    };
    Cow::Owned(text.chars().map(replace).collect())
}

/// `1 file`, `2 files`, `3 policies`, `4 templates of another tool`, `5 unreadable`.
fn counted(count: usize, noun: &str) -> String {
    let (head, rest) = noun.find(" of ").and_then(|at| noun.split_at_checked(at)).unwrap_or((noun, ""));
    let (stem, ending) = match head.strip_suffix('y') {
        _ if count == 1 || head.ends_with("able") => (head, ""),
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => (stem, "ies"),
        _ if head.ends_with(['s', 'x', 'h']) => (head, "es"),
        _ => (head, "s"),
    };
    format!("{count} {stem}{ending}{rest}")
}

/// The first sentence of a text; a full stop inside backticks or before a small letter ends none.
fn first_sentence(text: &str) -> &str {
    let mut code = false;
    for (offset, character) in text.char_indices() {
        match character {
            '`' => code = !code,
            '.' | '!' | '?' if !code => {
                let (sentence, rest) = text.split_at_checked(offset + 1).unwrap_or((text, ""));
                let next = rest.trim_start();
                if next.len() < rest.len() && !next.starts_with(char::is_lowercase) {
                    return sentence;
                }
            }
            _ => {}
        }
    }
    text
}

/// Writes a JSON array with one item a line.
fn write_array(out: &mut dyn io::Write, items: impl IntoIterator<Item = Value>) -> io::Result<()> {
    let mut separator = "\n";
    write!(out, "[")?;
    for item in items {
        write!(out, "{separator}")?;
        serde_json::to_writer(&mut *out, &item)?;
        separator = ",\n";
    }
    write!(out, "{}]", if separator == "\n" { "" } else { "\n" })
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeSet;
    use std::sync::{Arc, LazyLock};

    use super::*;
    use crate::finding::{Compared, Confidence, Coverage, NotAnalysed, Related, Suppression, SuppressionKind};
    use crate::rule::{ArtifactKind, Example, FixKind, Preset, Rule, RuleSet, Scope};

    pub(crate) const WEB: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: shop
spec:
  template:
    spec:
      containers:
        - name: app
          image: registry.example.com/app:1.4
          securityContext:
            privileged: true
          env:
            - name: GREETING
              value: \"größe 😀 日本語\"
            - name: API_TOKEN
              value: ghp_secretsecretsecret
";

    fn rule(id: &str, name: &str, severity: Severity, security: bool) -> Rule {
        Rule {
            id: id.into(),
            name: name.to_owned(),
            formerly: Vec::new(),
            artifacts: vec![ArtifactKind::Kubernetes],
            scope: Scope::File,
            preset: Preset::Default,
            severity,
            confidence: Confidence::High,
            security,
            rationale: format!("{name}: what goes wrong then, in a few words."),
            remediation: format!("Set `resources: {{limits: {{memory: 512Mi}}}}` or e.g. the like. This is what ends {name}."),
            references: vec!["https://kubernetes.io/docs/concepts/".to_owned()],
            tags: vec!["cwe-250".to_owned(), "pss-baseline".to_owned()],
            equivalents: vec!["kube-linter:some-check".to_owned()],
            params: Vec::new(),
            precedence: None,
            fix: FixKind::None,
            example: Some(Example { file: "a.yaml".to_owned(), bad: "a: 1\n".to_owned(), good: "a: 2\n".to_owned(), ..Example::default() }),
            checks: Vec::new(),
        }
    }

    /// A report over the given sources: path, text, and the text of each secret in it.
    pub(crate) fn report(sources: &[(&str, &str, &[&str])]) -> Report {
        let sources = sources.iter().map(|&(path, text, secrets)| {
            let spans = secrets.iter().flat_map(|secret| text.match_indices(secret)).map(|(at, text)| Span::new(at, at + text.len()));
            (Arc::from(path), MaskedText::new(text, &spans.collect::<Vec<_>>()))
        });
        Report {
            findings: Vec::new(),
            silenced: Vec::new(),
            compared: None,
            coverage: Coverage::default(),
            sources: sources.collect(),
            rules: Arc::clone(&RULES),
            selected: RULES.rules().iter().map(|rule| Arc::clone(&rule.id)).collect(),
            notes: Vec::new(),
        }
    }

    static RULES: LazyLock<Arc<RuleSet>> = LazyLock::new(|| {
        Arc::new(RuleSet::for_tests(vec![
            rule("limits/memory-limit-missing", "Container has no memory limit", Severity::Medium, false),
            rule("privileges/privileged-container", "Container runs in privileged mode", Severity::High, true),
            rule("secrets/known-token", "A credential stands in the file", Severity::Critical, true),
            rule("style/label-missing", "Object lacks a recommended label", Severity::Info, false),
        ]))
    });

    pub(crate) fn finding(rule: &str, severity: Severity, path: &str, span: Span, message: &str) -> Finding {
        Finding {
            rule: rule.into(),
            message: message.to_owned(),
            severity,
            confidence: Confidence::High,
            location: Location { path: path.into(), span },
            related: Vec::new(),
            object: Object::default(),
            environments: BTreeSet::new(),
            fingerprint: "0123456789abcdef".to_owned(),
            line_hash: None,
            status: Status::Active,
            content: 0,
            binding: None,
            unbound: None,
        }
    }

    /// The span of the first `word` in `text`.
    pub(crate) fn span(text: &str, word: &str) -> Span {
        let start = text.find(word).unwrap_or_default();
        Span::new(start, start + word.len())
    }

    /// Every sort of thing a report can hold.
    pub(crate) fn sample() -> Report {
        let mut report =
            report(&[("k8s/web.yaml", WEB, &["ghp_secretsecretsecret"]), ("k8s/pdb.yaml", "kind: PodDisruptionBudget\n", &[])]);
        let path = "k8s/web.yaml";
        let object = Object {
            kind: "Deployment".to_owned(),
            namespace: "shop".to_owned(),
            name: "web".to_owned(),
            container: "app".to_owned(),
            path: "spec.template.spec.containers[0]".to_owned(),
        };
        let mut limit =
            finding("limits/memory-limit-missing", Severity::Medium, path, span(WEB, "name: app"), "container `app` has no memory limit");
        limit.object = object.clone();
        limit.environments = ["prod".to_owned(), "staging".to_owned()].into();
        limit.related = vec![Related {
            location: Location { path: "k8s/pdb.yaml".into(), span: Span::new(6, 25) },
            label: "the [disruption] budget".to_owned(),
        }];
        let mut label =
            finding("style/label-missing", Severity::Info, path, span(WEB, "name: app"), "no `app.kubernetes.io/version` label");
        label.object = object.clone();
        label.confidence = Confidence::Medium;
        let mut privileged = finding(
            "privileges/privileged-container",
            Severity::High,
            path,
            span(WEB, "privileged: true"),
            "container `app` runs privileged",
        );
        privileged.object = object;
        privileged.line_hash = Some("c129715d7a2bc9a3:1".to_owned());
        let token = finding(
            "secrets/known-token",
            Severity::Critical,
            path,
            span(WEB, "ghp_secretsecretsecret"),
            "a GitHub token stands in the file",
        );
        let broken =
            finding("scan/file-unreadable", Severity::Medium, "k8s/é b%:,.yaml", Span::default(), "the file is not UTF-8 text\nreally");
        report.findings = vec![limit, label, privileged, token, broken];
        report.coverage.files = 9;
        report.coverage.other = 3;
        report.coverage.artifacts = [("compose", 1), ("kubernetes", 4)].into();
        report.coverage.not_analysed = vec![
            NotAnalysed { path: "a/t.yaml".into(), reason: "chart template" },
            NotAnalysed { path: "b/t.yaml".into(), reason: "chart template" },
            NotAnalysed { path: "c.yaml".into(), reason: "templated file" },
        ];
        report.notes = vec!["rule `images/registry-not-allowed` was not checked: set `allowed`".to_owned()];
        report
    }

    pub(crate) fn suppressed(kind: SuppressionKind, path: &str, line: u32, reason: &str) -> Status {
        let location = Location { path: path.into(), span: Span::default() };
        Status::Suppressed(Suppression { kind, location, line, reason: reason.to_owned(), until: None })
    }

    /// The sample with a finding for each way to silence one, compared with a baseline and a revision.
    pub(crate) fn sample_silenced() -> Report {
        let mut report = sample();
        let path = "k8s/web.yaml";
        let silent = |rule, severity, word, message, status| Finding { status, ..finding(rule, severity, path, span(WEB, word), message) };
        let mut rotated = suppressed(SuppressionKind::Comment, path, 15, "rotated, see OPS-7");
        if let Status::Suppressed(suppression) = &mut rotated {
            suppression.until = Some("2026-12-31".to_owned());
        }
        report.silenced = vec![
            silent("style/label-missing", Severity::Info, "Deployment", "no `team` label", Status::Baseline),
            silent(
                "limits/memory-limit-missing",
                Severity::Medium,
                "image",
                "container `app` has no memory request",
                suppressed(SuppressionKind::Annotation, path, 7, "runs once"),
            ),
            silent("secrets/known-token", Severity::Critical, "größe", "a token stands in the file", rotated),
            silent(
                "privileges/privileged-container",
                Severity::High,
                "API_TOKEN",
                "container `app` may gain privileges",
                suppressed(SuppressionKind::Config, "preflint.toml", 3, ""),
            ),
        ];
        report.compared =
            Some(Compared { baseline: Some(".preflint-baseline.json".to_owned()), base: Some("origin/main".to_owned()), known: 14 });
        report
    }

    /// A report in which every text that comes from a file wants to be markup.
    pub(crate) fn hostile() -> Report {
        const TEXT: &str = "</td><script>`a` | b`\0\u{b}\u{fffe} \"]]>&amp; @me #1 [x](http://e.vil)\nwww.e.vil";
        let path = "a|b`<c>\n.yaml";
        let mut report = report(&[(path, TEXT, &[])]);
        let mut loud = finding("style/label-missing", Severity::Info, path, Span::new(0, TEXT.len()), TEXT);
        loud.object = Object { kind: TEXT.to_owned(), name: TEXT.to_owned(), ..Object::default() };
        loud.environments = [TEXT.to_owned()].into();
        loud.related = vec![Related { location: loud.location.clone(), label: TEXT.to_owned() }];
        report.silenced = vec![Finding { status: suppressed(SuppressionKind::Comment, path, 1, TEXT), ..loud.clone() }];
        report.findings = vec![loud];
        report.compared = Some(Compared { baseline: Some(TEXT.to_owned()), base: Some(TEXT.to_owned()), known: 1 });
        report.notes = vec![TEXT.to_owned()];
        report
    }

    pub(crate) fn written(report: &Report, format: Format, style: &Style) -> String {
        let mut out = Vec::new();
        assert!(report.write(format, style, &mut out).is_ok());
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn formats_have_words() {
        for format in Format::ALL {
            assert_eq!(format.word().parse(), Ok(format));
        }
        assert_eq!("xml".parse::<Format>(), Err("use pretty, concise, json, sarif, github, gitlab, junit or markdown".to_owned()));
    }

    #[test]
    fn sentences_end_where_they_should() {
        for (text, first) in [
            ("Set a. Then b.", "Set a."),
            ("Set `a. B`. C", "Set `a. B`."),
            ("Set e.g. this, v1.2 or so.", "Set e.g. this, v1.2 or so."),
            ("no stop", "no stop"),
            ("", ""),
        ] {
            assert_eq!(first_sentence(text), first);
        }
    }

    #[test]
    fn nouns_agree_with_their_numbers() {
        for (count, noun, text) in [
            (1, "chart template", "1 chart template"),
            (2, "chart template", "2 chart templates"),
            (0, "policy", "0 policies"),
            (3, "key", "3 keys"),
            (2, "patch", "2 patches"),
            (2, "template of another tool", "2 templates of another tool"),
            (2, "unreadable", "2 unreadable"),
        ] {
            assert_eq!(counted(count, noun), text);
        }
    }

    #[test]
    fn places_stay_inside_the_text() {
        let source = MaskedText::new("a: 1\r\nb: é  \n\n", &[]);
        let at = |start, end| {
            let place = Place::new(&source, Span::new(start, end));
            (place.start.line, place.start.column, place.end.line, place.end.column)
        };
        assert_eq!(at(0, 1), (1, 1, 1, 2));
        // Line breaks and spaces at the end do not belong to it.
        assert_eq!(at(0, 6), (1, 1, 1, 5));
        assert_eq!(at(6, 14), (2, 1, 2, 5));
        assert_eq!(at(0, 900), (1, 1, 2, 5));
        // Behind the last line.
        assert_eq!(at(15, 15), (3, 1, 3, 1));
        assert_eq!(at(900, 901), (3, 1, 3, 1));
    }

    #[test]
    fn no_format_shows_a_secret_or_fails() {
        let style = Style { color: true, all: true, ..Style::default() };
        for format in Format::ALL {
            for report in [sample(), sample_silenced(), hostile()] {
                let text = written(&report, format, &style);
                assert!(!text.contains("ghp_") && text == written(&report, format, &style), "{format}");
            }
        }
    }

    #[test]
    fn lists_for_readers_hold_only_what_counts() {
        for format in [Format::Concise, Format::Github, Format::Gitlab] {
            assert_eq!(written(&sample_silenced(), format, &Style::default()), written(&sample(), format, &Style::default()));
        }
    }

    #[test]
    fn any_span_can_be_written() {
        let alphabet =
            ["a", " ", "\t", "\n", "\r", "\r\n", "é", "日", "😀", "\u{301}", "\u{1b}[1m", "\u{202e}", "lorem ipsum dolor sit amet "];
        // A small generator with a fixed seed.
        let mut state = 42_u64;
        let mut below = |limit: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % limit.max(1)
        };
        for _ in 0..400 {
            let text: String = (0..below(60)).filter_map(|_| alphabet.get(below(alphabet.len()))).copied().collect();
            let mut report = report(&[("a.yaml", &text, &[])]);
            for _ in 0..6 {
                let (one, other) = (below(text.len() + 3), below(text.len() + 3));
                let span = Span::new(one.min(other), one.max(other));
                report.findings.push(finding("limits/memory-limit-missing", Severity::Medium, "a.yaml", span, "m"));
            }
            let style = Style { width: 40 + below(60), ..Style::default() };
            for format in Format::ALL {
                let text = written(&report, format, &style);
                assert!(
                    !text.contains(|character| character != '\n' && is_unprintable(character))
                        || format == Format::Json
                        || format == Format::Sarif,
                    "{text:?}"
                );
            }
        }
    }
}
