//! The fixtures are the specification: every marker must fire, and every finding of the pack must be marked.
//!
//! `FIXTURE=pack/rule cargo test --test fixtures` looks at those whose path contains the text.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use preflint::{Baseline, Config, Progress, Request, RuleSet, Settings, Tree};

/// Rules that report nearly every object, or nearly every fixture because it is a part of no whole project: they are
/// checked by themselves, and in no fixture of another rule.
const LOUD: &[&str] = &[
    "availability/node-affinity-missing",
    "availability/pdb-unhealthy-eviction-policy-unset",
    "availability/prestop-missing",
    "availability/priority-class-unset",
    "availability/topology-spread-missing",
    "dotenv/env-file-committed",
    "helm/dependency-missing",
    "datastores/redis-without-auth",
    "datastores/volume-ephemeral",
    "helm/icon-missing",
    "images/build-context-missing",
    "limits/cpu-limit-below-one-core",
    "limits/cpu-request-differs-from-limit",
    "limits/ephemeral-storage-unset",
    "limits/memory-request-differs-from-limit",
    "limits/namespace-without-limit-range",
    "limits/namespace-without-quota",
    "limits/pids-limit-missing",
    "network/default-deny-missing",
    "network/network-policy-missing",
    "network/workload-publicly-exposed",
    "privileges/pod-security-level-unset",
    "schema/keys-unsorted",
    "schema/required-annotation-missing",
    "schema/required-label-missing",
    "wrangler/d1-migrations-missing",
    "wrangler/entry-missing",
    "wrangler/worker-unreachable",
];

/// Path, 1-based line, and rule without its pack.
type Expected = BTreeSet<(String, u32, String)>;

fn children(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The expectations written into a text.
fn markers(path: &str, text: &str, expected: &mut Expected) {
    let mut waiting: Vec<String> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let marker = ["# expect: ", "// expect: "].iter().find_map(|sign| line.split_once(sign));
        let rules = |list: &str| list.split(',').map(|rule| rule.trim().to_owned()).collect::<Vec<_>>();
        let line_number = u32::try_from(index + 1).unwrap_or_default();
        match marker {
            Some((before, list)) if before.trim().is_empty() => {
                waiting.extend(rules(list));
                continue;
            }
            Some((_, list)) => expected.extend(rules(list).into_iter().map(|rule| (path.to_owned(), line_number, rule))),
            None => {}
        }
        expected.extend(waiting.drain(..).map(|rule| (path.to_owned(), line_number, rule)));
    }
}

/// Reads `expect.txt`: `path:line rule` a line.
fn listed(text: &str, expected: &mut Expected) {
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        if let Some((place, rule)) = line.trim().split_once(' ')
            && let Some((path, number)) = place.rsplit_once(':')
        {
            expected.insert((path.to_owned(), number.parse().unwrap_or_default(), rule.trim().to_owned()));
        }
    }
}

fn copy(from: &Path, to: &Path, below: &str, expected: &mut Expected) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(to)?;
    for path in children(from) {
        let shown = format!("{below}{}", name(&path));
        if path.is_dir() {
            copy(&path, &to.join(name(&path)), &format!("{shown}/"), expected)?;
            continue;
        }
        let bytes = fs::read(&path)?;
        if shown == "expect.txt" {
            listed(&String::from_utf8_lossy(&bytes), expected);
            continue;
        }
        markers(&shown, &String::from_utf8_lossy(&bytes), expected);
        fs::write(to.join(name(&path)), bytes)?;
    }
    Ok(())
}

/// Checks one fixture and gives what differs.
fn check(fixture: &Path, pack: &str, rules: &Arc<RuleSet>) -> Result<Vec<String>, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let root = folder.path().join("root");
    let mut expected = Expected::new();
    if fixture.is_dir() {
        copy(fixture, &root, "", &mut expected)?;
    } else {
        fs::create_dir_all(&root)?;
        let bytes = fs::read(fixture)?;
        markers(&name(fixture), &String::from_utf8_lossy(&bytes), &mut expected);
        fs::write(root.join(name(fixture)), bytes)?;
    }
    let mut config = match fs::read_to_string(root.join("preflint.toml")) {
        Ok(text) => Config::parse("preflint.toml", &text)?,
        Err(_) => Config::default(),
    };
    // What the scanner itself reports depends on the other rules; they run as they do unless told otherwise.
    let own = format!("{pack}/{}", fixture.parent().map(name).unwrap_or_default());
    if LOUD.contains(&own.as_str()) {
        config.select = vec![own];
    } else if pack != "scan" {
        config.select = vec![pack.to_owned()];
        config.ignore.extend(LOUD.iter().map(|&rule| rule.to_owned()));
    }
    config.today = Some("2026-06-15".parse()?);
    let mut settings = Settings::new(Arc::clone(rules), &config)?;
    if let Ok(text) = fs::read_to_string(root.join("preflint-baseline.json")) {
        settings = settings.with_baseline(Baseline::parse("preflint-baseline.json", &text)?);
    }
    let report = preflint::check(&Tree::folder(&root), &Request::default(), &settings, &Progress::default());
    let prefix = format!("{pack}/");
    let mut found = Expected::new();
    let mut messages = Vec::new();
    for finding in &report.findings {
        let Some(rule) = finding.rule.strip_prefix(&prefix) else { continue };
        let line = report.sources.get(&finding.location.path).map_or(0, |text| text.position(finding.location.span.start).line);
        found.insert((finding.location.path.to_string(), line, rule.to_owned()));
        messages.push(((finding.location.path.to_string(), line, rule.to_owned()), finding.message.clone()));
    }
    let mut wrong = Vec::new();
    for (path, line, rule) in expected.difference(&found) {
        wrong.push(format!("  missing  {path}:{line} {rule}"));
    }
    for place in found.difference(&expected) {
        let message = messages.iter().find(|(at, _)| at == place).map_or("", |(_, message)| message);
        wrong.push(format!("  unmarked {}:{} {}: {message}", place.0, place.1, place.2));
    }
    let is_bad = name(fixture).starts_with("bad");
    let own = fixture.parent().map(name).unwrap_or_default();
    let fires = expected.iter().any(|(_, _, rule)| *rule == own);
    if is_bad != fires {
        wrong.push(format!(
            "  a {} fixture with{} marker of its own rule",
            if is_bad { "bad" } else { "good" },
            if fires { " a" } else { "out a" }
        ));
    }
    Ok(wrong)
}

#[test]
fn every_marker_fires_and_every_finding_is_marked() -> Result<(), Box<dyn Error>> {
    let rules = Arc::new(RuleSet::load(&[])?);
    let only = std::env::var("FIXTURE").unwrap_or_default();
    let mut failures = Vec::new();
    let mut count = 0;
    for pack in children(Path::new("fixtures")) {
        for rule in children(&pack) {
            let id = format!("{}/{}", name(&pack), name(&rule));
            if rules.get(&id).is_none() {
                failures.push(format!("fixtures/{id}: there is no such rule"));
            }
            for fixture in children(&rule) {
                let shown = format!("{id}/{}", name(&fixture));
                if !shown.contains(&only) {
                    continue;
                }
                count += 1;
                let wrong = check(&fixture, &name(&pack), &rules)?;
                if !wrong.is_empty() {
                    failures.push(format!("fixtures/{shown}\n{}", wrong.join("\n")));
                }
            }
        }
    }
    assert!(count > 0, "no fixture matches `{only}`");
    assert!(failures.is_empty(), "{} of {count} fixtures differ:\n{}", failures.len(), failures.join("\n"));
    Ok(())
}
