//! What several files deploy together: names of environments, secrets, suppressions, and checks of one file of many.

use std::error::Error;
use std::sync::Arc;

use preflint::{Config, Progress, Report, Request, RuleSet, Settings, Tree};

fn check(files: &[(&str, &str)], paths: &[&str], select: &[&str]) -> Result<Report, Box<dyn Error>> {
    let config = files.iter().find(|(path, _)| *path == "preflint.toml").map_or("", |(_, text)| text);
    let mut config = Config::parse("preflint.toml", config)?;
    config.select = select.iter().map(|&rule| rule.to_owned()).collect();
    let settings = Settings::new(Arc::new(RuleSet::load(&[])?), &config)?;
    let tree = files.iter().fold(Tree::default(), |tree, (path, text)| tree.with(*path, *text));
    let request = Request { paths: paths.iter().map(|&path| path.to_owned()).collect(), no_ignore: false };
    Ok(preflint::check(&tree, &request, &settings, &Progress::default()))
}

/// Rule, path, line and environments of each finding.
fn found(report: &Report) -> Vec<(String, String, u32, Vec<String>)> {
    let line = |finding: &preflint::Finding| {
        report.sources.get(&finding.location.path).map_or(0, |text| text.position(finding.location.span.start).line)
    };
    report
        .findings
        .iter()
        .map(|finding| {
            (finding.rule.to_string(), finding.location.path.to_string(), line(finding), finding.environments.iter().cloned().collect())
        })
        .collect()
}

const BASE: &str = "services:\n  web:\n    image: acme/web:1.0.0\n    restart: always\n    privileged: true\n    init: true\n";

#[test]
fn a_finding_names_its_environments_where_a_file_has_several() -> Result<(), Box<dyn Error>> {
    let files = [
        ("app/compose.yaml", BASE),
        ("app/compose.prod.yaml", "services:\n  web:\n    privileged: false\n"),
        ("app/compose.test.yaml", "services:\n  web:\n    pid: host\n"),
    ];
    let report = check(&files, &[], &["privileges/privileged-container", "privileges/host-pid-namespace"])?;
    let rule = |name: &str| format!("privileges/{name}");
    assert_eq!(
        found(&report),
        [
            (rule("host-pid-namespace"), "app/compose.test.yaml".to_owned(), 3, Vec::new()),
            (
                rule("privileged-container"),
                "app/compose.yaml".to_owned(),
                5,
                vec!["compose.yaml".to_owned(), "compose.yaml+compose.test.yaml".to_owned()]
            ),
        ]
    );
    Ok(())
}

#[test]
fn one_file_of_several_is_judged_with_the_others() -> Result<(), Box<dyn Error>> {
    let files = [("compose.yaml", BASE), ("compose.prod.yaml", "services:\n  web:\n    environment: {A: b}\n    pid: host\n")];
    let rules = ["privileges/privileged-container", "privileges/host-pid-namespace", "compose/restart-policy-missing"];
    let report = check(&files, &["compose.prod.yaml"], &rules)?;
    let expected = [("privileges/host-pid-namespace".to_owned(), "compose.prod.yaml".to_owned(), 4, Vec::new())];
    assert_eq!(found(&report), expected);
    Ok(())
}

#[test]
fn comments_silence_findings_of_an_included_file() -> Result<(), Box<dyn Error>> {
    let part = "services:\n  db:\n    image: acme/db:1.0.0\n    # preflint: ignore[privileges/privileged-container] -- It mounts disks.\n    privileged: true\n";
    let files = [("compose.yaml", "include: [part.yaml]\n"), ("part.yaml", part)];
    let report = check(&files, &[], &["privileges/privileged-container", "scan"])?;
    assert_eq!(found(&report), []);
    assert_eq!(report.silenced.len(), 1);
    Ok(())
}

#[test]
fn secrets_of_fragments_are_found_and_never_shown() -> Result<(), Box<dyn Error>> {
    // Nothing but the file that extends it says that this is a Compose file.
    let part = "services:\n  base:\n    privileged: true\n    environment:\n      DB_PASSWORD: kX9-vault-2Lm8qTz4\n";
    let files = [
        ("compose.yaml", "services:\n  web:\n    image: acme/web:1.0.0\n    extends: {file: part.yaml, service: base}\n"),
        ("part.yaml", part),
    ];
    let report = check(&files, &[], &["privileges/privileged-container", "secrets"])?;
    let rules: Vec<&str> = report.findings.iter().map(|finding| &*finding.rule).collect();
    assert_eq!(rules, ["privileges/privileged-container", "secrets/literal-in-compose-environment"]);
    assert!(report.sources.values().all(|text| !text.text().contains("vault")));
    Ok(())
}

#[test]
fn settings_for_an_environment_count_by_its_files() -> Result<(), Box<dyn Error>> {
    let config = "[environments.live]\npaths = [\"**/compose.live.yaml\"]\n[[overrides]]\nenv = [\"live\"]\nignore = [\"privileges/privileged-container\"]\n";
    let change = "services:\n  web:\n    environment: {A: b}\n";
    let files = [("preflint.toml", config), ("compose.yaml", BASE), ("compose.live.yaml", change), ("compose.next.yaml", change)];
    let report = check(&files, &[], &["privileges/privileged-container"])?;
    let environments: Vec<Vec<String>> = found(&report).into_iter().map(|(.., environments)| environments).collect();
    assert_eq!(environments, [["compose.yaml", "compose.yaml+compose.next.yaml"]]);
    Ok(())
}

const DEPLOYMENT: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  template:\n    spec:\n      containers:\n        - name: web\n          image: ghcr.io/acme/web:1.0.0\n          securityContext: {privileged: true}\n";

#[test]
fn overlays_are_judged_as_they_are_built() -> Result<(), Box<dyn Error>> {
    let overlay = "resources: [../base]\n";
    let patch = "resources: [../base]\npatches:\n  - target: {kind: Deployment}\n    patch: |-\n      - op: remove\n        path: /spec/template/spec/containers/0/securityContext\n";
    let config = "[environments.try]\npaths = [\"shop/dev/**\"]\n[[overrides]]\nenv = [\"try\"]\nseverity = {\"privileges/privileged-container\" = \"info\"}\n";
    let mut files = vec![
        ("preflint.toml", config),
        ("shop/base/kustomization.yaml", "resources: [web.yaml]\n"),
        ("shop/base/web.yaml", DEPLOYMENT),
        ("shop/dev/kustomization.yaml", overlay),
        ("shop/live/kustomization.yaml", patch),
        ("shop/stage/kustomization.yaml", overlay),
    ];
    let judged = |files: &[(&str, &str)]| -> Result<_, Box<dyn Error>> {
        let report = check(files, &[], &["privileges/privileged-container"])?;
        let severities: Vec<&str> = report.findings.iter().map(|finding| finding.severity.word()).collect();
        Ok((
            found(&report).into_iter().map(|(_, path, line, environments)| (path, line, environments.join(" "))).collect::<Vec<_>>(),
            severities.concat(),
        ))
    };
    // One statement, as bad as in the worst of its environments; the patched one has none.
    let (places, severity) = judged(&files)?;
    assert_eq!(places, [("shop/base/web.yaml".to_owned(), 10, "dev stage".to_owned())]);
    assert_eq!(severity, "critical");
    files.pop();
    let (places, severity) = judged(&files)?;
    assert_eq!(places, [("shop/base/web.yaml".to_owned(), 10, "dev".to_owned())]);
    assert_eq!(severity, "info");
    Ok(())
}

#[test]
fn a_kustomization_at_the_root_has_a_name() -> Result<(), Box<dyn Error>> {
    let files = [
        ("kustomization.yaml", "resources: [web.yaml]\n"),
        ("web.yaml", DEPLOYMENT),
        ("other/kustomization.yaml", "resources: [../web.yaml]\n"),
    ];
    let report = check(&files, &[], &["privileges/privileged-container"])?;
    assert_eq!(found(&report).into_iter().map(|(.., environments)| environments.join(" ")).collect::<Vec<_>>(), [". other"]);
    Ok(())
}
