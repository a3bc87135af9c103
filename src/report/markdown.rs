//! A summary for the page of a job or pull request: the worst findings as a table, what to do behind folds.
//!
//! Code is written as `<code>` and every other mark of a text as a character reference, which Markdown never takes for
//! markup, neither in a table nor beside HTML.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;

use super::{counted, printable};
use crate::finding::{Report, Severity};

/// Rows of the table; the page of a job takes a mebibyte.
const ROWS: usize = 50;

pub(super) fn write(report: &Report, out: &mut dyn io::Write) -> io::Result<()> {
    if report.findings.is_empty() {
        let headline = report.nothing_checked().unwrap_or("no findings");
        return writeln!(out, "**preflint:** {headline}. {}", scanned(report));
    }
    let counts = report.counts().into_iter().rev().filter(|(_, count)| *count > 0);
    let counts: Vec<String> = counts.map(|(severity, count)| format!("{count} {severity}")).collect();
    writeln!(out, "### preflint: {}: {}\n\n{}\n", report.total_text(), counts.join(", "), scanned(report))?;

    writeln!(out, "| severity | place | rule | message |\n|---|---|---|---|")?;
    let findings = report.worst_first();
    for finding in findings.iter().take(ROWS) {
        let place = format!("{}:{}", finding.location.path, report.finding_place(finding).start.line);
        writeln!(
            out,
            "| {} | <code>{}</code> | <code>{}</code> | {} |",
            finding.severity,
            escaped(&place),
            escaped(&finding.rule),
            inline(&finding.message)
        )?;
    }
    if findings.len() > ROWS {
        writeln!(out, "\nand {} more", findings.len() - ROWS)?;
    }
    remedies(report, out)
}

/// What to do, worst rules first, each behind a fold. One HTML block, so nothing in it is Markdown.
fn remedies(report: &Report, out: &mut dyn io::Write) -> io::Result<()> {
    let mut counts: BTreeMap<&str, (Severity, usize)> = BTreeMap::new();
    for finding in &report.findings {
        let (worst, count) = counts.entry(&finding.rule).or_insert((finding.severity, 0));
        *worst = finding.severity.max(*worst);
        *count += 1;
    }
    let mut rules: Vec<_> = counts.into_iter().filter_map(|(id, (worst, count))| Some((report.rules.get(id)?, worst, count))).collect();
    rules.sort_by_key(|&(_, worst, count)| std::cmp::Reverse((worst, count)));
    if !rules.is_empty() {
        writeln!(out)?;
    }
    for (rule, _, count) in rules {
        let (id, count) = (escaped(&rule.id), counted(count, "finding"));
        let (name, remedy) = (inline(&rule.name), inline(&rule.remediation));
        writeln!(out, "<details><summary><code>{id}</code> {name} ({count})</summary><p>{remedy}</p></details>")?;
    }
    Ok(())
}

/// What was looked at, what was not and what is not listed, as sentences on one line.
fn scanned(report: &Report) -> String {
    let mut text = match report.nothing_checked() {
        Some(_) => format!("Looked at: {}.", counted(report.coverage.files, "file")),
        None => format!("Checked: {}.", report.checked_text()),
    };
    let skipped = report.not_analysed_text();
    if !skipped.is_empty() {
        let _ = write!(text, " Not analysed: {skipped}.");
    }
    let silenced = report.silenced_text();
    if !silenced.is_empty() {
        let _ = write!(text, " {} silenced: {silenced}.", report.silenced.len());
    }
    if let Some((base, known)) = report.known() {
        let _ = write!(text, " Compared with <code>{}</code>: {known}.", escaped(base));
    }
    for note in &report.notes {
        let _ = write!(text, " Note: {}.", inline(note.trim_end_matches('.')));
    }
    text
}

/// A text whose code in backticks is shown as code.
fn inline(text: &str) -> String {
    let parts: Vec<&str> = text.split('`').collect();
    // The last backtick of an odd number has no other.
    let pairs = (parts.len() - 1) / 2;
    let mut out = String::new();
    for (index, part) in parts.iter().enumerate() {
        if index > 2 * pairs {
            out.push_str("&#96;");
        } else if index > 0 {
            out.push_str(if index % 2 == 1 { "<code>" } else { "</code>" });
        }
        out.push_str(&escaped(part));
    }
    out
}

/// A text on one line without any markup.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let text = printable(text);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let is_link = match character {
            ':' => characters.peek() == Some(&'/'),
            '.' => out.ends_with("www"),
            _ => false,
        };
        if is_link || "&<>\"'`|\\*_~[]!@#$".contains(character) {
            let _ = write!(out, "&#{};", u32::from(character));
        } else {
            out.push(character);
        }
        // So that nobody is notified and no issue is linked: that is done after rendering, in each piece of text.
        if matches!(character, '@' | '#') {
            out.push_str("<!-- -->");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::tests::{finding, hostile, report, sample, sample_silenced, written};
    use super::super::{Format, Style};
    use super::*;
    use crate::finding::{Compared, NotAnalysed};
    use crate::source::Span;

    fn markdown(report: &Report) -> String {
        written(report, Format::Markdown, &Style::default())
    }

    #[test]
    fn reads_as_a_summary() {
        assert_eq!(
            markdown(&sample()),
            "\
### preflint: 5 findings in 2 files: 1 critical, 1 high, 2 medium, 1 info

Checked: 5 artifacts (4 kubernetes, 1 compose) in 9 files; 3 have none. Not analysed: 2 chart templates, 1 templated file. \
Note: rule <code>images/registry-not-allowed</code> was not checked: set <code>allowed</code>.

| severity | place | rule | message |
|---|---|---|---|
| critical | <code>k8s/web.yaml:18</code> | <code>secrets/known-token</code> | a GitHub token stands in the file |
| high | <code>k8s/web.yaml:13</code> | <code>privileges/privileged-container</code> | container <code>app</code> runs privileged |
| medium | <code>k8s/web.yaml:10</code> | <code>limits/memory-limit-missing</code> | container <code>app</code> has no memory limit |
| medium | <code>k8s/é b%:,.yaml:1</code> | <code>scan/file-unreadable</code> | the file is not UTF-8 text really |
| info | <code>k8s/web.yaml:10</code> | <code>style/label-missing</code> | no <code>app.kubernetes.io/version</code> label |

<details><summary><code>secrets/known-token</code> A credential stands in the file (1 finding)</summary><p>Set <code>resources: {limits: {memory: 512Mi}}</code> or e.g. the like. This is what ends A credential stands in the file.</p></details>
<details><summary><code>privileges/privileged-container</code> Container runs in privileged mode (1 finding)</summary><p>Set <code>resources: {limits: {memory: 512Mi}}</code> or e.g. the like. This is what ends Container runs in privileged mode.</p></details>
<details><summary><code>limits/memory-limit-missing</code> Container has no memory limit (1 finding)</summary><p>Set <code>resources: {limits: {memory: 512Mi}}</code> or e.g. the like. This is what ends Container has no memory limit.</p></details>
<details><summary><code>style/label-missing</code> Object lacks a recommended label (1 finding)</summary><p>Set <code>resources: {limits: {memory: 512Mi}}</code> or e.g. the like. This is what ends Object lacks a recommended label.</p></details>
"
        );
    }

    #[test]
    fn tells_what_is_not_listed() {
        let text = markdown(&sample_silenced());
        let told = "1 templated file. 4 silenced: 1 in the baseline, 3 suppressed. \
            Compared with <code>origin/main</code>: 14 known findings not shown. Note:";
        assert!(text.contains(told), "{text}");
        assert_eq!(text.lines().count(), markdown(&sample()).lines().count());
    }

    #[test]
    fn says_in_one_line_that_all_is_well() {
        let mut report = report(&[]);
        assert_eq!(markdown(&report), "**preflint:** nothing to check: no deployment artifact was found. Looked at: 0 files.\n");
        report.coverage.files = 2;
        report.coverage.not_analysed = vec![NotAnalysed { path: "a.yaml".into(), reason: "chart template" }];
        assert_eq!(
            markdown(&report),
            "**preflint:** nothing was checked: no artifact could be analysed. Looked at: 2 files. Not analysed: 1 chart template.\n"
        );
        report.coverage.artifacts = [("compose", 2)].into();
        report.compared = Some(Compared { base: Some("main".to_owned()), known: 1, ..Compared::default() });
        assert_eq!(
            markdown(&report),
            "**preflint:** no findings. Checked: 2 compose artifacts in 2 files. Not analysed: 1 chart template. \
             Compared with <code>main</code>: 1 known finding not shown.\n"
        );
    }

    #[test]
    fn lists_fifty_and_counts_the_rest() {
        let mut report = report(&[("a.yaml", "a: 1\n", &[])]);
        let one = finding("x/y", Severity::Low, "a.yaml", Span::new(0, 1), "m");
        report.findings = vec![one; ROWS];
        assert!(!markdown(&report).contains("more"));
        report.findings.extend(report.findings.clone());
        let text = markdown(&report);
        assert_eq!(text.matches("\n| low |").count(), ROWS);
        assert!(text.ends_with("\n\nand 50 more\n"), "{text}");
    }

    #[test]
    fn shows_markup_as_text() {
        let text = markdown(&hostile());
        let row = text.lines().find(|line| line.starts_with("| info")).unwrap_or_default();
        assert_eq!(
            row,
            "| info | <code>a&#124;b&#96;&#60;c&#62; .yaml:1</code> | <code>style/label-missing</code> | \
             &#60;/td&#62;&#60;script&#62;<code>a</code> &#124; b&#96;\u{fffd}\u{fffd}\u{fffe} &#34;]]&#62;&#38;amp; \
             &#64;<!-- -->me &#35;<!-- -->1 &#91;x&#93;(http&#58;//e.vil) www&#46;e.vil |"
                .replace("]]&#62;", "&#93;&#93;&#62;")
        );
        assert!(!text.contains("<script") && !text.contains('`') && !text.contains("http:") && !text.contains("www."));
        // Headline, scan, table of one row and one remedy: no text ends its line.
        assert_eq!(text.lines().count(), 9);
    }

    #[test]
    fn pairs_backticks() {
        for (text, shown) in [
            ("", ""),
            ("`a`", "<code>a</code>"),
            ("a` b", "a&#96; b"),
            ("`a` ``b", "<code>a</code> <code></code>b"),
            ("`a` `b", "<code>a</code> &#96;b"),
            ("$x_y*", "&#36;x&#95;y&#42;"),
        ] {
            assert_eq!(inline(text), shown);
        }
    }
}
