//! The format for programs: `schemas/report-v1.json` describes it.

use std::io;

use serde_json::{Map, Value, json};

use super::{Place, write_array};
use crate::finding::{Finding, Object, Report};

pub(super) fn write(report: &Report, out: &mut dyn io::Write) -> io::Result<()> {
    let tool = json!({"name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION")});
    write!(out, "{{\"schema_version\":1,\n\"tool\":{tool},\n\"summary\":{},\n\"findings\":", summary(report))?;
    write_array(out, report.findings.iter().map(|finding| entry(report, finding)))?;
    write!(out, ",\n\"not_analysed\":")?;
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
    json!({
        "findings": findings,
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
    add("help", json!(rule.map_or("", |rule| &rule.remediation)));
    add("references", rule.map_or_else(|| json!([]), |rule| json!(rule.references)));
    Value::Object(entry)
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
    use super::super::tests::{report, sample, written};
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
        for report in [sample(), report(&[])] {
            let value = parsed(&report);
            let errors: Vec<String> =
                validator.iter().flat_map(|validator| validator.iter_errors(&value)).map(|error| error.to_string()).collect();
            assert!(errors.is_empty() && validator.is_ok(), "{errors:#?} {:?}", validator.as_ref().err());
        }
    }

    #[test]
    fn has_one_shape() {
        let keys = |value: &Value| value.as_object().map(|map| map.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
        let (full, empty) = (parsed(&sample()), parsed(&report(&[])));
        assert_eq!(keys(&full), keys(&empty));
        assert_eq!(keys(&full), ["schema_version", "tool", "summary", "findings", "not_analysed", "notes", "rules_checked"]);
        assert_eq!(empty.get("findings"), Some(&json!([])));
        assert_eq!(
            full.pointer("/summary/findings"),
            Some(&json!({"total": 5, "critical": 1, "high": 1, "medium": 2, "low": 0, "info": 1}))
        );
        assert_eq!(full.pointer("/summary/not_analysed"), Some(&json!({"chart template": 2, "templated file": 1})));
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
