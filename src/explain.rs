//! Rules as people read them: the list, one rule explained, and the pages of `docs/rules/`.

use std::fmt::Write as _;
use std::io::{self, Write};

use serde_json::{Value, json};

use crate::rule::{ArtifactKind, Param, Rule, RuleSet};

/// One line a rule: id, preset, severity, name.
pub(crate) fn write_table(rules: &[&Rule], out: &mut dyn Write) -> io::Result<()> {
    let width = rules.iter().map(|rule| rule.id.len()).max().unwrap_or_default();
    for rule in rules {
        writeln!(out, "{:width$}  {:8}  {:8}  {}", rule.id, rule.preset.word(), rule.severity, rule.name)?;
    }
    Ok(())
}

/// Everything of the rules as one JSON document.
pub(crate) fn write_json(rules: &[&Rule], out: &mut dyn Write) -> io::Result<()> {
    let rules: Vec<Value> = rules.iter().map(|rule| rule_json(rule)).collect();
    serde_json::to_writer_pretty(&mut *out, &json!({"schema_version": 1, "rules": rules}))?;
    writeln!(out)
}

fn rule_json(rule: &Rule) -> Value {
    let params: Vec<Value> = rule
        .params
        .iter()
        .map(|param| json!({"name": param.name, "type": param.kind.word(), "default": param.default.as_ref().map(ToString::to_string), "one_of": param.one_of}))
        .collect();
    json!({
        "id": *rule.id,
        "name": rule.name,
        "formerly": rule.formerly,
        "artifacts": kinds(rule),
        "scope": rule.scope.word(),
        "preset": rule.preset.word(),
        "severity": rule.severity.word(),
        "confidence": rule.confidence.word(),
        "security": rule.security,
        "rationale": rule.rationale,
        "remediation": rule.remediation,
        "references": rule.references,
        "tags": rule.tags,
        "equivalents": rule.equivalents,
        "params": params,
        "fix": rule.fix.word(),
        "declarative": rule.is_declarative(),
    })
}

fn kinds(rule: &Rule) -> Vec<&'static str> {
    rule.artifacts.iter().map(|kind| ArtifactKind::word(*kind)).collect()
}

fn default_of(param: &Param) -> String {
    let mut text = match &param.default {
        Some(value) => format!("`{}`", value.to_string().replace('`', "")),
        None => "none: the rule runs only when it is set".to_owned(),
    };
    for (preset, value) in &param.presets {
        let _ = write!(text, ", `{value}` in preset {}", preset.word());
    }
    text
}

/// One rule for the terminal.
pub(crate) fn write_explanation(rule: &Rule, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}: {}", rule.id, rule.name)?;
    writeln!(
        out,
        "  {} severity, {} confidence, preset {}, looks at {}",
        rule.severity,
        rule.confidence,
        rule.preset.word(),
        kinds(rule).join(", ")
    )?;
    writeln!(out)?;
    writeln!(out, "{}", wrapped(&rule.rationale))?;
    writeln!(out, "\nWhat to do\n{}", wrapped(&rule.remediation))?;
    if let Some(example) = &rule.example {
        for (title, text) in [("Reported", &example.bad), ("Mended", &example.good)] {
            writeln!(out, "\n{title} ({})", example.file)?;
            for line in text.trim_end().lines() {
                writeln!(out, "    {line}")?;
            }
        }
        for (path, text) in &example.beside {
            writeln!(out, "\nBeside it ({path})")?;
            for line in text.trim_end().lines() {
                writeln!(out, "    {line}")?;
            }
        }
    }
    if !rule.params.is_empty() {
        writeln!(out, "\nParameters (in preflint.toml below [params.\"{}\"])", rule.id)?;
        for param in &rule.params {
            let choices = if param.one_of.is_empty() { String::new() } else { format!(" ({})", param.one_of.join(", ")) };
            writeln!(out, "  {}: {}{choices}, default {}", param.name, param.kind.word(), default_of(param))?;
        }
    }
    for (title, list) in [("Same check elsewhere", &rule.equivalents), ("Tags", &rule.tags), ("Read more", &rule.references)] {
        if !list.is_empty() {
            writeln!(out, "\n{title}")?;
            for item in list {
                writeln!(out, "  {item}")?;
            }
        }
    }
    Ok(())
}

/// A paragraph broken at 96 columns.
fn wrapped(text: &str) -> String {
    let mut out = String::new();
    let mut column = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > 96 {
            out.push('\n');
            column = 0;
        } else if column > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out
}

impl RuleSet {
    /// The pages of `docs/rules/`: file name and Markdown text, an index and one page a pack.
    pub fn pages(&self) -> Vec<(String, String)> {
        let mut packs: Vec<&str> = self.rules().iter().map(Rule::pack).collect();
        packs.dedup();
        let mut index = String::from(
            "# Rules\n\nGenerated from `rules/`; `preflint explain ID` shows the same in the terminal.\n\n| rule | preset | severity | what it reports |\n|---|---|---|---|\n",
        );
        let mut pages = Vec::new();
        for pack in packs {
            let mut page = format!("# Pack `{pack}`\n\nGenerated from `rules/{pack}/`.\n");
            for rule in self.rules().iter().filter(|rule| rule.pack() == pack) {
                let anchor = rule.id.split_once('/').map_or("", |(_, name)| name);
                let _ =
                    writeln!(index, "| [`{}`]({pack}.md#{anchor}) | {} | {} | {} |", rule.id, rule.preset.word(), rule.severity, rule.name);
                page.push_str(&rule_page(rule, anchor));
            }
            pages.push((format!("{pack}.md"), page));
        }
        pages.push(("README.md".to_owned(), index));
        pages
    }
}

fn rule_page(rule: &Rule, anchor: &str) -> String {
    let mut page = format!(
        "\n## {anchor}\n\n**{}** · {} severity · {} confidence · preset {} · {}\n\n{}\n\n{}\n",
        rule.name,
        rule.severity,
        rule.confidence,
        rule.preset.word(),
        kinds(rule).join(", "),
        rule.rationale.split_whitespace().collect::<Vec<_>>().join(" "),
        rule.remediation.split_whitespace().collect::<Vec<_>>().join(" "),
    );
    if let Some(example) = &rule.example {
        for (title, text) in [("Reported", &example.bad), ("Mended", &example.good)] {
            let _ = write!(page, "\n{title} in `{}`:\n\n```\n{}\n```\n", example.file, text.trim_end());
        }
        for (path, text) in &example.beside {
            let _ = write!(page, "\nBeside it, `{path}`:\n\n```\n{}\n```\n", text.trim_end());
        }
    }
    if !rule.params.is_empty() {
        page.push_str("\n| parameter | type | default |\n|---|---|---|\n");
        for param in &rule.params {
            let _ = writeln!(page, "| `{}` | {} | {} |", param.name, param.kind.word(), default_of(param));
        }
    }
    let list =
        |title: &str, items: Vec<String>| if items.is_empty() { String::new() } else { format!("\n{title}: {}\n", items.join(", ")) };
    page.push_str(&list("Same check elsewhere", rule.equivalents.iter().map(|peer| format!("`{peer}`")).collect()));
    page.push_str(&list("Read more", rule.references.iter().map(|url| format!("<{url}>")).collect()));
    page
}
