//! `JUnit` XML, for the test pages of GitLab, Jenkins and the reporters of GitHub.
//!
//! A rule is a suite, since the rules that found nothing are known and the files that are clean are not: a finding is a
//! test that fails, a silenced one is skipped, and a rule without any passes. GitLab shows `classname`, `name` and the text
//! inside an element, and drops tests that share both; Jenkins shows `message`. Names hold no line, so that a test stays the
//! same when the lines above it change.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;

use super::{counted, object_text, printable};
use crate::finding::{Finding, Report, Status};

pub(super) fn write(report: &Report, out: &mut dyn io::Write) -> io::Result<()> {
    let mut rules: BTreeMap<&str, Vec<&Finding>> = report.selected.iter().map(|id| (&**id, Vec::new())).collect();
    for finding in report.findings.iter().chain(&report.silenced) {
        rules.entry(&finding.rule).or_default().push(finding);
    }
    let reasons = report.not_analysed();
    let passed = 1 + rules.values().filter(|findings| findings.is_empty()).count();
    let (failures, skipped) = (report.findings.len(), report.silenced.len() + reasons.len());
    writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
    writeln!(out, "<testsuites name=\"preflint\" {}>", counts(passed, failures, skipped))?;

    // Always there, since some readers take a report without a test for a broken one.
    writeln!(out, "  <testsuite name=\"coverage\" {}>", counts(1, 0, reasons.len()))?;
    writeln!(out, "    <testcase classname=\"coverage\" name=\"checked\" time=\"0\">")?;
    let mut checked = match report.nothing_checked() {
        Some(why) => why.to_owned(),
        None => report.checked_text(),
    };
    if let Some((base, known)) = report.known() {
        let _ = write!(checked, "; compared with {base}: {known}");
    }
    writeln!(out, "      <system-out>{}</system-out>\n    </testcase>", escaped(&checked))?;
    for (reason, &count) in &reasons {
        writeln!(out, "    <testcase classname=\"coverage\" name=\"not analysed: {}\" time=\"0\">", escaped(reason))?;
        let text = escaped(&counted(count, reason));
        writeln!(out, "      <skipped message=\"{text}\">{text}</skipped>\n    </testcase>")?;
    }
    writeln!(out, "  </testsuite>")?;

    for (rule, findings) in &rules {
        let failures = findings.iter().filter(|finding| finding.status == Status::Active).count();
        let passed = usize::from(findings.is_empty());
        let rule = escaped(rule);
        writeln!(out, "  <testsuite name=\"{rule}\" {}>", counts(passed, failures, findings.len() - failures))?;
        if findings.is_empty() {
            writeln!(out, "    <testcase classname=\"{rule}\" name=\"no findings\" time=\"0\"/>")?;
        }
        let mut met: BTreeMap<String, usize> = BTreeMap::new();
        for finding in findings {
            let name = escaped(&format!("{}: {}", finding.location.path, finding.message));
            let count = met.entry(name.clone()).or_default();
            *count += 1;
            let number = if *count == 1 { String::new() } else { format!(" ({count})") };
            let line = report.finding_place(finding).start.line;
            writeln!(
                out,
                "    <testcase classname=\"{rule}\" name=\"{name}{number}\" file=\"{}\" line=\"{line}\" time=\"0\">",
                escaped(&finding.location.path)
            )?;
            outcome(report, finding, out)?;
            writeln!(out, "    </testcase>")?;
        }
        writeln!(out, "  </testsuite>")?;
    }
    writeln!(out, "</testsuites>")
}

/// The attributes that tell how many tests there are, given those that pass, fail and are skipped.
fn counts(passed: usize, failures: usize, skipped: usize) -> String {
    format!("tests=\"{}\" failures=\"{failures}\" errors=\"0\" skipped=\"{skipped}\" time=\"0\"", passed + failures + skipped)
}

/// How the test of a finding ends.
fn outcome(report: &Report, finding: &Finding, out: &mut dyn io::Write) -> io::Result<()> {
    let (reason, place) = match &finding.status {
        Status::Active => {
            let message = escaped(&finding.message);
            return writeln!(
                out,
                "      <failure message=\"{message}\" type=\"{}\">{}</failure>",
                finding.severity,
                details(report, finding)
            );
        }
        Status::Suppressed(suppression) => {
            let until = suppression.until.as_ref().map(|until| format!(" until {until}")).unwrap_or_default();
            let kind = suppression.kind.word();
            let place = format!("suppressed by {kind} at {}:{}{until}", suppression.location.path, suppression.line);
            (suppression.reason.as_str(), place)
        }
        Status::Baseline => ("", "in the baseline".to_owned()),
    };
    let (message, text) = match reason {
        "" => (place.clone(), place),
        reason => (reason.to_owned(), format!("{reason} ({place})")),
    };
    writeln!(out, "      <skipped message=\"{}\">{}</skipped>", escaped(&message), escaped(&text))
}

/// Place, message and what helps, one a line, as XML.
fn details(report: &Report, finding: &Finding) -> String {
    let start = report.finding_place(finding).start;
    let place = format!("{}:{}:{}: {} {}", finding.location.path, start.line, start.column, finding.severity, finding.rule);
    let mut text = format!("{}\n{}", escaped(&place), escaped(&finding.message));
    let mut add = |label: &str, line: &str| {
        let _ = write!(text, "\n{label}: {}", escaped(line));
    };
    if let Some(object) = object_text(&finding.object) {
        add("in", &object);
    }
    if !finding.environments.is_empty() {
        let names: Vec<&str> = finding.environments.iter().map(String::as_str).collect();
        add("environments", &names.join(", "));
    }
    for related in &finding.related {
        let line = report.place(&related.location).map(|place| format!(":{}", place.start.line)).unwrap_or_default();
        add("note", &format!("{} ({}{line})", related.label, related.location.path));
    }
    if let Some(rule) = report.rules.get(&finding.rule) {
        add("help", &rule.remediation);
    }
    text
}

/// A text on one line for an attribute or an element, without the characters that XML 1.0 has no way to write.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in printable(text).chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            character => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::tests::{hostile, report, sample, sample_silenced, written};
    use super::super::{Format, Style};
    use super::*;
    use std::collections::BTreeSet;

    fn junit(report: &Report) -> String {
        written(report, Format::Junit, &Style::default())
    }

    /// The suites that `sample` and `sample_silenced` have in common are the same.
    const UNREADABLE: &str = "  \
  <testsuite name=\"scan/file-unreadable\" tests=\"1\" failures=\"1\" errors=\"0\" skipped=\"0\" time=\"0\">
    <testcase classname=\"scan/file-unreadable\" name=\"k8s/é b%:,.yaml: the file is not UTF-8 text really\" file=\"k8s/é b%:,.yaml\" line=\"1\" time=\"0\">
      <failure message=\"the file is not UTF-8 text really\" type=\"medium\">k8s/é b%:,.yaml:1:1: medium scan/file-unreadable
the file is not UTF-8 text really</failure>
    </testcase>
  </testsuite>
";
    const COVERAGE: &str = "  \
  <testsuite name=\"coverage\" tests=\"3\" failures=\"0\" errors=\"0\" skipped=\"2\" time=\"0\">
    <testcase classname=\"coverage\" name=\"checked\" time=\"0\">
      <system-out>5 artifacts (4 kubernetes, 1 compose) in 9 files; 3 have none</system-out>
    </testcase>
    <testcase classname=\"coverage\" name=\"not analysed: chart template\" time=\"0\">
      <skipped message=\"2 chart templates\">2 chart templates</skipped>
    </testcase>
    <testcase classname=\"coverage\" name=\"not analysed: templated file\" time=\"0\">
      <skipped message=\"1 templated file\">1 templated file</skipped>
    </testcase>
  </testsuite>
";

    #[test]
    fn fails_for_each_finding() {
        let text = junit(&sample());
        let head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
            <testsuites name=\"preflint\" tests=\"8\" failures=\"5\" errors=\"0\" skipped=\"2\" time=\"0\">\n";
        assert!(text.starts_with(&format!("{head}{COVERAGE}")), "{text}");
        assert!(text.contains(UNREADABLE), "{text}");
        assert!(
            text.contains(
                "  \
  <testsuite name=\"limits/memory-limit-missing\" tests=\"1\" failures=\"1\" errors=\"0\" skipped=\"0\" time=\"0\">
    <testcase classname=\"limits/memory-limit-missing\" name=\"k8s/web.yaml: container `app` has no memory limit\" file=\"k8s/web.yaml\" line=\"10\" time=\"0\">
      <failure message=\"container `app` has no memory limit\" type=\"medium\">k8s/web.yaml:10:11: medium limits/memory-limit-missing
container `app` has no memory limit
in: Deployment shop/web, container app
environments: prod, staging
note: the [disruption] budget (k8s/pdb.yaml:1)
help: Set `resources: {limits: {memory: 512Mi}}` or e.g. the like. This is what ends Container has no memory limit.</failure>
    </testcase>
  </testsuite>
"
            ),
            "{text}"
        );
        assert_eq!(text.matches("<failure").count(), 5);
    }

    #[test]
    fn skips_what_is_silenced() {
        let text = junit(&sample_silenced());
        assert!(
            text.contains("<testsuites name=\"preflint\" tests=\"12\" failures=\"5\" errors=\"0\" skipped=\"6\" time=\"0\">"),
            "{text}"
        );
        assert!(text.contains("<testsuite name=\"style/label-missing\" tests=\"2\" failures=\"1\" errors=\"0\" skipped=\"1\" time=\"0\">"));
        assert!(text.contains("3 have none; compared with origin/main: 14 known findings not shown</system-out>"));
        let skipped: Vec<&str> = text.lines().filter(|line| line.contains("<skipped")).skip(2).map(str::trim).collect();
        assert_eq!(
            skipped,
            [
                "<skipped message=\"runs once\">runs once (suppressed by annotation at k8s/web.yaml:7)</skipped>",
                "<skipped message=\"suppressed by config at preflint.toml:3\">suppressed by config at preflint.toml:3</skipped>",
                "<skipped message=\"rotated, see OPS-7\">rotated, see OPS-7 (suppressed by comment at k8s/web.yaml:15 until 2026-12-31)</skipped>",
                "<skipped message=\"in the baseline\">in the baseline</skipped>",
            ]
        );
        assert!(text.contains("name=\"k8s/web.yaml: no `team` label\" file=\"k8s/web.yaml\" line=\"2\""));
    }

    #[test]
    fn passes_where_nothing_is_found() {
        let text = junit(&report(&[]));
        assert!(text.contains("tests=\"5\" failures=\"0\" errors=\"0\" skipped=\"0\""), "{text}");
        assert!(text.contains("<system-out>nothing to check: no deployment artifact was found</system-out>"));
        assert_eq!(text.matches("name=\"no findings\" time=\"0\"/>").count(), 4);
        let mut bare = report(&[]);
        bare.selected.clear();
        assert!(junit(&bare).contains("<testcase"));
    }

    #[test]
    fn gives_each_test_a_name_of_its_own() {
        let mut report = sample();
        report.findings.extend(report.findings.clone());
        let text = junit(&report);
        assert!(text.contains("name=\"k8s/web.yaml: a GitHub token stands in the file (2)\""), "{text}");
        let names: BTreeSet<&str> = text
            .lines()
            .filter(|line| line.contains("<testcase"))
            .filter_map(|line| line.split_once(" file=").map(|(head, _)| head))
            .collect();
        assert_eq!(names.len(), 10);
    }

    #[test]
    fn stays_xml_whatever_the_text() {
        let text = junit(&hostile());
        let shown = "&lt;/td&gt;&lt;script&gt;`a` | b`\u{fffd}\u{fffd}\u{fffd} &quot;]]&gt;&amp;amp; @me #1 [x](http://e.vil) www.e.vil";
        assert!(text.contains(&format!("<failure message=\"{shown}\" type=\"info\">a|b`&lt;c&gt; .yaml:1:1: info")), "{text}");
        assert!(text.contains(&format!("<skipped message=\"{shown}\">{shown} (suppressed by comment at")));
        assert!(text.contains(&format!("name=\"a|b`&lt;c&gt; .yaml: {shown}\"")));
        assert!(!text.contains(|character: char| character != '\n' && (character.is_control() || character >= '\u{fffe}')));
        // Between the angle brackets of this file's own tags nothing opens another.
        assert!(text.split('<').skip(1).all(|tag| tag.matches('>').count() == 1));
    }
}
