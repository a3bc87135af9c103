//! The format for programs: `schemas/report-v1.json` describes it.

use std::io;

use serde_json::{Map, Value, json};

use super::{Place, write_array};
use crate::finding::{Finding, Object, Report, Status};

pub(super) fn write(report: &Report, out: &mut dyn io::Write) -> io::Result<()> {
    let tool = json!({"name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION")});
    write!(out, "{{\"schema_version\":1,\n\"tool\":{tool},\n\"summary\":{},\n\"findings\":", summary(report))?;
    write_array(out, report.findings.iter().map(|finding| entry(report, finding)))?;
    write!(out, ",\n\"silenced\":")?;
    write_array(out, report.silenced.iter().map(|finding| entry(report, finding)))?;
    let compared = report.compared.as_ref();
    let compared = compared.map(|compared| json!({"baseline": compared.baseline, "base": compared.base, "known": compared.known}));
    write!(out, ",\n\"compared\":{},\n\"not_analysed\":", json!(compared))?;
    write_array(out, report.coverage.not_analysed.iter().map(|skipped| json!({"path": *skipped.path, "reason": skipped.reason})))?;
    write!(out, ",\n\"notes\":")?;
    write_array(out, report.notes.iter().map(|note| json!(note)))?;
    write!(out, ",\n\"rules_checked\":")?;
    write_array(out, report.selected.iter().map(|id| json!(**id)))?;
    writeln!(out, "}}")
}

fn summary(report: &Report) -> Value {
    let mut findings = Map::new();
    findings.insert("total".to_owned(), json!(report.findings.len()));
    for (severity, count) in report.counts().into_iter().rev() {
        findings.insert(severity.word().to_owned(), json!(count));
    }
    let (suppressed, baseline) = report.silenced_counts();
    json!({
        "findings": findings,
        "silenced": {"suppressed": suppressed, "baseline": baseline},
        "files": report.coverage.files,
        "other": report.coverage.other,
        "artifacts": report.coverage.artifacts,
        "not_analysed": report.not_analysed(),
    })
}

fn entry(report: &Report, finding: &Finding) -> Value {
    let rule = report.rules.get(&finding.rule);
    let mut entry = Map::new();
    let mut add = |key: &str, value: Value| entry.insert(key.to_owned(), value);
    add("rule", json!(*finding.rule));
    add("name", json!(rule.map_or("", |rule| &rule.name)));
    add("severity", json!(finding.severity.word()));
    add("confidence", json!(finding.confidence.word()));
    add("message", json!(finding.message));
    add("path", json!(*finding.location.path));
    for (key, value) in lines_and_columns(&report.finding_place(finding)) {
        add(key, value);
    }
    add("object", object(&finding.object));
    add("environments", json!(finding.environments));
    let related = finding.related.iter().map(|related| {
        let mut entry = Map::new();
        entry.insert("label".to_owned(), json!(related.label));
        entry.insert("path".to_owned(), json!(*related.location.path));
        if let Some(place) = report.place(&related.location) {
            entry.extend(lines_and_columns(&place).map(|(key, value)| (key.to_owned(), value)));
        }
        Value::Object(entry)
    });
    add("related", related.collect());
    add("fingerprint", json!(finding.fingerprint));
    let (status, suppression) = status(&finding.status);
    add("status", json!(status));
    add("suppression", suppression);
    add("help", json!(rule.map_or("", |rule| &rule.remediation)));
    add("references", rule.map_or_else(|| json!([]), |rule| json!(rule.references)));
    Value::Object(entry)
}

/// The word for a status, and the suppression, which is null for all others.
fn status(status: &Status) -> (&'static str, Value) {
    match status {
        Status::Active => ("active", Value::Null),
        Status::Baseline => ("baseline", Value::Null),
        Status::Suppressed(suppression) => (
            "suppressed",
            json!({
                "kind": suppression.kind.word(),
                "path": *suppression.location.path,
                "line": suppression.line,
                "reason": suppression.reason,
                "until": suppression.until,
            }),
        ),
    }
}

fn lines_and_columns(place: &Place) -> [(&'static str, Value); 4] {
    [
        ("line", json!(place.start.line)),
        ("column", json!(place.start.column)),
        ("end_line", json!(place.end.line)),
        ("end_column", json!(place.end.column)),
    ]
}

/// What is known of the object.
fn object(object: &Object) -> Value {
    [
        ("kind", &object.kind),
        ("namespace", &object.namespace),
        ("name", &object.name),
        ("container", &object.container),
        ("path", &object.path),
    ]
    .into_iter()
    .filter(|(_, text)| !text.is_empty())
    .map(|(key, text)| (key.to_owned(), json!(text)))
    .collect::<Map<_, _>>()
    .into()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{report, sample, sample_silenced, written};
    use super::super::{Format, Style};
    use super::*;

    fn parsed(report: &Report) -> Value {
        serde_json::from_str(&written(report, Format::Json, &Style::default())).unwrap_or_default()
    }

    /// Refuses every key that the schema does not name; readers should not, so the published schema does not.
    fn closed(schema: &mut Value) {
        match schema {
            Value::Object(map) => {
                if map.contains_key("properties") {
                    map.insert("additionalProperties".to_owned(), json!(false));
                }
                map.values_mut().for_each(closed);
            }
            Value::Array(items) => items.iter_mut().for_each(closed),
            _ => {}
        }
    }

    #[test]
    fn follows_its_schema() {
        let mut schema: Value = serde_json::from_str(include_str!("../../schemas/report-v1.json")).unwrap_or_default();
        assert!(jsonschema::meta::is_valid(&schema));
        closed(&mut schema);
        let validator = jsonschema::validator_for(&schema).map_err(|error| error.to_string());
        for report in [sample(), sample_silenced(), report(&[])] {
            let value = parsed(&report);
            let errors: Vec<String> =
                validator.iter().flat_map(|validator| validator.iter_errors(&value)).map(|error| error.to_string()).collect();
            assert!(errors.is_empty() && validator.is_ok(), "{errors:#?} {:?}", validator.as_ref().err());
        }
    }

    #[test]
    fn has_one_shape() {
        let keys = |value: &Value| value.as_object().map(|map| map.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
        let (full, silenced, empty) = (parsed(&sample()), parsed(&sample_silenced()), parsed(&report(&[])));
        assert_eq!(keys(&full), keys(&empty));
        assert_eq!(keys(&full), keys(&silenced));
        assert_eq!(
            keys(&full),
            ["schema_version", "tool", "summary", "findings", "silenced", "compared", "not_analysed", "notes", "rules_checked"]
        );
        let entry = |pointer: &str| silenced.pointer(pointer).map(&keys).unwrap_or_default();
        for index in 0..4 {
            assert_eq!(entry(&format!("/silenced/{index}")), entry("/findings/0"));
        }
        assert!(!entry("/findings/0").is_empty());
        assert_eq!((empty.get("silenced"), empty.get("compared")), (Some(&json!([])), Some(&Value::Null)));
        assert_eq!(empty.pointer("/summary/silenced"), Some(&json!({"suppressed": 0, "baseline": 0})));
        assert_eq!(empty.get("findings"), Some(&json!([])));
        assert_eq!(
            full.pointer("/summary/findings"),
            Some(&json!({"total": 5, "critical": 1, "high": 1, "medium": 2, "low": 0, "info": 1}))
        );
        assert_eq!(full.pointer("/summary/not_analysed"), Some(&json!({"chart template": 2, "templated file": 1})));
    }

    #[test]
    fn scripts_find_the_counts_on_one_line() {
        let text = written(&sample_silenced(), Format::Json, &Style::default());
        assert!(text.contains(
            "\n\"summary\":{\"findings\":{\"total\":5,\"critical\":1,\"high\":1,\"medium\":2,\"low\":0,\"info\":1},\
             \"silenced\":{\"suppressed\":3,\"baseline\":1},\"files\":9,"
        ));
    }

    #[test]
    fn says_what_silences() {
        let value = parsed(&sample_silenced());
        let at = |pointer: &str| value.pointer(pointer).cloned().unwrap_or_default();
        assert_eq!((at("/findings/0/status"), at("/findings/0/suppression")), (json!("active"), Value::Null));
        assert_eq!((at("/silenced/0/status"), at("/silenced/0/suppression")), (json!("baseline"), Value::Null));
        assert_eq!(at("/silenced/1/status"), json!("suppressed"));
        let suppressions: Vec<Value> = (1..4).map(|index| at(&format!("/silenced/{index}/suppression"))).collect();
        assert_eq!(
            suppressions,
            [
                json!({"kind": "annotation", "path": "k8s/web.yaml", "line": 7, "reason": "runs once", "until": null}),
                json!({"kind": "comment", "path": "k8s/web.yaml", "line": 15, "reason": "rotated, see OPS-7", "until": "2026-12-31"}),
                json!({"kind": "config", "path": "preflint.toml", "line": 3, "reason": "", "until": null}),
            ]
        );
        assert_eq!(at("/compared"), json!({"baseline": ".preflint-baseline.json", "base": "origin/main", "known": 14}));
    }

    #[test]
    fn leaves_out_what_is_unknown_of_an_object() {
        let value = parsed(&sample());
        assert_eq!(value.pointer("/findings/3/object"), Some(&json!({})));
        assert_eq!(
            value.pointer("/findings/0/related"),
            Some(
                &json!([{"label": "the [disruption] budget", "path": "k8s/pdb.yaml", "line": 1, "column": 7, "end_line": 1, "end_column": 26}])
            )
        );
    }
}
