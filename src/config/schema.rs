//! The JSON Schema of the configuration, for editors; made from the keys that the reader knows and the rules' parameters.

use serde_json::{Map, Value, json};

use super::{ENVIRONMENT_KEYS, KEYS, Key, MIGRATE_KEYS, OVERRIDE_KEYS, RELEASE_KEYS, SCOPES, SUPPRESSION_KEYS};
use crate::finding::{Confidence, Severity};
use crate::rule::{ParamType, RuleSet};
use crate::suppress::Peer;

/// The JSON Schema of `preflint.toml` for these rules and their parameters, as text.
pub fn config_schema(rules: &RuleSet) -> String {
    format!("{:#}\n", schema(rules))
}

fn schema(rules: &RuleSet) -> Value {
    let mut schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "preflint.toml",
        "description": "Configuration of preflint.",
    });
    if let (Some(schema), Value::Object(object)) = (schema.as_object_mut(), object(KEYS, rules)) {
        schema.extend(object);
    }
    schema
}

/// An object with these keys and no others.
fn object(keys: &[Key], rules: &RuleSet) -> Value {
    let properties: Map<String, Value> = keys
        .iter()
        .map(|key| {
            let mut property = property(key.name, rules);
            if let Some(property) = property.as_object_mut() {
                property.insert("description".to_owned(), json!(key.about));
            }
            (key.name.to_owned(), property)
        })
        .collect();
    json!({"type": "object", "properties": properties, "additionalProperties": false})
}

fn property(key: &str, rules: &RuleSet) -> Value {
    let severity = || json!({"enum": Severity::ALL.map(Severity::word)});
    let texts = || json!({"type": "array", "items": {"type": "string"}});
    match key {
        "preset" => json!({"enum": ["default", "strict", "pedantic"]}),
        "select" | "extend-select" | "ignore" | "rules" => {
            let mut names: Vec<String> = rules.rules().iter().map(|rule| rule.id.to_string()).collect();
            names.extend(rules.rules().iter().map(|rule| format!("{}/*", rule.pack())));
            names.dedup();
            // Tags and packs alone are names, too; the known ones are offered, not demanded.
            json!({"type": "array", "items": {"anyOf": [{"enum": names}, {"type": "string"}]}})
        }
        "severity" => json!({"type": "object", "additionalProperties": severity()}),
        "params" => params(rules),
        "min-severity" | "fail-on" => severity(),
        "min-confidence" => json!({"enum": Confidence::ALL.map(Confidence::word)}),
        "inline-suppressions" | "require-reason" => json!({"type": "boolean"}),
        "environments" => json!({"type": "object", "additionalProperties": required(object(ENVIRONMENT_KEYS, rules), &["paths"])}),
        "releases" => json!({"type": "array", "items": required(object(RELEASE_KEYS, rules), &["name", "chart"])}),
        "overrides" => json!({"type": "array", "items": object(OVERRIDE_KEYS, rules)}),
        "suppressions" => json!({"type": "array", "items": required(object(SUPPRESSION_KEYS, rules), &["rules"])}),
        "migrate" => object(MIGRATE_KEYS, rules),
        "honor" => json!({"type": "array", "items": {"enum": Peer::ALL.iter().map(|peer| peer.word()).collect::<Vec<_>>()}}),
        "scope" => json!({"enum": SCOPES}),
        "until" => json!({"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}),
        "value" => json!({"type": "string", "pattern": "^[0-9a-f]{16}$"}),
        "exclude" | "externals" | "paths" | "env" | "values" => texts(),
        _ => json!({"type": "string"}),
    }
}

fn required(mut object: Value, keys: &[&str]) -> Value {
    if let Some(object) = object.as_object_mut() {
        object.insert("required".to_owned(), json!(keys));
    }
    object
}

fn params(rules: &RuleSet) -> Value {
    let with_params = rules.rules().iter().filter(|rule| !rule.params.is_empty());
    let properties: Map<String, Value> = with_params
        .map(|rule| {
            let params: Map<String, Value> = rule
                .params
                .iter()
                .map(|param| {
                    let kind = match param.kind {
                        ParamType::Integer => json!({"type": "integer"}),
                        ParamType::Number => json!({"type": "number"}),
                        ParamType::String => json!({"type": "string"}),
                        ParamType::Strings => json!({"type": "array", "items": {"type": "string"}}),
                        ParamType::Choice => json!({"enum": param.one_of}),
                    };
                    (param.name.clone(), kind)
                })
                .collect();
            (rule.id.to_string(), json!({"type": "object", "description": rule.name, "properties": params, "additionalProperties": false}))
        })
        .collect();
    // Rules of one's own have parameters, too.
    json!({"type": "object", "properties": properties})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_the_reader_takes() -> Result<(), Box<dyn std::error::Error>> {
        let schema = schema(&RuleSet::load(&[])?);
        assert!(jsonschema::meta::is_valid(&schema));
        let validator = jsonschema::validator_for(&schema)?;
        let good = json!({
            "preset": "strict", "ignore": ["limits/*", "cwe-400"], "fail-on": "medium", "require-reason": false,
            "severity": {"limits/memory-limit-missing": "high"},
            "params": {"limits/memory-limit-missing": {"compose-files": "all"}},
            "environments": {"prod": {"paths": ["live/**"], "scope": "production"}},
            "releases": [{"name": "shop", "namespace": "shop", "chart": "charts/shop", "environment": "prod", "values": ["prod.yaml"]}],
            "overrides": [{"paths": ["test/**"], "ignore": ["secrets/*"]}, {"env": ["prod"], "severity": {"limits": "high"}}],
            "suppressions": [{"rules": ["limits/*"], "kind": "Job", "reason": "short", "until": "2027-01-01", "value": "0123456789abcdef"}],
            "migrate": {"honor": ["kube-linter"]},
        });
        assert_eq!(validator.iter_errors(&good).map(|error| error.to_string()).collect::<Vec<_>>(), Vec::<String>::new());
        for bad in [
            json!({"presets": "strict"}),
            json!({"preset": "opt-in"}),
            json!({"params": {"limits/memory-limit-missing": {"compose-file": "all"}}}),
            json!({"suppressions": [{"kind": "Job"}]}),
            json!({"environments": {"prod": {}}}),
            json!({"releases": [{"name": "shop"}]}),
            json!({"migrate": {"honor": ["kubelinter"]}}),
        ] {
            assert!(!validator.is_valid(&bad), "{bad}");
        }
        Ok(())
    }
}
