//! Workflow commands that GitHub Actions turns into annotations.
//!
//! GitHub shows ten of a level for each step, so the worst come first.

use std::fmt::Write as _;
use std::io;

use super::level;
use crate::finding::Report;

pub(super) fn write(report: &Report, out: &mut dyn io::Write) -> io::Result<()> {
    for finding in report.worst_first() {
        let place = report.finding_place(finding);
        let command = match level(finding.severity) {
            "note" => "notice",
            level => level,
        };
        let mut properties = format!("file={},line={},endLine={}", property(&finding.location.path), place.start.line, place.end.line);
        // Columns belong to one line; on several GitHub refuses them.
        if place.start.line == place.end.line {
            let _ = write!(properties, ",col={},endColumn={}", place.start.column, place.end.column);
        }
        let mut message = finding.message.clone();
        for related in &finding.related {
            let line = report.place(&related.location).map(|place| format!(":{}", place.start.line)).unwrap_or_default();
            let _ = write!(message, "\n{} ({}{line})", related.label, related.location.path);
        }
        writeln!(out, "::{command} {properties},title={}::{}", property(&finding.rule), data(&message))?;
    }
    Ok(())
}

/// Escapes the text behind the command.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes a property's value, which a colon or comma would end.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{sample, written};
    use super::super::{Format, Style};

    #[test]
    fn escapes_and_puts_the_worst_first() {
        assert_eq!(
            written(&sample(), Format::Github, &Style::default()),
            "\
::error file=k8s/web.yaml,line=18,endLine=18,col=22,endColumn=44,title=secrets/known-token::a GitHub token stands in the file
::error file=k8s/web.yaml,line=13,endLine=13,col=13,endColumn=29,title=privileges/privileged-container::container `app` runs privileged
::warning file=k8s/web.yaml,line=10,endLine=10,col=11,endColumn=20,title=limits/memory-limit-missing::container `app` has no memory limit%0Athe [disruption] budget (k8s/pdb.yaml:1)
::warning file=k8s/é b%25%3A%2C.yaml,line=1,endLine=1,col=1,endColumn=1,title=scan/file-unreadable::the file is not UTF-8 text%0Areally
::notice file=k8s/web.yaml,line=10,endLine=10,col=11,endColumn=20,title=style/label-missing::no `app.kubernetes.io/version` label
"
        );
    }
}
