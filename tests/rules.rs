//! The contract of every rule.

use std::collections::BTreeSet;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use preflint::{Config, Preset, Progress, Request, Rule, RuleSet, Settings, Tree, check, check_source};

fn settings(rules: &Arc<RuleSet>, rule: &Rule) -> Result<Settings, Box<dyn Error>> {
    let mut config = Config::parse("preflint.toml", "")?;
    config.select = vec![rule.id.to_string()];
    Ok(Settings::new(Arc::clone(rules), &config)?)
}

#[test]
fn texts_are_complete() -> Result<(), Box<dyn Error>> {
    let rules = RuleSet::load(&[])?;
    let mut names = BTreeSet::new();
    for rule in rules.rules() {
        let id = &rule.id;
        assert!(names.insert(rule.name.clone()), "{id}: another rule has the same name");
        assert!(!rule.name.ends_with('.') && rule.name.len() <= 90, "{id}: a name is a short statement without a period");
        for text in [&rule.rationale, &rule.remediation] {
            assert!(text.ends_with(['.', ')', '`']) || text.ends_with("\"."), "{id}: `{text}` does not end as a sentence");
            assert!(text.len() >= 60, "{id}: `{text}` is too short to help");
        }
        assert!(rule.tags.len() <= 7, "{id}: GitHub keeps few tags");
        assert!(rule.references.iter().all(|url| url.starts_with("https://")), "{id}: references are https URLs");
        assert!(rule.security || !rule.tags.iter().any(|tag| tag == "security"), "{id}: `security` is a field, not a tag");
        for peer in &rule.equivalents {
            let provenance = peer.starts_with("semgrep:") || (peer.starts_with("wrangler:") && peer.contains("#L"));
            assert!(peer.contains(':') && !provenance, "{id}: `{peer}`");
        }
        if !rule.is_scan() {
            let example = rule.example.as_ref();
            assert!(example.is_some_and(|example| !example.bad.is_empty() && !example.good.is_empty()), "{id}: no example");
        }
        // No known file makes the scanner fail; what it then says is tested in src/scan.rs.
        let fixtures = Path::new("fixtures").join(&**id);
        for kind in ["bad", "good"].into_iter().filter(|_| &**id != "scan/internal-error") {
            let found = std::fs::read_dir(&fixtures)?.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with(kind));
            assert!(found, "{id}: no {kind} fixture");
        }
    }
    Ok(())
}

#[test]
fn examples_are_reported_and_their_mends_are_not() -> Result<(), Box<dyn Error>> {
    let rules = Arc::new(RuleSet::load(&[])?);
    let mut wrong = Vec::new();
    for rule in rules.rules() {
        // A rule whose parameters only the user can know has fixtures that set them.
        let Some(example) = rule.example.as_ref().filter(|_| rule.params.iter().all(|param| param.default.is_some())) else { continue };
        let settings = settings(&rules, rule)?;
        for (text, expected) in [(&example.bad, true), (&example.good, false)] {
            let beside = example.beside.iter().fold(Tree::default(), |tree, (path, text)| tree.with(path.as_str(), text.as_str()));
            let tree = beside.with(example.file.as_str(), text.as_str());
            let report = check(&tree, &Request::default(), &settings, &Progress::default());
            let found = report.findings.iter().any(|finding| finding.rule == rule.id);
            if found != expected {
                let word = if expected { "bad example is not" } else { "good example is" };
                wrong.push(format!("{}: its {word} reported ({})", rule.id, example.file));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[test]
fn a_line_of_a_dotenv_file_has_one_finding_from_its_syntax() -> Result<(), Box<dyn Error>> {
    let rules = Arc::new(RuleSet::load(&[])?);
    let text = "1A=b\nC D=e\nF=\"g\nH=1\nH=2\nno name here\n";
    let ids = |select: &[&str]| -> Result<Vec<String>, Box<dyn Error>> {
        let mut config = Config::parse("preflint.toml", "")?;
        config.select = select.iter().map(|&word| word.to_owned()).collect();
        let report = check_source(".env", text, &Settings::new(Arc::clone(&rules), &config)?);
        Ok(report.findings.iter().map(|finding| finding.rule.to_string()).collect())
    };
    let dotenv = ["key-starts-with-invalid-character", "key-delimiter-invalid", "unclosed-quote", "duplicate-key"];
    let names: Vec<String> = dotenv.iter().map(|name| format!("dotenv/{name}")).collect();
    let mut select: Vec<&str> = names.iter().map(String::as_str).collect();
    select.push("schema");
    let expected: Vec<String> = names.iter().cloned().chain(["schema/syntax-error".to_owned()]).collect();
    assert_eq!(ids(&select)?, expected);
    assert_eq!(ids(&["schema"])?, ["schema/syntax-error"; 4]);
    Ok(())
}

#[test]
fn most_of_the_rules_that_can_be_are_declarative() -> Result<(), Box<dyn Error>> {
    let rules = RuleSet::load(&[])?;
    let all: Vec<&Rule> = rules.rules().iter().filter(|rule| !rule.is_scan()).collect();
    let native = all.iter().filter(|rule| !rule.is_declarative()).count();
    assert!(native * 3 <= all.len() * 2, "{native} of {} rules are native code", all.len());
    Ok(())
}

#[test]
fn presets_grow_and_default_is_small() -> Result<(), Box<dyn Error>> {
    let rules = RuleSet::load(&[])?;
    let count = |preset: Preset| rules.rules().iter().filter(|rule| rule.preset <= preset).count();
    assert!(count(Preset::Default) < count(Preset::Strict) && count(Preset::Strict) < count(Preset::Pedantic));
    Ok(())
}

#[test]
fn rules_are_found_by_the_names_of_peers() -> Result<(), Box<dyn Error>> {
    let rules = RuleSet::load(&[])?;
    for word in ["CKV_K8S_13", "ckv_k8s_13", "kube-linter:unset-memory-requirements", "memory-limit-missing", "limits/memory-limit-missing"]
    {
        assert!(rules.find(word).iter().any(|rule| &*rule.id == "limits/memory-limit-missing"), "{word}");
    }
    assert!(rules.find("nothing-of-this-name").is_empty());
    Ok(())
}
