//! SARIF 2.1.0, as GitHub code scanning takes it.
//!
//! One run; one result for each rule and line, since GitHub keeps one of those that share a line hash; every result at
//! a real line; never more results than GitHub keeps, chosen here because GitHub does not choose the worst.
//!
//! Silenced findings are results with `suppressions`. GitHub itself does not read them (`github/codeql-action#1230`) and
//! shows such results as open; the action `advanced-security/dismiss-alerts` dismisses them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io;

use serde_json::{Map, Value, json};

use super::{Place, counted, level, write_array};
use crate::finding::{Confidence, Finding, Location, Object, Report, Severity, Status, Suppression, SuppressionKind};
use crate::rule::Rule;
use crate::source::MaskedText;

/// GitHub keeps so many results of a run.
const MAX_RESULTS: usize = 5000;
/// GitHub shows so many characters of a description.
const MAX_TEXT: usize = 1024;
/// GitHub's pages disagree whether ten tags are allowed.
const MAX_TAGS: usize = 9;
/// Longer regions carry no snippet.
const MAX_SNIPPET: usize = 1000;
const ROOT: &str = "%SRCROOT%";

pub(super) fn write(report: &Report, out: &mut dyn io::Write) -> io::Result<()> {
    let (results, left_out) = results(report);
    let mut rules: BTreeMap<&str, usize> = report.selected.iter().map(|id| (&**id, 0)).collect();
    rules.extend(results.iter().map(|result| (&*result.first.rule, 0)));
    let mut files: BTreeMap<&str, usize> = BTreeMap::new();
    for finding in results.iter().flat_map(|result| &result.findings) {
        files.insert(&finding.location.path, 0);
        files.extend(finding.related.iter().map(|related| (&*related.location.path, 0)));
    }
    for (number, index) in rules.values_mut().enumerate() {
        *index = number;
    }
    for (number, index) in files.values_mut().enumerate() {
        *index = number;
    }
    // SARIF wants each of the two on all results of a run or on none.
    let silenced = results.iter().any(|result| !result.is_active());
    let compared = report.compared.is_some() || report.silenced_counts().1 > 0;
    let writer = Writer { report, rules, files, silenced, compared };

    let home = env!("CARGO_PKG_REPOSITORY");
    let home = if home.is_empty() { String::new() } else { format!("\"informationUri\":{},", json!(home)) };
    write!(
        out,
        "{{\"$schema\":\"https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json\",\n\
         \"version\":\"2.1.0\",\n\"runs\":[{{\"tool\":{{\"driver\":{{\"name\":\"{}\",\"version\":\"{1}\",\"semanticVersion\":\"{1}\",{home}\n\"rules\":",
        env!("CARGO_PKG_NAME"),
        env!("CARGO_PKG_VERSION")
    )?;
    write_array(out, writer.rules.keys().map(|id| descriptor(id, report.rules.get(id))))?;
    write!(out, "}}}},\n\"invocations\":[{}],\n", writer.invocation(results.len(), left_out))?;
    let root = json!({ROOT: {"description": {"text": "The root of the repository or folder that was checked."}}});
    write!(out, "\"columnKind\":\"unicodeCodePoints\",\n\"originalUriBaseIds\":{root},\n\"artifacts\":")?;
    write_array(out, writer.files.keys().map(|path| json!({"location": writer.artifact(path), "roles": ["analysisTarget"]})))?;
    write!(out, ",\n\"results\":")?;
    write_array(out, results.iter().map(|result| writer.result(result)))?;
    writeln!(out, ",\n\"properties\":{}}}]}}", properties(report))
}

/// What was looked at, and what the results do not tell.
fn properties(report: &Report) -> Value {
    let (suppressed, baseline) = report.silenced_counts();
    let mut properties = Map::new();
    let mut add = |key: &str, value: Value| properties.insert(key.to_owned(), value);
    add("files", json!(report.coverage.files));
    add("other", json!(report.coverage.other));
    add("artifacts", json!(report.coverage.artifacts));
    add("notAnalysed", json!(report.not_analysed()));
    add("silenced", json!({"suppressed": suppressed, "baseline": baseline}));
    if let Some(compared) = &report.compared {
        let mut with = Map::new();
        with.extend(compared.baseline.as_ref().map(|baseline| ("baseline".to_owned(), json!(baseline))));
        with.extend(compared.base.as_ref().map(|base| ("base".to_owned(), json!(base))));
        with.insert("known".to_owned(), json!(compared.known));
        add("compared", Value::Object(with));
    }
    Value::Object(properties)
}

/// The findings of one rule on one line; either all count or all are silenced.
struct Merged<'r> {
    first: &'r Finding,
    findings: Vec<&'r Finding>,
    place: Place,
}

impl Merged<'_> {
    fn is_active(&self) -> bool {
        self.first.status == Status::Active
    }

    fn severity(&self) -> Severity {
        self.findings.iter().map(|finding| finding.severity).max().unwrap_or(self.first.severity)
    }

    fn confidence(&self) -> Confidence {
        self.findings.iter().map(|finding| finding.confidence).max().unwrap_or(self.first.confidence)
    }
}

/// The results in the report's order, silenced ones last, and how many are left out.
fn results(report: &Report) -> (Vec<Merged<'_>>, usize) {
    let mut results: Vec<Merged<'_>> = Vec::new();
    let mut known = BTreeMap::new();
    for finding in report.findings.iter().chain(&report.silenced) {
        let place = match report.sources.get(&finding.location.path) {
            Some(source) => Place::new(source, finding.location.span).visible(source),
            None => Place::FIRST,
        };
        let index = *known.entry((&finding.location.path, place.start.line, &finding.rule)).or_insert(results.len());
        match results.get_mut(index) {
            // They would share a line hash, and GitHub might keep the one that does not count.
            Some(result) if result.is_active() && finding.status != Status::Active => {}
            Some(result) => result.findings.push(finding),
            None => results.push(Merged { first: finding, findings: vec![finding], place }),
        }
    }
    let left_out = results.len().saturating_sub(MAX_RESULTS);
    if left_out > 0 {
        let mut order: Vec<usize> = (0..results.len()).collect();
        order.sort_by_cached_key(|&index| {
            results.get(index).map(|result| Reverse((result.is_active(), result.severity(), result.confidence())))
        });
        let dropped: BTreeSet<usize> = order.into_iter().skip(MAX_RESULTS).collect();
        let mut index = 0..;
        results.retain(|_| index.next().is_none_or(|index| !dropped.contains(&index)));
    }
    (results, left_out)
}

struct Writer<'r> {
    report: &'r Report,
    /// Every described rule with its index.
    rules: BTreeMap<&'r str, usize>,
    /// Every file that a result speaks of, with its index.
    files: BTreeMap<&'r str, usize>,
    /// Whether some result is silenced.
    silenced: bool,
    /// Whether there is something that the findings are compared with.
    compared: bool,
}

impl Writer<'_> {
    fn artifact(&self, path: &str) -> Value {
        let mut location = Map::new();
        if path.starts_with('/') {
            location.insert("uri".to_owned(), json!(format!("file://{}", encoded(path))));
        } else {
            location.insert("uri".to_owned(), json!(encoded(path)));
            location.insert("uriBaseId".to_owned(), json!(ROOT));
        }
        if let Some(index) = self.files.get(path) {
            location.insert("index".to_owned(), json!(index));
        }
        Value::Object(location)
    }

    fn physical(&self, location: &Location, place: Option<&Place>) -> Map<String, Value> {
        let mut physical = Map::new();
        physical.insert("artifactLocation".to_owned(), self.artifact(&location.path));
        if let Some(place) = place {
            let source = self.report.sources.get(&location.path);
            physical.insert("region".to_owned(), region(source, place));
        }
        physical
    }

    fn result(&self, result: &Merged<'_>) -> Value {
        let finding = result.first;
        let mut physical = self.physical(&finding.location, Some(&result.place));
        let source = self.report.sources.get(&finding.location.path);
        if let Some(context) = source.and_then(|source| context(source, &result.place)) {
            physical.insert("contextRegion".to_owned(), context);
        }
        let mut location = Map::new();
        location.insert("physicalLocation".to_owned(), Value::Object(physical));
        if let Some(logical) = logical(&finding.object) {
            location.insert("logicalLocations".to_owned(), json!([logical]));
        }

        let mut related: Vec<(&str, Map<String, Value>)> = Vec::new();
        for other in result.findings.iter().flat_map(|finding| &finding.related) {
            let place = self.report.place(&other.location);
            let entry = (other.label.as_str(), self.physical(&other.location, place.as_ref()));
            if !related.contains(&entry) {
                related.push(entry);
            }
        }
        let mut messages: Vec<&str> = Vec::new();
        for finding in &result.findings {
            if !messages.contains(&finding.message.as_str()) {
                messages.push(&finding.message);
            }
        }
        let labels: Vec<&str> = related.iter().map(|(label, _)| *label).collect();

        let mut entry = Map::new();
        let mut add = |key: &str, value: Value| entry.insert(key.to_owned(), value);
        add("ruleId", json!(*finding.rule));
        if let Some(index) = self.rules.get(&*finding.rule) {
            add("ruleIndex", json!(index));
        }
        add("level", json!(level(result.severity())));
        add("message", json!({"text": message(&messages, &labels)}));
        add("locations", json!([location]));
        if !related.is_empty() {
            let related = related.into_iter().enumerate().map(
                |(index, (label, physical))| json!({"id": index + 1, "physicalLocation": physical, "message": {"text": ended(label)}}),
            );
            add("relatedLocations", related.collect());
        }
        let mut fingerprints = Map::new();
        if let Some(hash) = &finding.line_hash {
            fingerprints.insert("primaryLocationLineHash".to_owned(), json!(hash));
        }
        fingerprints.insert("preflint/v1".to_owned(), json!(finding.fingerprint));
        add("partialFingerprints", Value::Object(fingerprints));
        if self.compared {
            // Whether a suppressed one is older is not known; viewers that list what is new should not list it.
            add("baselineState", json!(if result.is_active() { "new" } else { "unchanged" }));
        }
        if self.silenced {
            let mut suppressions: Vec<Value> = Vec::new();
            for suppression in result.findings.iter().filter_map(|finding| self.suppression(&finding.status)) {
                if !suppressions.contains(&suppression) {
                    suppressions.push(suppression);
                }
            }
            add("suppressions", json!(suppressions));
        }
        let mut properties = Map::new();
        properties.insert("severity".to_owned(), json!(result.severity().word()));
        properties.insert("confidence".to_owned(), json!(result.confidence().word()));
        let environments: BTreeSet<&String> = result.findings.iter().flat_map(|finding| &finding.environments).collect();
        if !environments.is_empty() {
            properties.insert("environments".to_owned(), json!(environments));
        }
        if !finding.object.path.is_empty() {
            properties.insert("path".to_owned(), json!(finding.object.path));
        }
        add("properties", Value::Object(properties));
        Value::Object(entry)
    }

    fn suppression(&self, status: &Status) -> Option<Value> {
        let (kind, justification, written) = match status {
            Status::Active => return None,
            Status::Suppressed(suppression) => {
                let kind = match suppression.kind {
                    SuppressionKind::Comment | SuppressionKind::Annotation => "inSource",
                    SuppressionKind::Config => "external",
                };
                (kind, suppression.reason.clone(), Some(suppression))
            }
            Status::Baseline => {
                let baseline = self.report.compared.as_ref().and_then(|compared| compared.baseline.as_deref());
                let name = baseline.map(|path| format!(" `{path}`")).unwrap_or_default();
                ("external", format!("The baseline{name} holds it."), None)
            }
        };
        let mut entry = Map::new();
        entry.insert("kind".to_owned(), json!(kind));
        entry.insert("status".to_owned(), json!("accepted"));
        if !justification.is_empty() {
            entry.insert("justification".to_owned(), json!(justification));
        }
        if let Some(Suppression { location, line, .. }) = written.filter(|written| in_repository(&written.location.path)) {
            let mut physical = self.physical(location, None);
            physical.insert("region".to_owned(), json!({"startLine": line}));
            entry.insert("location".to_owned(), json!({"physicalLocation": physical}));
        }
        if let Some(until) = written.and_then(|written| written.until.as_ref()) {
            entry.insert("properties".to_owned(), json!({"until": until}));
        }
        Some(Value::Object(entry))
    }

    /// What the scan itself has to say. Without descriptors, which would need help texts of their own.
    fn invocation(&self, kept: usize, left_out: usize) -> Value {
        let mut notifications = Vec::new();
        let mut note = |text: String| notifications.push(json!({"level": "note", "message": {"text": escaped(&ended(&text))}}));
        for (reason, count) in self.report.not_analysed() {
            note(format!("Not analysed: {}", counted(count, reason)));
        }
        for remark in &self.report.notes {
            note(remark.clone());
        }
        if left_out > 0 {
            note(format!("The worst {kept} of {} results are listed, since GitHub keeps no more of a run", kept + left_out));
        }
        json!({"executionSuccessful": true, "toolExecutionNotifications": notifications})
    }
}

/// A rule as GitHub shows it beside an alert.
fn descriptor(id: &str, rule: Option<&Rule>) -> Value {
    let mut entry = Map::new();
    let mut add = |key: &str, value: Value| entry.insert(key.to_owned(), value);
    add("id", json!(id));
    add("name", json!(pascal(id.rsplit('/').next().unwrap_or(id))));
    let Some(rule) = rule else {
        for key in ["shortDescription", "fullDescription", "help"] {
            add(key, json!({"text": id}));
        }
        return Value::Object(entry);
    };
    add("shortDescription", json!({"text": limited(&ended(&rule.name))}));
    add("fullDescription", json!({"text": limited(&ended(&rule.rationale))}));
    add("help", json!({"text": help_text(rule), "markdown": help_markdown(rule)}));
    if let Some(reference) = rule.references.first() {
        add("helpUri", json!(reference));
    }
    add("defaultConfiguration", json!({"level": level(rule.severity)}));
    let mut properties = Map::new();
    properties.insert("precision".to_owned(), json!(rule.confidence.word()));
    let problem = match level(rule.severity) {
        "note" => "recommendation",
        level => level,
    };
    properties.insert("problem.severity".to_owned(), json!(problem));
    if rule.security {
        let score = match rule.severity {
            Severity::Info | Severity::Low => "3.0",
            Severity::Medium => "5.5",
            Severity::High => "8.0",
            Severity::Critical => "9.5",
        };
        properties.insert("security-severity".to_owned(), json!(score));
    }
    properties.insert("tags".to_owned(), json!(tags(rule)));
    if !rule.equivalents.is_empty() {
        properties.insert("equivalents".to_owned(), json!(rule.equivalents));
    }
    add("properties", Value::Object(properties));
    Value::Object(entry)
}

/// At most nine tags; weaknesses in the form that GitHub links.
fn tags(rule: &Rule) -> Vec<String> {
    let mut tags = Vec::new();
    if rule.security {
        tags.push("security".to_owned());
    }
    let own = rule.tags.iter().filter(|tag| *tag != "security").map(|tag| match tag.strip_prefix("cwe-") {
        Some(number) => format!("external/cwe/cwe-{number:0>3}"),
        None => tag.clone(),
    });
    for tag in std::iter::once(rule.pack().to_owned()).chain(own) {
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    tags.truncate(MAX_TAGS);
    tags
}

fn help_text(rule: &Rule) -> String {
    let mut text = rule.remediation.clone();
    for reference in &rule.references {
        let _ = write!(text, "\n{reference}");
    }
    text
}

fn help_markdown(rule: &Rule) -> String {
    let mut text = format!("{}\n\n**What to do:** {}\n", rule.rationale, rule.remediation);
    if let Some(example) = &rule.example {
        let language = match example.file.rsplit_once('.').map(|(_, ending)| ending) {
            Some(ending @ ("json" | "jsonc" | "toml")) => ending,
            Some("yaml" | "yml") => "yaml",
            _ => "",
        };
        for (label, code) in [("Reported", &example.bad), ("Not reported", &example.good)] {
            if !code.is_empty() {
                let fence = if code.contains("```") { "~~~~" } else { "```" };
                let _ = write!(text, "\n{label}:\n\n{fence}{language}\n{}\n{fence}\n", code.trim_end());
            }
        }
    }
    if !rule.references.is_empty() {
        text.push_str("\nReferences:\n\n");
        for reference in &rule.references {
            let _ = writeln!(text, "- <{reference}>");
        }
    }
    text
}

fn region(source: Option<&MaskedText>, place: &Place) -> Value {
    let mut region = json!({
        "startLine": place.start.line,
        "startColumn": place.start.column,
        "endLine": place.end.line,
        "endColumn": place.end.column,
    });
    let text = source.and_then(|source| source.text().get(place.span.range())).unwrap_or_default();
    if let Some(region) = region.as_object_mut().filter(|_| !text.is_empty() && text.len() <= MAX_SNIPPET) {
        region.insert("snippet".to_owned(), json!({"text": text}));
    }
    region
}

/// The lines around a place, one on each side, unless they are long.
fn context(source: &MaskedText, place: &Place) -> Option<Value> {
    let first = place.start.line.saturating_sub(1).max(1);
    let last = (place.end.line + 1).min(source.line_count() as u32);
    let span = source.line_span(first).range().start..source.line_span(last).range().end;
    let text = source.text().get(span.clone()).filter(|text| !text.is_empty() && text.len() <= MAX_SNIPPET)?;
    // It has to be larger than the region.
    if span == place.span.range() {
        return None;
    }
    Some(json!({"startLine": first, "endLine": last, "snippet": {"text": text}}))
}

/// `Deployment/namespace/name/container/app`, where the object is known.
fn logical(object: &Object) -> Option<Value> {
    if object.kind.is_empty() || object.name.is_empty() {
        return None;
    }
    let mut parts = vec![object.kind.as_str()];
    if !object.namespace.is_empty() {
        parts.push(&object.namespace);
    }
    parts.push(&object.name);
    let (mut name, mut kind) = (&object.name, "object");
    if !object.container.is_empty() {
        parts.extend(["container", &object.container]);
        (name, kind) = (&object.container, "member");
    }
    Some(json!({"name": name, "fullyQualifiedName": parts.join("/"), "kind": kind}))
}

/// The distinct messages of a result, with links to its related locations.
fn message(messages: &[&str], labels: &[&str]) -> String {
    let text = ended(&messages.join("; "));
    if labels.is_empty() {
        return escaped(&text);
    }
    let link = |(index, label): (usize, &&str)| format!("[{}]({})", brackets_escaped(label.trim_end_matches('.')), index + 1);
    let links: Vec<String> = labels.iter().enumerate().map(link).collect();
    format!("{} See {}.", brackets_escaped(&text), links.join(", "))
}

/// Keeps a text from reading as an embedded link; most texts hold none and stay as they are.
fn escaped(text: &str) -> String {
    if text.contains("](") { brackets_escaped(text) } else { text.to_owned() }
}

fn brackets_escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('[', "\\[").replace(']', "\\]")
}

/// The text as a sentence.
fn ended(text: &str) -> String {
    let text = text.trim_end();
    if text.ends_with(['.', '!', '?']) { text.to_owned() } else { format!("{text}.") }
}

/// At most so many characters as GitHub takes.
fn limited(text: &str) -> String {
    if text.chars().count() <= MAX_TEXT {
        return text.to_owned();
    }
    text.chars().take(MAX_TEXT - 1).chain(['…']).collect()
}

/// `memory-limit-missing` as `MemoryLimitMissing`.
fn pascal(name: &str) -> String {
    name.split('-')
        .flat_map(|word| {
            let mut letters = word.chars();
            letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters)
        })
        .take(255)
        .collect()
}

/// Whether a path is one below the root; a configuration file may stand elsewhere.
fn in_repository(path: &str) -> bool {
    !path.is_empty() && !path.starts_with('/') && !path.split('/').any(|part| part == "..")
}

/// A path as a URI reference.
fn encoded(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for &byte in path.as_bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::super::tests::{WEB, finding, report, sample, sample_silenced, span, suppressed, written};
    use super::super::{Format, Style};
    use super::*;
    use crate::source::Span;

    fn sarif(report: &Report) -> Value {
        serde_json::from_str(&written(report, Format::Sarif, &Style::default())).unwrap_or_default()
    }

    fn texts<'v>(log: &'v Value, pointer: &str) -> &'v str {
        log.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// What GitHub demands beyond the schema.
    fn accepted(log: &Value) {
        assert_eq!(texts(log, "/version"), "2.1.0");
        let list = |pointer: &str| log.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default();
        assert_eq!(list("/runs").len(), 1);
        assert!(log.pointer("/runs/0/results").is_some_and(Value::is_array));
        assert_eq!(log.pointer("/runs/0/automationDetails"), None);
        let rules = list("/runs/0/tool/driver/rules");
        for rule in &rules {
            for pointer in ["/id", "/shortDescription/text", "/fullDescription/text", "/help/text"] {
                let text = texts(rule, pointer);
                assert!(!text.is_empty() && (pointer == "/help/text" || text.chars().count() <= 1024), "{rule}");
            }
            let tags = rule.pointer("/properties/tags").and_then(Value::as_array).cloned().unwrap_or_default();
            assert!(tags.len() <= 9);
            assert_eq!(tags.contains(&json!("security")), rule.pointer("/properties/security-severity").is_some());
        }
        for result in list("/runs/0/results") {
            let index = result.pointer("/ruleIndex").and_then(Value::as_u64).unwrap_or(u64::MAX) as usize;
            assert_eq!(rules.get(index).map(|rule| texts(rule, "/id")), Some(texts(&result, "/ruleId")));
            assert!(!texts(&result, "/message/text").is_empty());
            assert_eq!(result.pointer("/locations").and_then(Value::as_array).map(Vec::len), Some(1));
            assert!(!texts(&result, "/locations/0/physicalLocation/artifactLocation/uri").is_empty());
            let number =
                |key: &str| result.pointer(&format!("/locations/0/physicalLocation/region/{key}")).and_then(Value::as_u64).unwrap_or(0);
            let (start, end) = ((number("startLine"), number("startColumn")), (number("endLine"), number("endColumn")));
            assert!(start.0 >= 1 && start.1 >= 1 && start <= end, "{result}");
            assert!(!texts(&result, "/partialFingerprints/preflint~1v1").is_empty());
        }
        // Beyond the schema SARIF demands each of them on all results or on none.
        for key in ["baselineState", "suppressions"] {
            let with = list("/runs/0/results").iter().filter(|result| result.get(key).is_some()).count();
            assert!(with == 0 || with == list("/runs/0/results").len(), "{key}");
        }
    }

    #[test]
    fn is_valid_and_complete() {
        // One pattern of the official schema (of `language`) has a bracket too many, which a strict validator refuses.
        let schema = include_str!("../../tests/schemas/sarif-2.1.0.json").replace("{2}]?$", "{2}$");
        let schema: Value = serde_json::from_str(&schema).unwrap_or_default();
        let validator = jsonschema::validator_for(&schema).map_err(|error| error.to_string());
        for report in [sample(), sample_silenced(), report(&[])] {
            let log = sarif(&report);
            let errors: Vec<String> =
                validator.iter().flat_map(|validator| validator.iter_errors(&log)).map(|error| error.to_string()).collect();
            assert!(errors.is_empty() && validator.is_ok(), "{errors:#?} {:?}", validator.as_ref().err());
            accepted(&log);
        }
        let empty = sarif(&report(&[]));
        assert_eq!(empty.pointer("/runs/0/results"), Some(&json!([])));
        assert_eq!(empty.pointer("/runs/0/tool/driver/rules").and_then(Value::as_array).map(Vec::len), Some(4));
    }

    #[test]
    fn describes_rules_as_github_reads_them() {
        let log = sarif(&sample());
        let rule = log
            .pointer("/runs/0/tool/driver/rules")
            .and_then(Value::as_array)
            .and_then(|rules| rules.iter().find(|rule| texts(rule, "/id") == "privileges/privileged-container").cloned());
        let rule = rule.unwrap_or_default();
        assert_eq!(texts(&rule, "/name"), "PrivilegedContainer");
        assert_eq!(texts(&rule, "/defaultConfiguration/level"), "error");
        assert_eq!(texts(&rule, "/helpUri"), "https://kubernetes.io/docs/concepts/");
        assert!(texts(&rule, "/help/markdown").contains("```yaml\na: 1\n```"));
        assert_eq!(
            rule.pointer("/properties"),
            Some(&json!({
                "precision": "high",
                "problem.severity": "error",
                "security-severity": "8.0",
                "tags": ["security", "privileges", "external/cwe/cwe-250", "pss-baseline"],
                "equivalents": ["kube-linter:some-check"],
            }))
        );
    }

    #[test]
    fn writes_a_result_whole() {
        let log = sarif(&sample());
        assert_eq!(
            log.pointer("/runs/0/results/0"),
            Some(&json!({
                "ruleId": "limits/memory-limit-missing",
                "ruleIndex": 0,
                "level": "warning",
                "message": {"text": "container `app` has no memory limit. See [the \\[disruption\\] budget](1)."},
                "locations": [{
                    "physicalLocation": {
                        "artifactLocation": {"uri": "k8s/web.yaml", "uriBaseId": "%SRCROOT%", "index": 1},
                        "region": {"startLine": 10, "startColumn": 11, "endLine": 10, "endColumn": 20, "snippet": {"text": "name: app"}},
                        "contextRegion": {
                            "startLine": 9,
                            "endLine": 11,
                            "snippet": {"text": "      containers:\n        - name: app\n          image: registry.example.com/app:1.4"},
                        },
                    },
                    "logicalLocations": [{"name": "app", "fullyQualifiedName": "Deployment/shop/web/container/app", "kind": "member"}],
                }],
                "relatedLocations": [{
                    "id": 1,
                    "physicalLocation": {
                        "artifactLocation": {"uri": "k8s/pdb.yaml", "uriBaseId": "%SRCROOT%", "index": 0},
                        "region": {"startLine": 1, "startColumn": 7, "endLine": 1, "endColumn": 26, "snippet": {"text": "PodDisruptionBudget"}},
                    },
                    "message": {"text": "the [disruption] budget."},
                }],
                "partialFingerprints": {"preflint/v1": "0123456789abcdef"},
                "properties": {
                    "severity": "medium",
                    "confidence": "high",
                    "environments": ["prod", "staging"],
                    "path": "spec.template.spec.containers[0]",
                },
            }))
        );
        assert_eq!(texts(&log, "/runs/0/results/2/partialFingerprints/primaryLocationLineHash"), "c129715d7a2bc9a3:1");
        assert_eq!(texts(&log, "/runs/0/results/4/locations/0/physicalLocation/artifactLocation/uri"), "k8s/%C3%A9%20b%25%3A%2C.yaml");
        assert_eq!(texts(&log, "/runs/0/invocations/0/toolExecutionNotifications/0/message/text"), "Not analysed: 2 chart templates.");
        assert_eq!(log.pointer("/runs/0/properties/notAnalysed"), Some(&json!({"chart template": 2, "templated file": 1})));
    }

    #[test]
    fn merges_one_rule_on_one_line() {
        let mut report = report(&[("a.yaml", "a: 1\nb: [1, 2]\n", &[])]);
        let add =
            |severity, start, message| finding("limits/memory-limit-missing", severity, "a.yaml", Span::new(start, start + 1), message);
        report.findings = vec![
            add(Severity::Medium, 9, "one"),
            add(Severity::High, 12, "two [x](1)"),
            add(Severity::Medium, 12, "one"),
            finding("style/label-missing", Severity::Info, "a.yaml", Span::new(9, 10), "other"),
        ];
        let log = sarif(&report);
        accepted(&log);
        let messages: Vec<&str> = ["0", "1", "2"].map(|index| texts(&log, &format!("/runs/0/results/{index}/message/text"))).into();
        assert_eq!(messages, ["one; two \\[x\\](1).", "other.", ""]);
        assert_eq!(texts(&log, "/runs/0/results/0/level"), "error");
    }

    #[test]
    fn marks_what_is_silenced() {
        let log = sarif(&sample_silenced());
        let at = |pointer: &str| log.pointer(pointer).cloned().unwrap_or_default();
        assert_eq!((at("/runs/0/results/0/baselineState"), at("/runs/0/results/0/suppressions")), (json!("new"), json!([])));
        let silenced: Vec<Value> = (5..9).map(|index| at(&format!("/runs/0/results/{index}/suppressions"))).collect();
        let location = |uri: &str, line| json!({"physicalLocation": {"artifactLocation": {"uri": uri, "uriBaseId": "%SRCROOT%"}, "region": {"startLine": line}}});
        let mut web = location("k8s/web.yaml", 7);
        if let Some(artifact) = web.pointer_mut("/physicalLocation/artifactLocation") {
            artifact.as_object_mut().map(|artifact| artifact.insert("index".to_owned(), json!(1)));
        }
        assert_eq!(
            silenced.first(),
            Some(&json!([{
                "kind": "external", "status": "accepted", "justification": "The baseline `.preflint-baseline.json` holds it."
            }]))
        );
        assert_eq!(
            silenced.get(1),
            Some(&json!([{"kind": "inSource", "status": "accepted", "justification": "runs once", "location": web}]))
        );
        assert_eq!(silenced.get(2).and_then(|list| list.pointer("/0/properties")), Some(&json!({"until": "2026-12-31"})));
        assert_eq!(silenced.get(3), Some(&json!([{"kind": "external", "status": "accepted", "location": location("preflint.toml", 3)}])));
        assert_eq!(at("/runs/0/results/5/baselineState"), json!("unchanged"));
        assert_eq!(at("/runs/0/properties/silenced"), json!({"suppressed": 3, "baseline": 1}));
        assert_eq!(at("/runs/0/properties/compared"), json!({"baseline": ".preflint-baseline.json", "base": "origin/main", "known": 14}));
        let mut alone = sample_silenced();
        alone.silenced.clear();
        let log = sarif(&alone);
        accepted(&log);
        assert_eq!(texts(&log, "/runs/0/results/0/baselineState"), "new");
        assert_eq!(log.pointer("/runs/0/results/0/suppressions"), None);
    }

    #[test]
    fn names_only_files_of_the_repository() {
        let mut report = sample_silenced();
        for path in ["/etc/preflint.toml", "../preflint.toml", ""] {
            for finding in &mut report.silenced {
                if let Status::Suppressed(suppression) = &mut finding.status {
                    suppression.location.path = path.into();
                }
            }
            let log = sarif(&report);
            accepted(&log);
            assert_eq!(log.pointer("/runs/0/results/8/suppressions"), Some(&json!([{"kind": "external", "status": "accepted"}])));
        }
    }

    #[test]
    fn never_merges_what_counts_with_what_is_silenced() {
        let mut report = report(&[("a.yaml", "a: 1\nb: [1, 2]\n", &[])]);
        let add = |start, message| finding("style/label-missing", Severity::Info, "a.yaml", Span::new(start, start + 1), message);
        let silent = |start, status| Finding { status, ..add(start, "silent") };
        report.findings = vec![add(9, "one")];
        report.silenced = vec![
            silent(0, suppressed(SuppressionKind::Comment, "a.yaml", 1, "because")),
            silent(3, Status::Baseline),
            silent(12, Status::Baseline),
        ];
        let log = sarif(&report);
        accepted(&log);
        let results = log.pointer("/runs/0/results").and_then(Value::as_array).cloned().unwrap_or_default();
        let told: Vec<(&str, usize)> = results
            .iter()
            .map(|result| (texts(result, "/message/text"), result.pointer("/suppressions").and_then(Value::as_array).map_or(9, Vec::len)))
            .collect();
        assert_eq!(told, [("one.", 0), ("silent.", 2)]);
        assert_eq!(log.pointer("/runs/0/properties/silenced"), Some(&json!({"suppressed": 1, "baseline": 2})));
    }

    #[test]
    fn keeps_what_counts_before_what_is_silenced() {
        let text = "a: 1\n".repeat(MAX_RESULTS + 2);
        let mut report = report(&[("a.yaml", &text, &[])]);
        let add =
            |severity, line: usize| finding("limits/memory-limit-missing", severity, "a.yaml", Span::new(line * 5, line * 5 + 1), "m");
        report.findings = (0..2).map(|line| add(Severity::Info, line)).collect();
        report.silenced = (2..MAX_RESULTS + 2).map(|line| Finding { status: Status::Baseline, ..add(Severity::Critical, line) }).collect();
        let log = sarif(&report);
        accepted(&log);
        let results = log.pointer("/runs/0/results").and_then(Value::as_array).cloned().unwrap_or_default();
        assert_eq!(results.len(), MAX_RESULTS);
        assert_eq!(results.iter().filter(|result| texts(result, "/baselineState") == "new").count(), 2);
    }

    #[test]
    fn keeps_the_worst_of_too_many() {
        let text = "a: 1\n".repeat(MAX_RESULTS + 2);
        let mut report = report(&[("a.yaml", &text, &[])]);
        report.findings = (0..MAX_RESULTS + 2)
            .map(|line| {
                let severity = if line % 2 == 0 { Severity::Low } else { Severity::High };
                finding("limits/memory-limit-missing", severity, "a.yaml", Span::new(line * 5, line * 5 + 1), "m")
            })
            .collect();
        let log = sarif(&report);
        let results = log.pointer("/runs/0/results").and_then(Value::as_array).cloned().unwrap_or_default();
        assert_eq!(results.len(), MAX_RESULTS);
        let errors = results.iter().filter(|result| texts(result, "/level") == "error").count();
        assert_eq!(errors, MAX_RESULTS / 2 + 1);
        let first = |index: &str| log.pointer(&format!("/runs/0/results/{index}/locations/0/physicalLocation/region/startLine")).cloned();
        assert_eq!((first("0"), first("1")), (Some(json!(1)), Some(json!(2))));
        assert!(texts(&log, "/runs/0/invocations/0/toolExecutionNotifications/0/message/text").contains("worst 5000 of 5002"));
    }

    #[test]
    fn places_every_result_on_a_real_line() {
        let mut report = report(&[("a.yaml", "a:\nb: é", &[]), ("end.yaml", "a\n\n", &[]), ("empty.yaml", "", &[])]);
        for (path, start, end) in [
            ("a.yaml", 2, 2),
            ("a.yaml", 900, 901),
            ("a.yaml", 3, 3),
            ("end.yaml", 3, 3),
            ("end.yaml", 0, 3),
            ("empty.yaml", 0, 0),
            ("gone.yaml", 7, 9),
        ] {
            report.findings.push(finding("limits/memory-limit-missing", Severity::Low, path, Span::new(start, end), path));
        }
        let log = sarif(&report);
        accepted(&log);
        let results = log.pointer("/runs/0/results").and_then(Value::as_array).cloned().unwrap_or_default();
        let regions: Vec<String> = results
            .iter()
            .map(|result| {
                let number =
                    |key: &str| result.pointer(&format!("/locations/0/physicalLocation/region/{key}")).cloned().unwrap_or_default();
                format!("{}:{}-{}:{}", number("startLine"), number("startColumn"), number("endLine"), number("endColumn"))
            })
            .collect();
        assert_eq!(regions, ["1:2-1:3", "2:4-2:5", "2:1-2:1", "1:1-1:2", "1:1-1:1", "1:1-1:1"]);
    }

    #[test]
    fn limits_texts_at_characters() {
        let long = limited(&"é".repeat(2000));
        assert!(long.chars().count() == 1024 && long.ends_with("é…"));
        assert_eq!(message(&["a\\b [c] d"], &[]), "a\\b [c] d.");
        assert_eq!(pascal("memory-limit-missing"), "MemoryLimitMissing");
        assert_eq!(span(WEB, "kind"), Span::new(20, 24));
    }
}
