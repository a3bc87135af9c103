//! No output shows a secret: one is planted beside an unrelated finding, and every format is searched for it.

use std::error::Error;
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
