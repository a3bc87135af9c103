//! One line a finding and nothing else, for editors, `grep` and scripts.

use std::io;

use super::printable;
use crate::finding::Report;

pub(super) fn write(report: &Report, out: &mut dyn io::Write) -> io::Result<()> {
    for finding in &report.findings {
        let start = report.finding_place(finding).start;
        writeln!(
            out,
            "{}:{}:{}: {} {}: {}",
            printable(&finding.location.path),
            start.line,
            start.column,
            finding.severity,
            finding.rule,
            printable(&finding.message)
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{sample, written};
    use super::super::{Format, Style};

    #[test]
    fn writes_one_line_a_finding() {
        assert_eq!(
            written(&sample(), Format::Concise, &Style::default()),
            "\
k8s/web.yaml:10:11: medium limits/memory-limit-missing: container `app` has no memory limit
k8s/web.yaml:10:11: info style/label-missing: no `app.kubernetes.io/version` label
k8s/web.yaml:13:13: high privileges/privileged-container: container `app` runs privileged
k8s/web.yaml:18:22: critical secrets/known-token: a GitHub token stands in the file
k8s/é b%:,.yaml:1:1: medium scan/file-unreadable: the file is not UTF-8 text really
"
        );
    }
}
