//! For people at a terminal: worst findings first, each place shown once with all that is wrong there, the summary last.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::ops::Range;
use std::time::Duration;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents,
};

use super::{Place, Style, counted, first_sentence, is_unprintable, object_text, printable};
use crate::finding::{Confidence, Finding, Location, Report, Severity};
use crate::source::{MaskedText, Span};

/// Up to this many findings are all shown.
const FEW: usize = 20;
/// Beyond it, so many of each rule.
const SHOWN_OF_A_RULE: usize = 3;
/// Rows of the table of rules.
const ROWS: usize = 15;
/// Columns of a tab stop in snippets.
const TAB: usize = 4;
/// Below this the snippets would hold nothing.
const NARROWEST: usize = 40;
/// Lines are scanned at most so many bytes before a finding.
const FAR: usize = 4096;

pub(super) fn write(report: &Report, style: &Style, out: &mut dyn io::Write) -> io::Result<()> {
    let mut writer = Writer { report, style, width: style.width.max(NARROWEST), explained: BTreeSet::new(), out };
    writer.findings()?;
    writer.summary()
}

/// What is wrong at one place.
struct Group<'r> {
    location: &'r Location,
    findings: Vec<&'r Finding>,
}

struct Writer<'r, 'o> {
    report: &'r Report,
    style: &'r Style,
    width: usize,
    /// Rules whose help has been shown.
    explained: BTreeSet<&'r str>,
    out: &'o mut dyn io::Write,
}

impl<'r> Writer<'r, '_> {
    fn findings(&mut self) -> io::Result<()> {
        let cap = if self.style.all || self.report.findings.len() <= FEW { usize::MAX } else { SHOWN_OF_A_RULE };
        let mut groups: Vec<Group<'r>> = Vec::new();
        let mut places: BTreeMap<&Location, usize> = BTreeMap::new();
        // Of each rule: how many were met, and the group that shows the last one.
        let mut rules: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for finding in self.report.worst_first() {
            let (met, last) = rules.entry(&*finding.rule).or_default();
            *met += 1;
            if *met > cap {
                continue;
            }
            let index = *places.entry(&finding.location).or_insert(groups.len());
            *last = index.max(*last);
            match groups.get_mut(index) {
                Some(group) => group.findings.push(finding),
                None => groups.push(Group { location: &finding.location, findings: vec![finding] }),
            }
        }
        for (index, group) in groups.iter().enumerate() {
            self.group(group)?;
            for (rule, &(met, last)) in &rules {
                if last == index && met > cap {
                    let text = format!("… and {} more of {rule} (--all shows them)", met - cap);
                    writeln!(self.out, "  {}", self.paint(DIM, &text))?;
                }
            }
            writeln!(self.out)?;
        }
        Ok(())
    }

    fn group(&mut self, group: &Group<'r>) -> io::Result<()> {
        for finding in &group.findings {
            self.headline(finding)?;
        }
        let worst = group.findings.first().map_or(Severity::Info, |finding| finding.severity);
        // Of a file that could not be read there is nothing to draw.
        let source = self.report.sources.get(&group.location.path).filter(|source| !source.text().is_empty());
        let indent = if let Some(source) = source {
            self.snippet(source, group.location, worst)?
        } else {
            writeln!(self.out, "   ╶─[{}]", self.paint(PATH, &printable(&group.location.path)))?;
            1
        };
        self.notes(group, indent)
    }

    /// `medium: message  [rule]`
    fn headline(&mut self, finding: &Finding) -> io::Result<()> {
        let severity = finding.severity.word();
        let rule = match finding.confidence {
            Confidence::High => format!("[{}]", finding.rule),
            confidence => format!("[{}, {confidence} confidence]", finding.rule),
        };
        let message = printable(&finding.message);
        let mut lines = wrap(&message, self.width, severity.len() + 2, 4);
        let last = lines.last().map_or(0, |line| columns(line)) + if lines.len() > 1 { 4 } else { severity.len() + 2 };
        let rule_fits = last + 2 + columns(&rule) <= self.width;
        let first = lines.drain(..1).next().unwrap_or_default();
        write!(self.out, "{} {}", self.paint(color(finding.severity), &format!("{severity}:")), self.paint(BOLD, &first))?;
        for line in lines {
            write!(self.out, "\n    {}", self.paint(BOLD, &line))?;
        }
        write!(self.out, "{}", if rule_fits { "  " } else { "\n    " })?;
        writeln!(self.out, "{}", self.paint(DIM, &rule))
    }

    /// Draws the place and gives the width of its line numbers.
    fn snippet(&mut self, source: &MaskedText, location: &Location, severity: Severity) -> io::Result<usize> {
        let window = Window::new(source, &printable(&location.path), Place::new(source, location.span), self.width);
        let mut theme = if self.style.color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        theme.styles.link = theme.styles.help;
        theme.styles.highlights = vec![match severity {
            Severity::High | Severity::Critical => theme.styles.error,
            Severity::Medium => theme.styles.warning,
            Severity::Info | Severity::Low => theme.styles.advice,
        }];
        let mut drawn = String::new();
        let handler = GraphicalReportHandler::new_themed(theme).with_context_lines(1).with_width(self.width).without_cause_chain();
        handler.render_report(&mut drawn, &window).map_err(io::Error::other)?;
        // The first line would be the message, which the headline has said.
        let drawn = drawn.split_once('\n').map_or("", |(_, snippet)| snippet);
        for line in drawn.lines() {
            writeln!(self.out, "{}", line.trim_end())?;
        }
        Ok(window.last_line.to_string().len())
    }

    /// The object, related places and help, below the snippet.
    fn notes(&mut self, group: &Group<'r>, indent: usize) -> io::Result<()> {
        let mut said = BTreeSet::new();
        for finding in &group.findings {
            if let Some(object) = object_note(finding).filter(|object| said.insert(object.clone())) {
                self.note(indent, "in", &object)?;
            }
        }
        for finding in &group.findings {
            let names: Vec<&str> = finding.environments.iter().map(String::as_str).collect();
            let names = names.join(", ");
            if !names.is_empty() && said.insert(names.clone()) {
                self.note(indent, if finding.environments.len() == 1 { "environment" } else { "environments" }, &names)?;
            }
        }
        for finding in &group.findings {
            for related in &finding.related {
                let path = &related.location.path;
                let place = match self.report.place(&related.location) {
                    Some(place) => format!("{path}:{}", place.start.line),
                    None => path.to_string(),
                };
                let note = format!("{} ({place})", related.label);
                if said.insert(note.clone()) {
                    self.note(indent, "note", &note)?;
                }
            }
        }
        for finding in &group.findings {
            let Some(rule) = self.report.rules.get(&finding.rule) else { continue };
            if self.explained.insert(&finding.rule) {
                let label = match rule.id.split_once('/') {
                    Some((_, name)) if group.findings.len() > 1 => format!("help for {name}"),
                    _ => "help".to_owned(),
                };
                self.note(indent, &label, first_sentence(&rule.remediation))?;
            }
        }
        Ok(())
    }

    /// `= label: text`, its sign below the frame of the snippet.
    fn note(&mut self, indent: usize, label: &str, text: &str) -> io::Result<()> {
        let first = indent + 2 + 2 + label.len() + 2;
        let text = printable(text);
        let rest = indent + 4;
        for (number, line) in wrap(&text, self.width, first, rest).iter().enumerate() {
            if number == 0 {
                let label = self.paint(NOTE, &format!("= {label}:"));
                writeln!(self.out, "{:1$}{label} {line}", "", indent + 2)?;
            } else {
                writeln!(self.out, "{:rest$}{line}", "")?;
            }
        }
        Ok(())
    }

    fn summary(&mut self) -> io::Result<()> {
        let report = self.report;
        let nothing = report.nothing_checked();
        if let Some(why) = nothing {
            writeln!(self.out, "{}", self.paint(WARN, why))?;
        } else if report.findings.is_empty() {
            writeln!(self.out, "{}", self.paint(GOOD, "no findings"))?;
        } else {
            if report.findings.len() > FEW {
                self.table()?;
            }
            let counts = report.counts();
            let counts = counts.iter().rev().filter(|(_, count)| *count > 0);
            let counts: Vec<String> =
                counts.map(|&(severity, count)| self.paint(color(severity), &format!("{count} {severity}"))).collect();
            writeln!(self.out, "{}: {}", self.paint(BOLD, &report.total_text()), counts.join(", "))?;
        }
        let silenced = report.silenced_text();
        if !silenced.is_empty() {
            self.line(&format!("{} silenced", report.silenced.len()), &silenced)?;
        }
        if let Some((base, known)) = report.known() {
            self.line(&printable(&format!("compared with {base}")), &known)?;
        }
        if nothing.is_some() {
            self.line("looked at", &counted(report.coverage.files, "file"))?;
        } else {
            self.line("checked", &report.checked_text())?;
        }
        let skipped = report.not_analysed_text();
        if !skipped.is_empty() {
            self.line("not analysed", &skipped)?;
        }
        for note in &report.notes {
            self.line("note", note)?;
        }
        if report.findings.len() > FEW && report.compared.is_none() {
            self.line("to begin with", "`preflint baseline create` keeps these from counting, `--base REF` shows what is new since REF")?;
        }
        match self.style.elapsed {
            Some(elapsed) => self.line("took", &duration(elapsed)),
            None => Ok(()),
        }
    }

    /// How many findings of each rule, worst first.
    fn table(&mut self) -> io::Result<()> {
        let mut counts: BTreeMap<&str, (Severity, usize)> = BTreeMap::new();
        for finding in &self.report.findings {
            let (worst, count) = counts.entry(&finding.rule).or_insert((finding.severity, 0));
            *worst = finding.severity.max(*worst);
            *count += 1;
        }
        let mut rows: Vec<_> = counts.into_iter().collect();
        rows.sort_by_key(|&(_, counts)| Reverse(counts));
        let hidden = if self.style.all { 0 } else { rows.len().saturating_sub(ROWS + 1) };
        // One row more instead of a line that says "1 more".
        rows.truncate(rows.len() - if hidden == 0 { 0 } else { hidden + 1 });
        let digits = rows.iter().map(|(_, (_, count))| count.to_string().len()).max().unwrap_or(1);
        let ids = rows.iter().map(|(rule, _)| columns(rule)).max().unwrap_or(0);
        for (rule, (severity, count)) in &rows {
            let word = severity.word();
            let padding = Severity::Critical.word().len() - word.len() + 2;
            let name = self.report.rules.get(rule).map_or("", |rule| &rule.name);
            let used = 2 + digits + 2 + word.len() + padding + ids + 2;
            let name = shortened(name, self.width.saturating_sub(used));
            let (word, name) = (self.paint(color(*severity), word), self.paint(DIM, &name));
            let line = format!("  {count:digits$}  {word}{:padding$}{rule:ids$}  {name}", "");
            writeln!(self.out, "{}", line.trim_end())?;
        }
        if hidden > 0 {
            writeln!(self.out, "  {}", self.paint(DIM, &format!("… and {} more", counted(hidden + 1, "rule"))))?;
        }
        writeln!(self.out)
    }

    /// A line of the summary.
    fn line(&mut self, label: &str, text: &str) -> io::Result<()> {
        let text = printable(text);
        for (number, line) in wrap(&text, self.width, label.len() + 4, 4).iter().enumerate() {
            if number == 0 {
                writeln!(self.out, "  {} {line}", self.paint(DIM, &format!("{label}:")))?;
            } else {
                writeln!(self.out, "    {line}")?;
            }
        }
        Ok(())
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.style.color && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

const BOLD: &str = "1";
const DIM: &str = "2";
const NOTE: &str = "1;34";
const PATH: &str = "36";
const GOOD: &str = "1;32";
const WARN: &str = "1;33";

fn color(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "1;97;41",
        Severity::High => "1;31",
        Severity::Medium => "1;33",
        Severity::Low => "1;36",
        Severity::Info => "1;34",
    }
}

/// What the finding is about, as far as it is known and the message does not say it.
fn object_note(finding: &Finding) -> Option<String> {
    let mut object = finding.object.clone();
    let said = |name: &str| finding.message.contains(&format!("`{name}`"));
    if said(&object.name) && object.container.is_empty() {
        return None;
    }
    if said(&object.container) {
        object.container.clear();
    }
    object_text(&object)
}

fn duration(elapsed: Duration) -> String {
    if elapsed < Duration::from_secs(1) { format!("{} ms", elapsed.as_millis()) } else { format!("{:.1} s", elapsed.as_secs_f64()) }
}

/// The columns of a character; what may be wide counts as wide.
fn width(character: char) -> usize {
    if character < '\u{1100}' || matches!(character, '\u{2010}'..='\u{2027}') { 1 } else { 2 }
}

fn columns(text: &str) -> usize {
    text.chars().map(width).sum()
}

/// As much of a text as fits, or nothing where that would be little.
fn shortened(text: &str, room: usize) -> String {
    if columns(text) <= room {
        return text.to_owned();
    }
    if room < 20 {
        return String::new();
    }
    let mut used = 1;
    let fitting = text.chars().take_while(|&character| {
        used += width(character);
        used <= room
    });
    fitting.chain(['…']).collect()
}

/// Breaks a text at spaces into lines that fit, when the first begins at column `first` and the others at `rest`.
/// Code in backticks stays together where a line can hold it.
fn wrap(text: &str, limit: usize, first: usize, rest: usize) -> Vec<String> {
    let mut code = false;
    let outside_code = |character: char| {
        code ^= character == '`';
        character.is_whitespace() && !code
    };
    let words = text.split(outside_code).flat_map(|word| {
        let whole = rest + columns(word) <= limit;
        word.split(move |character: char| character.is_whitespace() && !whole)
    });
    let mut lines = vec![String::new()];
    let mut used = first;
    for word in words.filter(|word| !word.is_empty()) {
        let wide = columns(word);
        if let Some(line) = lines.last_mut() {
            let space = usize::from(!line.is_empty());
            if space == 1 && used + 1 + wide > limit {
                lines.push(word.to_owned());
                used = rest + wide;
            } else {
                line.extend(std::iter::repeat_n(' ', space));
                line.push_str(word);
                used += space + wide;
            }
        }
    }
    lines
}

/// The lines around a finding as miette sees them: cut, without control characters, and numbered as in the file.
#[derive(Debug)]
struct Window {
    path: String,
    text: String,
    /// 1-based.
    first_line: u32,
    last_line: u32,
    place: Place,
    mark: SourceSpan,
}

impl Window {
    fn new(source: &MaskedText, path: &str, place: Place, width: usize) -> Self {
        let line = place.start.line;
        let own = source.line_span(line);
        // Of a span over several lines, the first is enough to find it.
        let span = Span::new(place.span.range().start, place.span.range().end.min(own.range().end));
        let far = span.range().start.saturating_sub(own.range().start) > FAR;
        let (first_line, last_line) =
            if far { (line, line) } else { (line.saturating_sub(1).max(1), (line + 1).min(source.line_count() as u32)) };
        // Behind the line number and the frame.
        let room = width.saturating_sub(last_line.to_string().len() + 5);
        let begin = if far { span.range().start - FAR } else { own.range().start };
        let begin = (begin..=span.range().start).find(|&at| source.text().is_char_boundary(at)).unwrap_or(begin);
        let text = source.text().get(begin..own.range().end).unwrap_or_default();
        let span = span.range().start - begin..span.range().end - begin;
        let mut view = View { left: 0, room };
        view.aim(text, &span);
        let mut shown: Vec<String> = Vec::new();
        let mut mark = 0..0;
        for number in first_line..=last_line {
            if number == line {
                let (cut, marked) = view.cut(text, &span);
                let before: usize = shown.iter().map(|line| line.len() + 1).sum();
                mark = before + marked.start..before + marked.end;
                shown.push(cut);
            } else {
                let text = source.text().get(source.line_span(number).range()).unwrap_or_default();
                shown.push(view.cut(text, &(0..0)).0);
            }
        }
        let mut text = shown.join("\n");
        // So that miette sees a last empty line.
        text.push('\n');
        Self { path: path.to_owned(), text, first_line, last_line, place, mark: mark.into() }
    }
}

/// The columns of the lines that a window shows.
struct View {
    left: usize,
    room: usize,
}

/// A character as it is shown.
struct Cell {
    offset: usize,
    shown: char,
    column: usize,
    width: usize,
}

impl Cell {
    fn end(&self) -> usize {
        self.column + self.width
    }
}

impl View {
    /// Moves to the right just so far that the span can be seen.
    fn aim(&mut self, line: &str, span: &Range<usize>) {
        let (mut from, mut to, mut total) = (None, None, 0);
        for cell in cells(line) {
            if cell.offset >= span.start {
                from.get_or_insert(cell.column);
            }
            if cell.offset >= span.end && cell.column > *to.get_or_insert(cell.column) + self.room {
                break;
            }
            total = cell.end();
        }
        let (from, to) = (from.unwrap_or(total), to.unwrap_or(total));
        if total > self.room && to >= self.room {
            let margin = self.room / 4;
            self.left = (to + margin).min(total + 1).saturating_sub(self.room).min(from.saturating_sub(margin));
        }
    }

    /// The visible part of a line, and where a span of the line is in it.
    fn cut(&self, line: &str, span: &Range<usize>) -> (String, Range<usize>) {
        let right = self.left + self.room;
        let seen: Vec<Cell> = cells(line).take_while(|cell| cell.column <= right).collect();
        let right = if seen.iter().any(|cell| cell.end() > right) { right - 1 } else { right };
        let mut cut = String::new();
        let mut filled = 0;
        if self.left > 0 {
            // The first column tells whether something is left out.
            filled = self.left + 1;
            let lost = seen.iter().any(|cell| cell.column < filled && !cell.shown.is_whitespace());
            cut.push(if lost { '…' } else { ' ' });
        }
        let (mut from, mut to) = (None, None);
        for cell in seen {
            if cell.offset >= span.start {
                from.get_or_insert(cut.len());
            }
            if cell.offset >= span.end {
                to.get_or_insert(cut.len());
            }
            if cell.end() > right {
                cut.push('…');
                break;
            }
            if cell.column >= filled && cell.shown != '\t' {
                cut.push(cell.shown);
                filled = cell.end();
            } else {
                // A tab, or what is left of a wide character that the left edge cuts.
                cut.extend(std::iter::repeat_n(' ', cell.end().saturating_sub(filled)));
                filled = filled.max(cell.end());
            }
        }
        let from = from.unwrap_or(cut.len());
        let to = to.unwrap_or(cut.len()).max(from);
        (cut, from..to)
    }
}

/// The characters of a line, without those that would disturb a terminal.
fn cells(line: &str) -> impl Iterator<Item = Cell> {
    let mut column = 0;
    line.char_indices().map(move |(offset, character)| {
        let shown = if character != '\t' && is_unprintable(character) { '\u{fffd}' } else { character };
        let cell = Cell { offset, shown, column, width: if shown == '\t' { TAB - column % TAB } else { width(shown) } };
        column = cell.end();
        cell
    })
}

impl SourceCode for Window {
    fn read_span<'a>(&'a self, _: &SourceSpan, context: usize, _: usize) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        // Without context miette asks for the place that it writes above the snippet.
        let (line, column) = if context == 0 { (self.place.start.line, self.place.start.column) } else { (self.first_line, 1) };
        let all = SourceSpan::from((0, self.text.len()));
        let lines = (self.last_line - self.first_line) as usize + 1;
        Ok(Box::new(MietteSpanContents::new_named(
            self.path.clone(),
            self.text.as_bytes(),
            all,
            line as usize - 1,
            column as usize - 1,
            lines,
        )))
    }
}

impl fmt::Display for Window {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

impl std::error::Error for Window {}

impl Diagnostic for Window {
    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(self)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(std::iter::once(LabeledSpan::underline(self.mark))))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::super::tests::{finding, report, sample, sample_silenced, span, written};
    use super::*;
    use crate::finding::{Compared, NotAnalysed};

    fn pretty(report: &Report, width: usize) -> String {
        written(report, Format::Pretty, &Style { width, ..Style::default() })
    }

    #[test]
    fn reads_like_a_review() {
        let style = Style { elapsed: Some(Duration::from_millis(1234)), ..Style::default() };
        assert_eq!(
            written(&sample(), Format::Pretty, &style),
            "\
critical: a GitHub token stands in the file  [secrets/known-token]
    ╭─[k8s/web.yaml:18:22]
 17 │             - name: API_TOKEN
 18 │               value: **********************
    ·                      ──────────────────────
    ╰────
    = help: Set `resources: {limits: {memory: 512Mi}}` or e.g. the like.

high: container `app` runs privileged  [privileges/privileged-container]
    ╭─[k8s/web.yaml:13:13]
 12 │           securityContext:
 13 │             privileged: true
    ·             ────────────────
 14 │           env:
    ╰────
    = in: Deployment shop/web
    = help: Set `resources: {limits: {memory: 512Mi}}` or e.g. the like.

medium: container `app` has no memory limit  [limits/memory-limit-missing]
info: no `app.kubernetes.io/version` label
    [style/label-missing, medium confidence]
    ╭─[k8s/web.yaml:10:11]
  9 │       containers:
 10 │         - name: app
    ·           ─────────
 11 │           image: registry.example.com/app:1.4
    ╰────
    = in: Deployment shop/web
    = in: Deployment shop/web, container app
    = environments: prod, staging
    = note: the [disruption] budget (k8s/pdb.yaml:1)
    = help for memory-limit-missing: Set `resources: {limits: {memory: 512Mi}}`
      or e.g. the like.
    = help for label-missing: Set `resources: {limits: {memory: 512Mi}}` or e.g.
      the like.

medium: the file is not UTF-8 text really  [scan/file-unreadable]
   ╶─[k8s/é b%:,.yaml]

5 findings in 2 files: 1 critical, 1 high, 2 medium, 1 info
  checked: 5 artifacts (4 kubernetes, 1 compose) in 9 files; 3 have none
  not analysed: 2 chart templates, 1 templated file
  note: rule `images/registry-not-allowed` was not checked: set `allowed`
  took: 1.2 s
"
        );
    }

    #[test]
    fn tells_what_is_silenced() {
        let mut report = sample_silenced();
        let drawn = pretty(&report, 80);
        assert!(
            drawn.ends_with(
                "\
5 findings in 2 files: 1 critical, 1 high, 2 medium, 1 info
  4 silenced: 1 in the baseline, 3 suppressed
  compared with origin/main: 14 known findings not shown
  checked: 5 artifacts (4 kubernetes, 1 compose) in 9 files; 3 have none
  not analysed: 2 chart templates, 1 templated file
  note: rule `images/registry-not-allowed` was not checked: set `allowed`
"
            ),
            "{drawn}"
        );
        // Only the summary speaks of them.
        assert_eq!(drawn.matches("╭─[").count(), pretty(&sample(), 80).matches("╭─[").count());
        report.findings.clear();
        report.silenced.truncate(1);
        report.compared = Some(Compared { base: Some("main".to_owned()), ..Compared::default() });
        let drawn = pretty(&report, 80);
        assert!(
            drawn.starts_with("no findings\n  1 silenced: 1 in the baseline\n  compared with main: 0 known findings not shown\n"),
            "{drawn}"
        );
    }

    #[test]
    fn colours_only_when_asked() {
        let colored = written(&sample(), Format::Pretty, &Style { color: true, ..Style::default() });
        assert!(colored.contains("\u{1b}[1;31mhigh:\u{1b}[0m"));
        assert!(!pretty(&sample(), 80).contains('\u{1b}'));
    }

    #[test]
    fn stays_within_the_width() {
        let text = format!("a: \"{} bad {}\"\n{}日本語😀: x\n", "lorem ".repeat(40), "ipsum ".repeat(40), "語".repeat(90));
        let mut report = report(&[("a.yaml", &text, &[])]);
        for word in [" bad ", "日", "😀", "a:", "x\n"] {
            report.findings.push(finding("limits/memory-limit-missing", Severity::Low, "a.yaml", span(&text, word), &"a word ".repeat(30)));
        }
        for width in [40, 80, 120] {
            for line in pretty(&report, width).lines() {
                let columns: usize =
                    line.chars().map(|character| if "─│╭╰·▲".contains(character) { 1 } else { super::width(character) }).sum();
                assert!(columns <= width, "{columns} > {width}: {line}");
            }
        }
    }

    #[test]
    fn cuts_long_lines_around_the_span() {
        let text = format!("before: {}\nkey: {}bad{}\nafter: 1\n", "x".repeat(200), "l".repeat(100), "r".repeat(100));
        let mut report = report(&[("a.yaml", &text, &[])]);
        report.findings = vec![finding("limits/memory-limit-missing", Severity::Low, "a.yaml", span(&text, "bad"), "m")];
        let drawn = pretty(&report, 60);
        let lines: Vec<&str> = drawn.lines().skip(1).take(6).collect();
        assert_eq!(
            lines,
            [
                "   ╭─[a.yaml:2:106]",
                " 1 │ …xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…",
                " 2 │ …lllllllllllllllllllllllllllllllllllllbadrrrrrrrrrrrr…",
                "   ·                                       ───",
                " 3 │ …",
                "   ╰────",
            ]
        );
    }

    #[test]
    fn shows_empty_spans_tabs_and_ends() {
        let text = "a:\tb\r\n\tc:";
        let mut report = report(&[("a.env", text, &[])]);
        report.findings = vec![
            finding("x/one", Severity::Low, "a.env", span(text, "b"), "tab"),
            finding("x/two", Severity::Low, "a.env", Span::new(text.len(), text.len()), "empty"),
        ];
        let drawn = pretty(&report, 80);
        assert!(drawn.contains(" 1 │ a:  b\n   ·     ─\n 2 │     c:\n"), "{drawn}");
        assert!(drawn.contains("[a.env:2:4]\n 1 │ a:  b\n 2 │     c:\n   ·       ▲\n"), "{drawn}");
    }

    #[test]
    fn shows_three_of_a_rule_and_counts_the_rest() {
        let text = "- a\n".repeat(30);
        let mut report = report(&[("a.yaml", &text, &[])]);
        for line in 0..21 {
            let severity = if line == 20 { Severity::High } else { Severity::Medium };
            report.findings.push(finding("limits/memory-limit-missing", severity, "a.yaml", Span::new(line * 4, line * 4 + 3), "m"));
        }
        let drawn = pretty(&report, 80);
        let places: Vec<&str> = drawn.lines().filter_map(|line| line.split_once("[a.yaml:")).map(|(_, place)| place).collect();
        assert_eq!(places, ["21:1]", "1:1]", "2:1]"]);
        assert!(drawn.contains("  … and 18 more of limits/memory-limit-missing (--all shows them)\n"), "{drawn}");
        assert!(
            drawn.contains(
                "\n  21  high      limits/memory-limit-missing  Container has no memory limit\n\n21 findings in 1 file: 1 high, 20 medium\n"
            ),
            "{drawn}"
        );
        assert_eq!(drawn.matches("= help").count(), 1);
        let all = written(&report, Format::Pretty, &Style { all: true, ..Style::default() });
        assert_eq!(all.matches("[a.yaml:").count(), 21);
        assert!(!all.contains('…'));
        report.findings.pop();
        assert_eq!(pretty(&report, 80).matches("[a.yaml:").count(), 20);
    }

    #[test]
    fn says_what_was_looked_at() {
        let mut report = report(&[]);
        assert_eq!(pretty(&report, 80), "nothing to check: no deployment artifact was found\n  looked at: 0 files\n");
        report.coverage.files = 14;
        report.coverage.not_analysed = vec![NotAnalysed { path: "a.yaml".into(), reason: "chart template" }];
        assert_eq!(
            pretty(&report, 80),
            "nothing was checked: no artifact could be analysed\n  looked at: 14 files\n  not analysed: 1 chart template\n"
        );
        report.coverage.artifacts = [("compose", 1), ("kubernetes", 12)].into();
        report.coverage.other = 1;
        assert_eq!(
            pretty(&report, 80),
            "no findings\n  checked: 13 artifacts (12 kubernetes, 1 compose) in 14 files; 1 has none\n  not analysed: 1 chart template\n"
        );
    }
}
