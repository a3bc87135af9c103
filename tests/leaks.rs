//! No output shows a secret: one is planted beside an unrelated finding, and every format is searched for it.

use std::error::Error;
use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use preflint::{Config, Format, Preset, Progress, Request, RuleSet, Settings, Style, Tree, check};

const SECRET: &str = "Zq7Rk2Xv9Lm4Wp81";
/// The same in base64.
const ENCODED: &str = "WnE3UmsyWHY5TG00V3A4MQ==";

/// File name and text; each has findings on the lines around the secret.
fn hosts() -> Vec<(&'static str, String)> {
    let container = |lines: &str| {
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web}}\nspec:\n  replicas: 2\n  selector: {{matchLabels: {{app: web}}}}\n  \
             template:\n    metadata: {{labels: {{app: web}}}}\n    spec:\n      containers:\n        - name: web\n          image: web:1\n{lines}          ports: [{{containerPort: 80}}]\n"
        )
    };
    vec![
        ("env.yaml", container(&format!("          env:\n            - name: DB_PASSWORD\n              value: {SECRET}\n"))),
        ("quoted.yaml", container(&format!("          env: [{{name: API_TOKEN, value: \"{SECRET}\"}}]\n"))),
        (
            "url.yaml",
            container(&format!("          env:\n            - name: DSN\n              value: postgres://app:{SECRET}@db:5432/app\n")),
        ),
        ("args.yaml", container(&format!("          args: [--password, {SECRET}, --token={SECRET}]\n"))),
        ("script.yaml", container(&format!("          command: [sh, -c, \"PGPASSWORD={SECRET} psql -h db\"]\n"))),
        ("header.yaml", container(&format!("          command: [sh, -c, \"curl -H 'Authorization: Bearer {SECRET}' http://api\"]\n"))),
        ("comment.yaml", container(&format!("          # password: {SECRET}\n"))),
        ("trailing.yaml", container(&format!("          imagePullPolicy: Always # token={SECRET}\n"))),
        (
            "anchor.yaml",
            container(&format!(
                "          env:\n            - name: A_SECRET\n              value: &s {SECRET}\n            - name: B_SECRET\n              value: *s\n"
            )),
        ),
        (
            "configmap.yaml",
            format!(
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\nmetadata: {{name: b}}\ndata:\n  app.json: '{{\"password\": \"{SECRET}\"}}'\n  a.ini: |\n    password={SECRET}\n    [x]\n"
            ),
        ),
        (
            "secret.yaml",
            format!(
                "apiVersion: v1\nkind: Secret\nmetadata: {{name: a}}\nmetadata: {{name: b}}\ndata:\n  password: {ENCODED}\nstringData:\n  other: {SECRET}\n"
            ),
        ),
        (
            "secret-in-list.yaml",
            format!(
                "apiVersion: v1\nkind: List\nitems:\n  - apiVersion: v1\n    kind: Secret\n    metadata: {{name: a}}\n    data:\n      key: {ENCODED}\n"
            ),
        ),
        (
            "annotation.yaml",
            format!(
                "apiVersion: extensions/v1beta1\nkind: Ingress\nmetadata:\n  name: a\n  annotations:\n    auth-token: {SECRET}\nspec:\n  rules:\n    - host: a.acme.dev\n"
            ),
        ),
        ("broken.yaml", format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: a\nstringData:\n  password: {SECRET}\n\t- x\n")),
        (
            "duplicate.yaml",
            format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata:\n  db-password: {SECRET}\n  db-password: {SECRET}\n"),
        ),
        (
            "compose.yaml",
            format!(
                "services:\n  db:\n    image: postgres:17\n    environment:\n      - POSTGRES_PASSWORD=${{PASSWORD:-{SECRET}}}\n      - POSTGRES_PASSWORD={SECRET}\n"
            ),
        ),
        (".env", format!("A=1\nA=2\nexport DB_PASSWORD=\"{SECRET}\"\nDB_TOKEN: {SECRET}\nNEXT_SECRET='{SECRET}\n")),
        (
            "values-prod.yaml",
            format!("db:\n  password: {SECRET}\n  auth: {{existingSecret: '', token: '{SECRET}'}}\nresources:\n  requests: {{cpu: 1m}}\n"),
        ),
        (
            "wrangler.toml",
            format!(
                "name = \"a\"\n[vars]\nAPI_SECRET = \"{SECRET}\"\nALLOWED_ORIGINS = \"*\"\n[env.production]\nroute = \"acme.dev/*\"\n[env.production.vars]\nAPI_SECRET = '''{SECRET}'''\n"
            ),
        ),
        (
            "wrangler.jsonc",
            format!("{{\"name\": \"a\", /* token={SECRET} */ \"vars\": {{\"API_SECRET\": \"{SECRET}\", \"API_SECRET\": \"{SECRET}\"}}}}\n"),
        ),
        (
            "kustomization.yaml",
            format!("secretGenerator:\n  - name: a\n    literals:\n      - password={SECRET}\n    literals:\n      - password={SECRET}\n"),
        ),
        (
            "custom.yaml",
            format!(
                "apiVersion: acme.dev/v1\nkind: Database\nmetadata: {{name: a}}\nspec:\n  adminPassword: {SECRET}\n  adminPassword: {SECRET}\n"
            ),
        ),
    ]
}

/// Name of the case, files and configuration.
type Suppressed = (&'static str, Vec<(&'static str, String)>, String);

/// Files and configuration whose suppressions hold the secret, well-formed or not.
fn suppressions() -> Vec<Suppressed> {
    let pod = |annotations: &str, comment: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  annotations: {{{annotations}}}\nspec:\n  containers:\n    {comment}\n    - name: web\n      \
             image: web:1\n      env:\n        - {{name: DB_PASSWORD, value: {SECRET}}}\n"
        )
    };
    let yaml = |annotations: &str, comment: &str| vec![("a.yaml", pod(annotations, comment))];
    let entry = |keys: &str| format!("[[suppressions]]\nrules = [\"limits/*\"]\npaths = [\"a.yaml\"]\n{keys}\n");
    let honor = "[migrate]\nhonor = [\"kube-linter\", \"checkov\"]\n".to_owned();
    let mut cases = Vec::new();
    for (name, comment) in [
        ("reason", format!("# preflint: ignore[limits/*] -- {SECRET} is known")),
        ("reason, nothing to silence", format!("# preflint: ignore[cors/wildcard-origin] -- the password is {SECRET}")),
        ("reason, ended", format!("# preflint: ignore[limits/*] -- it is {SECRET}; until=2026-01-01")),
        ("reason of a secret", format!("# preflint: ignore[secrets/*] -- it is {SECRET}")),
        ("rules", format!("# preflint: ignore[{SECRET}, limits/*] -- x")),
        ("rules alone", format!("# preflint: ignore[{SECRET}]")),
        ("malformed", format!("# preflint: ignore {SECRET}")),
        ("word", format!("# preflint: {SECRET}[limits/*]")),
        ("value", format!("# preflint: ignore[secrets/*] -- x; value={SECRET}")),
        ("until", format!("# preflint: ignore[secrets/*] -- x; until={SECRET}")),
        ("option", format!("# preflint: ignore[limits/*] -- x; password={SECRET}")),
        ("checkov", format!("# checkov:skip=CKV_K8S_13:{SECRET}")),
        ("checkov, nothing to silence", format!("# checkov:skip=CKV_K8S_9:{SECRET}")),
    ] {
        cases.push((name, yaml("", &comment), honor.clone()));
    }
    for (name, annotation) in [
        ("annotation", format!("preflint.dev/ignore: limits/* -- {SECRET}")),
        ("annotation with escapes", format!("preflint.dev/ignore: \"limits/* -- \\u0041 {SECRET}\"")),
        ("annotation, malformed", format!("preflint.dev/ignore: limits/* {SECRET}")),
        ("annotation, rules", format!("preflint.dev/ignore: {SECRET} -- x")),
        ("annotation, container", format!("preflint.dev/ignore.{SECRET}: limits/* -- x")),
        ("annotation, value", format!("preflint.dev/ignore: secrets/* -- x; value={SECRET}")),
        ("kube-linter", format!("ignore-check.kube-linter.io/unset-memory-requirements: {SECRET}")),
        ("kube-linter, nothing to silence", format!("ignore-check.kube-linter.io/duplicate-env-var: the password {SECRET}")),
        ("checkov annotation", format!("checkov.io/skip1: CKV_K8S_13={SECRET}")),
    ] {
        cases.push((name, yaml(&annotation, ""), honor.clone()));
    }
    for (name, keys) in [
        ("configuration", format!("reason = \"{SECRET} is known\"")),
        ("configuration, nothing to silence", format!("name = \"q\"\nreason = \"password: {SECRET}\"")),
        ("configuration, ended", format!("reason = \"it is {SECRET}\"\nuntil = \"2026-01-01\"")),
        ("configuration, selector", format!("reason = \"x\"\nname = \"{SECRET}\"")),
    ] {
        cases.push((name, yaml("", ""), entry(&keys)));
    }
    for (name, path, text) in [
        (
            "TOML",
            "wrangler.toml",
            format!(
                "name = \"a\"\n[vars]\nAPI_SECRET = \"{SECRET}\"\n# preflint: ignore[cors/*] -- {SECRET}\nALLOWED_ORIGINS = \"*\" # preflint: ignore {SECRET}\n"
            ),
        ),
        (
            "JSONC",
            "wrangler.jsonc",
            format!(
                "{{\"name\": \"a\", /* preflint: ignore {SECRET} */\n// preflint: ignore[cors/*] -- {SECRET}\n\"vars\": {{\"API_SECRET\": \"{SECRET}\",\n\"ALLOWED_ORIGINS\": \"*\"}}}}\n"
            ),
        ),
        (
            "dotenv",
            ".env",
            format!("DB_PASSWORD={SECRET}\n# preflint: ignore[cors/*] -- {SECRET}\nALLOWED_ORIGINS=* # preflint: ignore[{SECRET}]\n"),
        ),
        (
            "template",
            "chart/templates/a.yaml",
            format!("{{{{/* preflint: ignore limits/* password={SECRET} */}}}}\npassword: {SECRET}\n# preflint: ignore[{SECRET}] -- x\n"),
        ),
    ] {
        let chart = ("chart/Chart.yaml", "apiVersion: v2\nname: c\nversion: 0.1.0\n".to_owned());
        cases.push((name, vec![(path, text), chart], String::new()));
    }
    cases
}

#[test]
fn no_suppression_shows_a_secret() -> Result<(), Box<dyn Error>> {
    let rules = Arc::new(RuleSet::load(&[])?);
    let mut wrong = Vec::new();
    // With the secret in the file too, and in the suppression alone.
    let alone = |(name, files, text): &Suppressed| {
        let host = format!("DB_PASSWORD, value: {SECRET}");
        let files = files.iter().map(|(path, text)| (*path, text.replace(&host, "GREETING, value: hello"))).collect();
        (*name, files, text.clone())
    };
    let cases = suppressions();
    let alone: Vec<Suppressed> = cases.iter().map(alone).collect();
    for (name, files, text) in cases.into_iter().chain(alone) {
        for ignore in [vec![], vec!["secrets".to_owned()]] {
            let mut config = Config::parse("preflint.toml", &text)?;
            config.ignore.clone_from(&ignore);
            config.today = Some("2026-06-15".parse()?);
            let settings = Settings::new(Arc::clone(&rules), &config)?;
            let tree = files.iter().fold(Tree::default(), |tree, (path, text)| tree.with(*path, text.clone()));
            let report = check(&tree, &Request::default(), &settings, &Progress::default());
            let about =
                report.findings.iter().filter(|finding| finding.rule.starts_with("scan/suppression")).count() + report.silenced.len();
            let of_secrets = ["reason of a secret", "value", "annotation, value"].contains(&name);
            assert!(about > 0 || !ignore.is_empty() || of_secrets, "{name}: no suppression is read");
            for format in Format::ALL {
                let mut out = Vec::new();
                report.write(format, &Style { color: false, width: 200, all: true, elapsed: None }, &mut out)?;
                let out = String::from_utf8(out)?;
                if let Some(line) = out.lines().find(|line| line.contains(SECRET)) {
                    wrong.push(format!(
                        "{name} as {} (ignoring {ignore:?}): {}",
                        format.word(),
                        line.chars().take(300).collect::<String>()
                    ));
                }
            }
            if report.sources.values().any(|source| source.text().contains(SECRET)) {
                wrong.push(format!("{name} (ignoring {ignore:?}): the report's own text shows it"));
            }
            for finding in &report.silenced {
                if format!("{finding:?}").contains(SECRET) {
                    wrong.push(format!("{name} (ignoring {ignore:?}): a silenced finding holds it"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// An error about a digest does not show what stands there instead.
#[test]
fn no_error_shows_a_secret_in_place_of_a_digest() {
    let text = format!("[[suppressions]]\nrules = [\"secrets/*\"]\npaths = [\"a\"]\nvalue = \"{SECRET}\"\nreason = \"x\"\n");
    let error = Config::parse("preflint.toml", &text).map(|_| ()).map_err(|error| format!("{:?}", miette::Report::new(error)));
    assert!(error.as_ref().is_err_and(|error| error.contains("sixteen hex digits") && !error.contains(SECRET)), "{error:?}");
}

/// The lines that `preflint suppress` says it wrote do not show the secret that stands beside the comment.
#[test]
fn written_lines_do_not_show_a_secret() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("preflint.toml"), "ignore = [\"dotenv/env-file-committed\"]\n")?;
    fs::write(folder.path().join(".env"), format!("\u{feff}A_PASSWORD={SECRET} # preflint: ignore[secrets/*] -- known\n"))?;
    let output = Command::new(env!("CARGO_BIN_EXE_preflint")).arg("suppress").arg(folder.path().join(".env")).output()?;
    let out = String::from_utf8(output.stdout)?;
    assert!(out.contains(".env:1: A_PASSWORD=****") && out.contains("value=") && !out.contains(SECRET), "{out}");
    assert!(fs::read_to_string(folder.path().join(".env"))?.starts_with(&format!("\u{feff}A_PASSWORD={SECRET} # preflint:")));
    Ok(())
}

/// What a reader may see of a suppression: its reason, with the secret in it masked.
#[test]
fn justifications_are_shown_without_secrets() -> Result<(), Box<dyn Error>> {
    let text = format!("# preflint: ignore-file[cors/*] -- agreed with ops, see {SECRET}\nDB_PASSWORD={SECRET}\nALLOWED_ORIGINS=*\n");
    let settings = Settings::new(Arc::new(RuleSet::load(&[])?), &Config::default())?;
    let report = check(&Tree::default().with(".env", text), &Request::default(), &settings, &Progress::default());
    let mut out = Vec::new();
    report.write(Format::Sarif, &Style { color: false, width: 200, all: true, elapsed: None }, &mut out)?;
    let sarif: serde_json::Value = serde_json::from_slice(&out)?;
    let results = sarif.pointer("/runs/0/results").and_then(serde_json::Value::as_array).ok_or("no results")?;
    let found: Vec<&str> =
        results.iter().filter_map(|result| result.pointer("/suppressions/0/justification")).filter_map(serde_json::Value::as_str).collect();
    assert_eq!(found, [format!("agreed with ops, see {}", "*".repeat(SECRET.len()))]);
    Ok(())
}

#[test]
fn no_format_shows_a_secret() -> Result<(), Box<dyn Error>> {
    let rules = Arc::new(RuleSet::load(&[])?);
    let mut config = Config::parse("preflint.toml", "")?;
    let mut wrong = Vec::new();
    // With the secrets rules and without them: what is masked does not depend on what is selected.
    for ignore in [vec![], vec!["secrets".to_owned()]] {
        config.preset = Some(Preset::Pedantic);
        config.ignore.clone_from(&ignore);
        let mut settings = Settings::new(Arc::clone(&rules), &config)?;
        settings.line_hashes = true;
        for (path, text) in hosts() {
            let tree = Tree::default().with(path, text.clone());
            let report = check(&tree, &Request::default(), &settings, &Progress::default());
            for format in Format::ALL {
                let mut out = Vec::new();
                let style = Style { color: false, width: 200, all: true, elapsed: Some(Duration::ZERO) };
                report.write(format, &style, &mut out)?;
                let out = String::from_utf8(out)?;
                if out.contains(SECRET) || out.contains(ENCODED) {
                    let line = out.lines().find(|line| line.contains(SECRET) || line.contains(ENCODED)).unwrap_or_default();
                    wrong.push(format!(
                        "{path} as {} (ignoring {ignore:?}): {}",
                        format.word(),
                        line.chars().take(300).collect::<String>()
                    ));
                }
            }
            let masked = report.sources.values().all(|source| !source.text().contains(SECRET));
            if !masked {
                wrong.push(format!("{path}: the report's own text shows it"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
