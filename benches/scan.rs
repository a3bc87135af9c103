//! Parse, check one file, check a tree: over generated input, so that runs can be compared.
//!
//! `cargo bench` prints times and bytes a second; compare ratios of one run, not figures of two machines.

use std::fmt::Write as _;
use std::sync::Arc;

use divan::Bencher;
use divan::counter::BytesCount;
use preflint::{Config, Progress, Request, RuleSet, Settings, Tree, check, check_source};

fn main() {
    divan::main();
}

/// A manifest of `count` deployments with their services.
fn manifest(count: usize) -> String {
    let mut text = String::new();
    for number in 0..count {
        let _ = write!(
            text,
            "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: app-{number}\n  namespace: shop\nspec:\n  replicas: 3\n  selector:\n    matchLabels:\n      app: app-{number}\n  template:\n    metadata:\n      labels:\n        app: app-{number}\n    spec:\n      containers:\n        # the application itself\n        - name: app\n          image: registry.acme.dev/shop/app:1.{number}.0\n          args: [\"--listen=:8080\", \"--log-level\", \"info\"]\n          env:\n            - name: LOG_LEVEL\n              value: \"info\"\n            - name: DB_PASSWORD\n              valueFrom:\n                secretKeyRef:\n                  name: db\n                  key: password\n          ports:\n            - name: http\n              containerPort: 8080\n          readinessProbe:\n            httpGet:\n              path: /ready\n              port: http\n          resources:\n            requests: {{cpu: 100m, memory: 128Mi}}\n            limits: {{memory: 256Mi}}\n---\napiVersion: v1\nkind: Service\nmetadata:\n  name: app-{number}\n  namespace: shop\nspec:\n  selector:\n    app: app-{number}\n  ports:\n    - port: 80\n      targetPort: http\n---\n"
        );
    }
    text
}

fn settings(select: &str) -> Settings {
    let rules = RuleSet::load(&[]).map(Arc::new);
    let config = Config::parse("preflint.toml", &format!("select = [{select}]\n"));
    match rules.and_then(|rules| config.and_then(|config| Settings::new(rules, &config))) {
        Ok(settings) => settings,
        Err(error) => panic!("{error}"),
    }
}

/// Loading every built-in rule: what each run of the command begins with.
#[divan::bench]
fn load_rules() -> usize {
    RuleSet::load(&[]).map_or(0, |rules| rules.rules().len())
}

/// Parsing and what the scanner itself does, without any rule.
#[divan::bench(args = [1, 100])]
fn parse(bencher: Bencher<'_, '_>, count: usize) {
    let (text, settings) = (manifest(count), settings("\"scan\""));
    bencher.counter(BytesCount::of_str(&text)).bench(|| check_source("app.yaml", &text, &settings).findings.len());
}

/// One file with every rule.
#[divan::bench(args = [1, 100])]
fn check_file(bencher: Bencher<'_, '_>, count: usize) {
    let (text, settings) = (manifest(count), settings("\"all\""));
    bencher.counter(BytesCount::of_str(&text)).bench(|| check_source("app.yaml", &text, &settings).findings.len());
}

/// Many files with every rule.
#[divan::bench(args = [500])]
fn check_tree(bencher: Bencher<'_, '_>, count: usize) {
    let (text, settings) = (manifest(2), settings("\"all\""));
    let tree = (0..count).fold(Tree::default(), |tree, number| tree.with(format!("team{}/app{number}.yaml", number % 20), text.clone()));
    bencher
        .counter(BytesCount::new(text.len() * count))
        .bench(|| check(&tree, &Request::default(), &settings, &Progress::default()).findings.len());
}
