//! Writers: one for each output format, all over the same final report.

mod concise;
mod github;
mod json;
mod pretty;
mod sarif;

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::str::FromStr;
use std::time::Duration;

use serde_json::Value;

use crate::finding::{Finding, Location, Report, Severity};
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
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 5] = [Self::Pretty, Self::Concise, Self::Json, Self::Sarif, Self::Github];

    /// The word used in options.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pretty => "pretty",
            Self::Concise => "concise",
            Self::Json => "json",
            Self::Sarif => "sarif",
            Self::Github => "github",
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
        Self::ALL.into_iter().find(|format| format.word() == word).ok_or_else(|| "use pretty, concise, json, sarif or github".to_owned())
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
    use crate::finding::{Confidence, Coverage, NotAnalysed, Object, Related};
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
            example: Some(Example { file: "a.yaml".to_owned(), bad: "a: 1\n".to_owned(), good: "a: 2\n".to_owned() }),
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
        assert_eq!("xml".parse::<Format>(), Err("use pretty, concise, json, sarif or github".to_owned()));
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
            let text = written(&sample(), format, &style);
            assert!(!text.contains("ghp_") && text == written(&sample(), format, &style), "{format}");
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
