//! GitLab code quality: the findings that count, so that a silenced one is resolved in a merge request.

use std::collections::BTreeMap;
use std::io;

use serde_json::json;

use super::{printable, write_array};
use crate::finding::{Report, Severity};

pub(super) fn write(report: &Report, out: &mut dyn io::Write) -> io::Result<()> {
    let mut met: BTreeMap<&str, usize> = BTreeMap::new();
    let entries = report.findings.iter().map(|finding| {
        let place = report.finding_place(finding);
        // Of entries that share a fingerprint GitLab keeps one.
        let count = met.entry(&finding.fingerprint).or_default();
        *count += 1;
        let fingerprint = if *count == 1 { finding.fingerprint.clone() } else { format!("{}-{count}", finding.fingerprint) };
        json!({
            "description": printable(&finding.message),
            "check_name": *finding.rule,
            "fingerprint": fingerprint,
            "severity": severity(finding.severity),
            "location": {"path": *finding.location.path, "lines": {"begin": place.start.line, "end": place.end.line}},
        })
    });
    write_array(out, entries)?;
    writeln!(out)
}

/// GitLab's word for a severity.
fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Low => "minor",
        Severity::Medium => "major",
        Severity::High => "critical",
        Severity::Critical => "blocker",
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{hostile, report, sample, sample_silenced, written};
    use super::super::{Format, Style};
    use serde_json::Value;

    #[test]
    fn lists_what_counts() {
        let text = written(&sample(), Format::Gitlab, &Style::default());
        assert_eq!(
            text,
            r#"[
{"description":"container `app` has no memory limit","check_name":"limits/memory-limit-missing","fingerprint":"0123456789abcdef","severity":"major","location":{"path":"k8s/web.yaml","lines":{"begin":10,"end":10}}},
{"description":"no `app.kubernetes.io/version` label","check_name":"style/label-missing","fingerprint":"0123456789abcdef-2","severity":"info","location":{"path":"k8s/web.yaml","lines":{"begin":10,"end":10}}},
{"description":"container `app` runs privileged","check_name":"privileges/privileged-container","fingerprint":"0123456789abcdef-3","severity":"critical","location":{"path":"k8s/web.yaml","lines":{"begin":13,"end":13}}},
{"description":"a GitHub token stands in the file","check_name":"secrets/known-token","fingerprint":"0123456789abcdef-4","severity":"blocker","location":{"path":"k8s/web.yaml","lines":{"begin":18,"end":18}}},
{"description":"the file is not UTF-8 text really","check_name":"scan/file-unreadable","fingerprint":"0123456789abcdef-5","severity":"major","location":{"path":"k8s/é b%:,.yaml","lines":{"begin":1,"end":1}}}
]
"#
        );
        assert_eq!(written(&sample_silenced(), Format::Gitlab, &Style::default()), text);
        assert_eq!(written(&report(&[]), Format::Gitlab, &Style::default()), "[]\n");
    }

    #[test]
    fn stays_json_whatever_the_text() {
        let value: Value = serde_json::from_str(&written(&hostile(), Format::Gitlab, &Style::default())).unwrap_or_default();
        assert_eq!(
            value.pointer("/0/description").and_then(Value::as_str),
            Some("</td><script>`a` | b`\u{fffd}\u{fffd}\u{fffe} \"]]>&amp; @me #1 [x](http://e.vil) www.e.vil")
        );
    }
}
