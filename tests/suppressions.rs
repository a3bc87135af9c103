//! What silences what: small texts in, and every finding out, with what silences it.

use std::error::Error;
use std::fs;
use std::process::Command;
use std::sync::Arc;

use preflint::{Config, Date, Finding, Progress, Report, Request, RuleSet, Settings, Status, Tree, check};

/// Files, configuration, and every finding that is expected.
///
/// A finding is `path:line rule`; behind `<-` stands what silences it: kind, line and reason.
type Case = (&'static str, &'static [(&'static str, &'static str)], &'static str, &'static [&'static str]);

/// The day on which all of it happens.
const TODAY: &str = "2026-06-15";
/// Leaves one finding for a container without resources, and none for an environment file as a whole.
const QUIET: &str = "ignore = [\"limits/cpu-request-missing\", \"probes\", \"dotenv/env-file-committed\"]\n";

fn settings(config: &str) -> Result<Settings, Box<dyn Error>> {
    let mut config = Config::parse("preflint.toml", &format!("{QUIET}{config}"))?;
    config.today = Some(TODAY.parse::<Date>()?);
    Ok(Settings::new(Arc::new(RuleSet::load(&[])?), &config)?)
}

fn tree(files: &[(&str, &str)]) -> Tree {
    files.iter().fold(Tree::default(), |tree, (path, text)| tree.with(*path, text.trim_start_matches('\n')))
}

fn report(files: &[(&str, &str)], config: &str) -> Result<Report, Box<dyn Error>> {
    Ok(check(&tree(files), &Request::default(), &settings(config)?, &Progress::default()))
}

fn shown(report: &Report, finding: &Finding) -> String {
    let line = report.sources.get(&finding.location.path).map_or(0, |text| text.position(finding.location.span.start).line);
    let place = format!("{}:{line} {}", finding.location.path, finding.rule);
    match &finding.status {
        Status::Active => place,
        Status::Baseline => format!("{place} <- baseline"),
        Status::Suppressed(by) => format!("{place} <- {} {}: {}", by.kind.word(), by.line, by.reason).trim_end().to_owned(),
    }
}

/// Every finding of a report, those that count and those that do not.
fn all(report: &Report) -> Vec<String> {
    report.findings.iter().chain(&report.silenced).map(|finding| shown(report, finding)).collect()
}

/// Checks all cases and tells of all that differ.
fn check_cases(cases: &[Case]) -> Result<(), Box<dyn Error>> {
    let mut wrong = Vec::new();
    for (name, files, config, expected) in cases {
        let mut found = all(&report(files, config).map_err(|error| format!("{name}: {error}"))?);
        found.sort();
        let mut expected: Vec<String> = expected.iter().map(|line| (*line).to_owned()).collect();
        expected.sort();
        if found != expected {
            wrong.push(format!("{name}\n  expected {expected:#?}\n  found {found:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[test]
fn comments_cover_a_line_a_node_or_the_file() -> Result<(), Box<dyn Error>> {
    check_cases(&[
        (
            "at the end of the line that is reported",
            &[(
                "a.yaml",
                "
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  containers:
    - name: api # preflint: ignore[limits/memory-limit-missing] -- bounded by the node
      image: api:1
    - name: log
      image: log:1
",
            )],
            "",
            &["a.yaml:6 limits/memory-limit-missing <- comment 6: bounded by the node", "a.yaml:8 limits/memory-limit-missing"],
        ),
        (
            "above a list item: all of the item, not the next one",
            &[(
                "a.yaml",
                "
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  containers:
    # preflint: ignore[limits/*, schema/duplicate-env-var] -- goes away with v2
    - image: api:1
      name: api
      env:
        - name: A
          value: x
        - name: A
          value: y
    - name: log
      image: log:1
",
            )],
            "",
            &[
                "a.yaml:8 limits/memory-limit-missing <- comment 6: goes away with v2",
                "a.yaml:12 schema/duplicate-env-var <- comment 6: goes away with v2",
                "a.yaml:14 limits/memory-limit-missing",
            ],
        ),
        (
            "above a key: all below the key",
            &[(
                "a.yaml",
                "
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  # preflint: ignore[limits/memory-limit-missing] -- both are bounded
  containers:
    - name: api
      image: api:1
    - name: log
      image: log:1
  initContainers:
    - name: init
      image: init:1
",
            )],
            "",
            &[
                "a.yaml:7 limits/memory-limit-missing <- comment 5: both are bounded",
                "a.yaml:9 limits/memory-limit-missing <- comment 5: both are bounded",
                "a.yaml:12 limits/memory-limit-missing",
            ],
        ),
        (
            "above the first key of an object: the object, not the next document",
            &[(
                "a.yaml",
                "
# preflint: ignore[limits/memory-limit-missing] -- one
apiVersion: v1
kind: Pod
metadata: {name: p}
spec: {containers: [{name: api, image: 'api:1'}]}
---
# preflint: ignore[limits/memory-limit-missing] -- two
# of them

apiVersion: v1
kind: Pod
metadata: {name: q}
spec: {containers: [{name: api, image: 'api:1'}]}
# preflint: ignore[limits/memory-limit-missing] -- three
---
apiVersion: v1
kind: Pod
metadata: {name: r}
spec: {containers: [{name: api, image: 'api:1'}]}
---
apiVersion: v1
kind: Pod
metadata: {name: s}
spec: {containers: [{name: api, image: 'api:1'}]}
",
            )],
            "",
            &[
                "a.yaml:5 limits/memory-limit-missing <- comment 1: one",
                "a.yaml:13 limits/memory-limit-missing <- comment 7: two",
                "a.yaml:19 limits/memory-limit-missing <- comment 14: three",
                "a.yaml:24 limits/memory-limit-missing",
            ],
        ),
        (
            "several above one node",
            &[(
                "a.yaml",
                "
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  containers:
    # preflint: ignore[limits/memory-limit-missing] -- first
    # about the image
    # preflint: ignore[schema/duplicate-env-var] -- second

    - name: api
      image: api:1
      env: [{name: A, value: x}, {name: A, value: y}]
",
            )],
            "",
            &["a.yaml:10 limits/memory-limit-missing <- comment 6: first", "a.yaml:12 schema/duplicate-env-var <- comment 8: second"],
        ),
        (
            "in flow collections, and with tabs",
            &[(
                "a.yaml",
                "
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  containers: [
    {name: api, image: 'api:1'}, #\tpreflint:\tignore[limits/memory-limit-missing]\t--\tflow\t
    # preflint: ignore[limits/memory-limit-missing] -- item
    {name: log, image: 'log:1'},
    {name: web, image: 'web:1'}
  ]
",
            )],
            "",
            &[
                "a.yaml:6 limits/memory-limit-missing <- comment 6: flow",
                "a.yaml:8 limits/memory-limit-missing <- comment 7: item",
                "a.yaml:9 limits/memory-limit-missing",
            ],
        ),
        (
            "with an anchor, the finding stands where the text does",
            &[(
                "compose.yaml",
                "
x-web: &web
  image: web:1
  # preflint: ignore[limits/quantity-suspect] -- a joke
  mem_limit: 4k
services:
  a: *web
  b:
    <<: *web
",
            )],
            "",
            &["compose.yaml:4 limits/quantity-suspect <- comment 3: a joke"],
        ),
        (
            "with CRLF line ends",
            &[(
                "a.yaml",
                "apiVersion: v1\r\nkind: Pod\r\nmetadata: {name: p}\r\nspec:\r\n  containers:\r\n    # preflint: ignore[limits/*] -- dos\r\n    - name: api\r\n      image: api:1\r\n    - name: log # preflint: ignore[limits/*] -- dos too; until=2026-06-15\r\n      image: log:1\r\n",
            )],
            "",
            &["a.yaml:7 limits/memory-limit-missing <- comment 6: dos", "a.yaml:9 limits/memory-limit-missing <- comment 9: dos too"],
        ),
        (
            "for the whole file, behind a licence",
            &[(
                "a.yaml",
                "
# Copyright
---
# preflint: ignore-file[limits/*] -- a sample
apiVersion: v1
kind: Pod
metadata: {name: p}
spec: {containers: [{name: api, image: 'api:1'}]}
---
apiVersion: v1
kind: Pod
metadata: {name: q}
spec: {containers: [{name: api, image: 'api:1'}]}
",
            )],
            "",
            &[
                "a.yaml:7 limits/memory-limit-missing <- comment 3: a sample",
                "a.yaml:12 limits/memory-limit-missing <- comment 3: a sample",
            ],
        ),
        (
            "for the whole file, too late",
            &[(
                "a.yaml",
                "
apiVersion: v1
# preflint: ignore-file[limits/*] -- a sample
kind: Pod
metadata: {name: p}
spec: {containers: [{name: api, image: 'api:1'}]}
",
            )],
            "",
            &["a.yaml:2 scan/suppression-malformed", "a.yaml:5 limits/memory-limit-missing"],
        ),
        (
            "not at all, by the configuration",
            &[(
                "a.yaml",
                "
# preflint: ignore-file[limits/*, nope] because
# preflint: ignore-file[limits/*] -- a sample
apiVersion: v1
kind: Pod
metadata:
  name: p
  annotations: {preflint.dev/ignore: limits/* -- x, kube-linter.io/ignore-all: x}
spec: {containers: [{name: api, image: 'api:1'}]}
",
            )],
            "inline-suppressions = false\nmigrate = {honor = [\"kube-linter\"]}",
            &["a.yaml:8 limits/memory-limit-missing"],
        ),
        (
            "without a reason, where that is allowed",
            &[(
                "a.yaml",
                "
# preflint: ignore-file[limits/*]
apiVersion: v1
kind: Pod
metadata: {name: p}
spec: {containers: [{name: api, image: 'api:1'}]}
",
            )],
            "require-reason = false",
            &["a.yaml:5 limits/memory-limit-missing <- comment 1:"],
        ),
        (
            "of a rule that does not exist beside one that does",
            &[(
                "a.yaml",
                "
# preflint: ignore-file[limits/memory-limit, limits/memory-limit-missing] -- x
apiVersion: v1
kind: Pod
metadata: {name: p}
spec: {containers: [{name: api, image: 'api:1'}]}
",
            )],
            "",
            &["a.yaml:1 scan/suppression-unknown-rule", "a.yaml:5 limits/memory-limit-missing <- comment 1: x"],
        ),
    ])
}

#[test]
fn comments_work_in_every_syntax() -> Result<(), Box<dyn Error>> {
    check_cases(&[
        (
            "TOML: a line, a key, a table, a dotted key, an inline table, an item of an array of tables",
            &[(
                "wrangler.toml",
                "
name = \"a\"
# preflint: ignore[cors/*] -- inline
vars = { ALLOWED_ORIGINS = \"*\" }
env.dotted.vars.ALLOWED_ORIGINS = \"*\" # preflint: ignore[cors/*] -- dotted
# preflint: ignore[cors/*] -- key
env.other.vars.ALLOWED_ORIGINS = \"*\"
# preflint: ignore[cors/*] -- table
[env.prod.vars]
ALLOWED_ORIGINS = \"*\"
CORS_ALLOWED_ORIGINS = \"*\"
[env.last.vars]
ALLOWED_ORIGINS = \"*\"
",
            )],
            "",
            &[
                "wrangler.toml:3 cors/wildcard-origin <- comment 2: inline",
                "wrangler.toml:4 cors/wildcard-origin <- comment 4: dotted",
                "wrangler.toml:6 cors/wildcard-origin <- comment 5: key",
                "wrangler.toml:9 cors/wildcard-origin <- comment 7: table",
                "wrangler.toml:10 cors/wildcard-origin <- comment 7: table",
                "wrangler.toml:12 cors/wildcard-origin",
            ],
        ),
        (
            "TOML: a table covers the tables below it",
            &[(
                "wrangler.toml",
                "
# preflint: ignore-file[limits/*] -- whole
name = \"a\"
# preflint: ignore[cors/*] -- below
[env.prod]
route = \"acme.dev/*\"
[env.prod.vars]
ALLOWED_ORIGINS = \"*\"
[env.last.vars]
ALLOWED_ORIGINS = \"*\"
",
            )],
            "preset = \"default\"",
            &[
                "wrangler.toml:1 scan/suppression-unused",
                "wrangler.toml:7 cors/wildcard-origin <- comment 3: below",
                "wrangler.toml:9 cors/wildcard-origin",
            ],
        ),
        (
            "TOML: for the file, behind another comment; a string is no comment",
            &[(
                "wrangler.toml",
                "
# ours

# preflint: ignore-file[cors/*] -- whole
tsconfig = \"a # preflint: ignore[x] -- y\"
[vars]
ALLOWED_ORIGINS = \"*\"
",
            )],
            "",
            &["wrangler.toml:6 cors/wildcard-origin <- comment 3: whole"],
        ),
        (
            "JSONC: line and block comments",
            &[(
                "wrangler.jsonc",
                "
/* ours */
{
  \"tsconfig\": \"a // preflint: ignore[x] -- y\",
  // preflint: ignore[cors/*] -- above
  \"vars\": {
    \"ALLOWED_ORIGINS\": \"*\"
  },
  \"env\": {
    \"a\": {\"vars\": {\"ALLOWED_ORIGINS\": \"*\"}}, // preflint: ignore[cors/*] -- behind
    \"b\": {\"vars\": {\"ALLOWED_ORIGINS\": \"*\"}}, /* preflint: ignore[cors/*] -- block */
    /*
     * preflint: ignore[cors/*] -- lines
     */
    \"c\": {\"vars\": {\"ALLOWED_ORIGINS\": \"*\"}},
    /* preflint: ignore[cors/*] -- before */ \"d\": {\"vars\": {\"ALLOWED_ORIGINS\": \"*\"}},
    \"e\": {\"vars\": {\"ALLOWED_ORIGINS\": \"*\"}}
  }
}
",
            )],
            "",
            &[
                "wrangler.jsonc:6 cors/wildcard-origin <- comment 4: above",
                "wrangler.jsonc:9 cors/wildcard-origin <- comment 9: behind",
                "wrangler.jsonc:10 cors/wildcard-origin <- comment 10: block",
                "wrangler.jsonc:14 cors/wildcard-origin <- comment 12: lines",
                "wrangler.jsonc:15 cors/wildcard-origin <- comment 15: before",
                "wrangler.jsonc:16 cors/wildcard-origin",
            ],
        ),
        (
            "JSONC: for the file",
            &[("wrangler.jsonc", "// preflint: ignore-file[cors/*] -- whole\n{\"name\": \"a\", \"vars\": {\"ALLOWED_ORIGINS\": \"*\"}}\n")],
            "",
            &["wrangler.jsonc:2 cors/wildcard-origin <- comment 1: whole"],
        ),
        (
            "dotenv: a line of its own, the end of a line, a quoted value",
            &[(
                ".env",
                "
A=1
# preflint: ignore[cors/wildcard-origin] -- above
ALLOWED_ORIGINS=*
CORS_ALLOWED_ORIGINS=* # preflint: ignore[cors/wildcard-origin] -- behind
CORS_ORIGINS=\"*\"
B=\"x # preflint: ignore[y] -- z\"
",
            )],
            "",
            &[
                ".env:3 cors/wildcard-origin <- comment 2: above",
                ".env:4 cors/wildcard-origin <- comment 4: behind",
                ".env:5 cors/wildcard-origin",
            ],
        ),
        (
            "dotenv: for the file",
            &[(".env", "# ours\n# preflint: ignore-file[cors/*] -- whole\nA=1\nALLOWED_ORIGINS=*\n")],
            "",
            &[".env:4 cors/wildcard-origin <- comment 2: whole"],
        ),
        (
            "Compose: a service",
            &[(
                "compose.prod.yaml",
                "
services:
  # preflint: ignore[limits/*] -- one
  a:
    image: a:1
  b:
    image: b:1
",
            )],
            "",
            &["compose.prod.yaml:3 limits/memory-limit-missing <- comment 2: one", "compose.prod.yaml:5 limits/memory-limit-missing"],
        ),
        (
            "Helm values",
            &[
                ("chart/Chart.yaml", "apiVersion: v2\nname: c\nversion: 0.1.0\n"),
                (
                    "chart/values.yaml",
                    "
# preflint: ignore[cors/*] -- above
config:
  ALLOWED_ORIGINS: '*'
other:
  ALLOWED_ORIGINS: '*'
",
                ),
            ],
            "",
            &["chart/values.yaml:3 cors/wildcard-origin <- comment 1: above", "chart/values.yaml:5 cors/wildcard-origin"],
        ),
        (
            "Kustomize",
            &[(
                "kustomization.yaml",
                "
resources: []
# preflint: ignore[schema/duplicate-key] -- above
resources: []
namePrefix: a-
namePrefix: b-
",
            )],
            "",
            &["kustomization.yaml:3 schema/duplicate-key <- comment 2: above", "kustomization.yaml:5 schema/duplicate-key"],
        ),
    ])
}

#[test]
fn annotations_cover_an_object_or_a_container() -> Result<(), Box<dyn Error>> {
    check_cases(&[
        (
            "of the object",
            &[(
                "a.yaml",
                "
apiVersion: v1
kind: Pod
metadata:
  name: p
  annotations:
    preflint.dev/ignore: \"limits/memory-limit-missing, schema/* -- legacy; until=2026-12-31\"
spec:
  containers:
    - name: api
      image: api:1
      env: [{name: A, value: x}, {name: A, value: y}]
---
apiVersion: v1
kind: Pod
metadata: {name: q}
spec: {containers: [{name: api, image: 'api:1'}]}
",
            )],
            "",
            &[
                "a.yaml:9 limits/memory-limit-missing <- annotation 6: legacy",
                "a.yaml:11 schema/duplicate-env-var <- annotation 6: legacy",
                "a.yaml:16 limits/memory-limit-missing",
            ],
        ),
        (
            "of the pod template, also of a CronJob; of items of a List",
            &[(
                "a.yaml",
                "
apiVersion: v1
kind: List
items:
  - apiVersion: batch/v1
    kind: CronJob
    metadata: {name: a}
    spec:
      schedule: '0 0 30 2 *'
      jobTemplate:
        spec:
          template:
            metadata: {annotations: {preflint.dev/ignore: 'limits/*, schema/cron-schedule-invalid -- in the template'}}
            spec: {restartPolicy: Never, containers: [{name: api, image: 'api:1'}]}
  - apiVersion: v1
    kind: Pod
    metadata: {name: q}
    spec: {containers: [{name: api, image: 'api:1'}]}
",
            )],
            "",
            &[
                "a.yaml:8 schema/cron-schedule-invalid <- annotation 12: in the template",
                "a.yaml:13 limits/memory-limit-missing <- annotation 12: in the template",
                "a.yaml:17 limits/memory-limit-missing",
            ],
        ),
        (
            "of one container, init containers too",
            &[(
                "a.yaml",
                "
apiVersion: v1
kind: Pod
metadata:
  name: p
  annotations:
    preflint.dev/ignore.init: limits/memory-limit-missing -- runs once
    preflint.dev/ignore.nope: limits/memory-limit-missing -- typing error
    preflint.dev/ignored: limits/memory-limit-missing -- another
    preflint.dev/ignore.: limits/memory-limit-missing -- no name
    preflint.dev/ignore.api: limits/memory-limit-missing because
spec:
  initContainers: [{name: init, image: 'init:1'}]
  containers: [{name: api, image: 'api:1'}]
",
            )],
            "",
            &[
                "a.yaml:12 limits/memory-limit-missing <- annotation 6: runs once",
                "a.yaml:13 limits/memory-limit-missing",
                "a.yaml:7 scan/suppression-malformed",
                "a.yaml:8 scan/suppression-malformed",
                "a.yaml:9 scan/suppression-malformed",
                "a.yaml:10 scan/suppression-malformed",
            ],
        ),
        (
            "folded and with escapes",
            &[(
                "a.yaml",
                "
apiVersion: v1
kind: Pod
metadata:
  name: p
  annotations:
    preflint.dev/ignore: >-
      limits/memory-limit-missing
      -- as agreed
spec: {containers: [{name: api, image: 'api:1'}]}
---
apiVersion: v1
kind: Pod
metadata:
  name: q
  annotations: {preflint.dev/ignore: \"limits/memory-limit-missing -- \\u00e4s agreed\"}
spec: {containers: [{name: api, image: 'api:1'}]}
",
            )],
            "",
            &[
                "a.yaml:9 limits/memory-limit-missing <- annotation 6: as agreed",
                "a.yaml:16 limits/memory-limit-missing <- annotation 15: \\u00e4s agreed",
            ],
        ),
    ])
}

const WORKLOAD: &str = "
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: shop
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - name: web
          image: web:1
        - name: log
          image: log:1
";

#[test]
fn entries_of_the_configuration_select_objects() -> Result<(), Box<dyn Error>> {
    const FILES: &[(&str, &str)] =
        &[("k8s/web.yaml", WORKLOAD), ("compose.yaml", "services:\n  a:\n    image: a:1\n    environment: {ALLOWED_ORIGINS: '*'}\n")];
    const WEB: &str = "k8s/web.yaml:13 limits/memory-limit-missing";
    const LOG: &str = "k8s/web.yaml:15 limits/memory-limit-missing";
    const PDB: &str = "k8s/web.yaml:4 availability/pdb-missing";
    const CORS: &str = "compose.yaml:4 cors/wildcard-origin";
    check_cases(&[
        (
            "by path, a folder",
            FILES,
            "[[suppressions]]\nrules = [\"limits/*\"]\npaths = [\"k8s\"]\nreason = \"vendored\"",
            &[
                PDB,
                CORS,
                "k8s/web.yaml:13 limits/memory-limit-missing <- config 2: vendored",
                "k8s/web.yaml:15 limits/memory-limit-missing <- config 2: vendored",
            ],
        ),
        (
            "by container",
            FILES,
            "[[suppressions]]\nrules = [\"limits/memory-limit-missing\"]\ncontainer = \"l*\"\nreason = \"small\"",
            &[PDB, CORS, WEB, "k8s/web.yaml:15 limits/memory-limit-missing <- config 2: small"],
        ),
        (
            "by any container: not what is about no container",
            FILES,
            "[[suppressions]]\nrules = [\"limits/*\", \"availability/*\"]\ncontainer = \"*\"\nreason = \"small\"",
            &[
                PDB,
                CORS,
                "k8s/web.yaml:13 limits/memory-limit-missing <- config 2: small",
                "k8s/web.yaml:15 limits/memory-limit-missing <- config 2: small",
                "preflint.toml:3 scan/suppression-unused",
            ],
        ),
        (
            "by kind, namespace and name, a project rule",
            FILES,
            "[[suppressions]]\nrules = [\"availability/pdb-missing\"]\nkind = \"Deployment\"\nnamespace = \"shop\"\nname = \"w?b\"\nreason = \"drained by hand\"",
            &[WEB, LOG, CORS, "k8s/web.yaml:4 availability/pdb-missing <- config 2: drained by hand"],
        ),
        (
            "by service",
            FILES,
            "[[suppressions]]\nrules = [\"cors/*\"]\nservice = \"a\"\nreason = \"internal\"",
            &[WEB, LOG, PDB, "compose.yaml:4 cors/wildcard-origin <- config 2: internal"],
        ),
        (
            "another kind, another service: nothing",
            FILES,
            "[[suppressions]]\nrules = [\"availability/pdb-missing\"]\nkind = \"StatefulSet\"\nreason = \"x\"\n[[suppressions]]\nrules = [\"cors/wildcard-origin\"]\nservice = \"web\"\nreason = \"x\"",
            &[WEB, LOG, PDB, CORS, "preflint.toml:2 scan/suppression-unused", "preflint.toml:6 scan/suppression-unused"],
        ),
        (
            "ended",
            FILES,
            "[[suppressions]]\nrules = [\"availability/pdb-missing\"]\nname = \"web\"\nreason = \"x\"\nuntil = \"2026-06-14\"",
            &[WEB, LOG, PDB, CORS, "preflint.toml:2 scan/suppression-expired"],
        ),
    ])
}

#[test]
fn what_a_project_lacks_is_silenced_where_it_is_reported() -> Result<(), Box<dyn Error>> {
    check_cases(&[
        (
            "by a comment at the line",
            &[(
                "a.yaml",
                "
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web # preflint: ignore[availability/pdb-missing] -- drained by hand
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: 'web:1', resources: {limits: {memory: 64Mi}}}]}
",
            )],
            "",
            &["a.yaml:4 availability/pdb-missing <- comment 4: drained by hand"],
        ),
        (
            "by a comment above the object",
            &[(
                "a.yaml",
                "
# preflint: ignore[availability/pdb-missing] -- drained by hand
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: 'web:1', resources: {limits: {memory: 64Mi}}}]}
",
            )],
            "",
            &["a.yaml:4 availability/pdb-missing <- comment 1: drained by hand"],
        ),
        (
            "by an annotation, in an object that a kustomization deploys",
            &[
                ("kustomization.yaml", "resources: [a.yaml]\n"),
                (
                    "a.yaml",
                    "
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  annotations: {preflint.dev/ignore: availability/* -- drained by hand}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: 'web:1', resources: {limits: {memory: 64Mi}}}]}
",
                ),
            ],
            "",
            &["a.yaml:4 availability/pdb-missing <- annotation 5: drained by hand"],
        ),
    ])
}

/// What other tools' comments and annotations silence, all of them honoured.
const HONOR: &str =
    "migrate = {honor = [\"kube-linter\", \"checkov\", \"trivy\", \"kube-score\", \"polaris\", \"kics\", \"dclint\", \"dotenv-linter\"]}";

#[test]
fn suppressions_of_other_tools_are_honoured() -> Result<(), Box<dyn Error>> {
    check_cases(&[
        (
            "kube-linter: one check with its reason, all checks",
            &[(
                "a.yaml",
                "
apiVersion: v1
kind: Pod
metadata:
  name: p
  annotations:
    ignore-check.kube-linter.io/unset-memory-requirements: \"bounded by the node\"
    ignore-check.kube-linter.io/run-as-non-root: \"no rule of ours\"
spec: {containers: [{name: api, image: 'api:1'}]}
---
apiVersion: v1
kind: Pod
metadata:
  name: q
  annotations: {kube-linter.io/ignore-all: \"legacy\"}
spec: {containers: [{name: api, image: 'api:1', env: [{name: A, value: x}, {name: A, value: y}]}]}
---
apiVersion: v1
kind: Pod
metadata:
  name: r
  annotations: {ignore-check.kube-linter.io/duplicate-env-var: \"not here\"}
spec: {containers: [{name: api, image: 'api:1'}]}
",
            )],
            HONOR,
            &[
                "a.yaml:8 limits/memory-limit-missing <- annotation 6: bounded by the node",
                "a.yaml:15 limits/memory-limit-missing <- annotation 14: legacy",
                "a.yaml:15 schema/duplicate-env-var <- annotation 14: legacy",
                "a.yaml:21 scan/suppression-unused",
                "a.yaml:22 limits/memory-limit-missing",
            ],
        ),
        (
            "checkov: annotations, also of the pod template",
            &[(
                "a.yaml",
                "
apiVersion: batch/v1
kind: Job
metadata:
  name: p
  annotations: {checkov.io/skip1: CKV_K8S_13=bounded by the node, checkov.io/skip2: CKV_K8S_20}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: api, image: 'api:1'}]}}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: q}
spec:
  template:
    metadata: {annotations: {checkov.io/skip3: CKV_K8S_13}}
    spec: {restartPolicy: Never, containers: [{name: api, image: 'api:1'}]}
",
            )],
            HONOR,
            &[
                "a.yaml:6 limits/memory-limit-missing <- annotation 5: bounded by the node",
                "a.yaml:14 limits/memory-limit-missing <- annotation 13:",
            ],
        ),
        (
            "checkov: a comment covers its object, one about a secret its line",
            &[(
                "a.yaml",
                "
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  # checkov:skip=CKV_K8S_13: bounded by the node
  containers:
    - name: api
      image: api:1
      env:
        # checkov:skip=CKV_SECRET_4:a dummy
        - {name: DSN, value: 'postgres://app:wq7Rk2Xv9Lm4@db:5432/app'}
        - {name: DSN2, value: 'postgres://app:wq7Rk2Xv9Lm4@db:5432/app'}
---
# checkov:skip=CKV_K8S_13: this one
apiVersion: v1
kind: Pod
metadata: {name: q}
spec: {containers: [{name: api, image: 'api:1'}]}
---
apiVersion: v1
kind: Pod
metadata: {name: r}
spec: {containers: [{name: api, image: 'api:1'}]}
",
            )],
            HONOR,
            &[
                "a.yaml:7 limits/memory-limit-missing <- comment 5: bounded by the node",
                "a.yaml:11 secrets/credential-in-url <- comment 10: a dummy",
                "a.yaml:12 secrets/credential-in-url",
                "a.yaml:18 limits/memory-limit-missing <- comment 14: this one",
                "a.yaml:23 limits/memory-limit-missing",
            ],
        ),
        (
            "trivy: the node below, the line; its ids in any way of writing; an end",
            &[(
                "a.yaml",
                "
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  containers:
    # trivy:ignore:AVD-KSV-0018
    - name: api
      image: api:1
    - name: log # trivy:ignore:KSV018 trivy:ignore:KSV-9999
      image: log:1
    - name: old # trivy:ignore:KSV-0018:exp:2026-06-14
      image: old:1
    - name: new # trivy:ignore:KSV-0018 exp:2026-06-15
      image: new:1
",
            )],
            HONOR,
            &[
                "a.yaml:7 limits/memory-limit-missing <- comment 6:",
                "a.yaml:9 limits/memory-limit-missing <- comment 9:",
                "a.yaml:11 limits/memory-limit-missing",
                "a.yaml:11 scan/suppression-expired",
                "a.yaml:13 limits/memory-limit-missing <- comment 13:",
            ],
        ),
        (
            "kube-score",
            &[(
                "a.yaml",
                "
apiVersion: v1
kind: Pod
metadata:
  name: p
  annotations: {kube-score/ignore: 'check-of-nobody, container-resources,environment-variable-key-duplication'}
spec: {containers: [{name: api, image: 'api:1'}]}
",
            )],
            HONOR,
            &["a.yaml:6 limits/memory-limit-missing <- annotation 5:", "a.yaml:5 scan/suppression-unused"],
        ),
        (
            "kube-score: a folded list, of which a part is needless",
            &[(
                "a.yaml",
                "
apiVersion: v1
kind: Pod
metadata:
  name: p
  annotations:
    kube-score/ignore: >-
      container-resources,
      environment-variable-key-duplication
spec: {containers: [{name: api, image: 'api:1'}]}
",
            )],
            HONOR,
            &["a.yaml:9 limits/memory-limit-missing <- annotation 6:", "a.yaml:6 scan/suppression-unused"],
        ),
        (
            "polaris: one check, all checks, switched off",
            &[(
                "a.yaml",
                "
apiVersion: v1
kind: Pod
metadata:
  name: p
  annotations: {polaris.fairwinds.com/memoryLimitsMissing-exempt: 'true'}
spec: {containers: [{name: api, image: 'api:1'}]}
---
apiVersion: v1
kind: Pod
metadata:
  name: q
  annotations: {polaris.fairwinds.com/exempt: 'true'}
spec: {containers: [{name: api, image: 'api:1'}]}
---
apiVersion: v1
kind: Pod
metadata:
  name: r
  annotations: {polaris.fairwinds.com/exempt: 'false', polaris.fairwinds.com/memoryLimitsMissing-exempt: 'false'}
spec: {containers: [{name: api, image: 'api:1'}]}
",
            )],
            HONOR,
            &[
                "a.yaml:6 limits/memory-limit-missing <- annotation 5:",
                "a.yaml:13 limits/memory-limit-missing <- annotation 12:",
                "a.yaml:20 limits/memory-limit-missing",
            ],
        ),
        (
            "KICS: the line and the block below",
            &[(
                "a.yaml",
                "
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  containers:
    # kics-scan ignore-line
    - name: api
      image: api:1
    # kics-scan ignore-block
    - image: log:1
      name: log
    - name: web
      image: web:1
",
            )],
            HONOR,
            &[
                "a.yaml:7 limits/memory-limit-missing <- comment 6:",
                "a.yaml:11 limits/memory-limit-missing <- comment 9:",
                "a.yaml:12 limits/memory-limit-missing",
            ],
        ),
        (
            "KICS and checkov: with CRLF line ends",
            &[(
                "a.yaml",
                "apiVersion: v1\r\nkind: Pod\r\nmetadata: {name: p}\r\nspec:\r\n  containers:\r\n    # kics-scan ignore-line\r\n    - name: api\r\n      image: api:1\r\n",
            )],
            HONOR,
            &["a.yaml:7 limits/memory-limit-missing <- comment 6:"],
        ),
        (
            "KICS: the file, and numbers of queries",
            &[
                (
                    "a.yaml",
                    "# kics-scan ignore\napiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: api, image: 'api:1'}]}\n",
                ),
                (
                    "b.yaml",
                    "
# kics-scan disable=b14d1bc4-a208-45db-92f0-e21f8e2588e9
apiVersion: v1
kind: Pod
metadata: {name: q}
spec: {containers: [{name: api, image: 'api:1'}]}
",
                ),
            ],
            HONOR,
            &[
                "a.yaml:5 limits/memory-limit-missing <- comment 1:",
                "b.yaml:1 scan/suppression-unknown-rule",
                "b.yaml:5 limits/memory-limit-missing",
            ],
        ),
        (
            "KICS: `disable` without a list says nothing",
            &[(
                "a.yaml",
                "# kics-scan disable\napiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: api, image: 'api:1'}]}\n",
            )],
            HONOR,
            &["a.yaml:5 limits/memory-limit-missing"],
        ),
        (
            "dclint: what neither tool has a name for is passed over",
            &[(
                "compose.yaml",
                "
# dclint disable no-version-field
services:
  a:
    image: a:1 # dclint disable-line rule-of-nobody
    environment: {ALLOWED_ORIGINS: '*'} # dclint disable-line
",
            )],
            HONOR,
            &["compose.yaml:5 cors/wildcard-origin", "compose.yaml:5 scan/suppression-unused"],
        ),
        (
            "dclint: a file that does not parse",
            &[("compose.yaml", "# dclint disable-file\nservices:\n  a: {image: a:1\n  b: [\n")],
            HONOR,
            &["compose.yaml:4 schema/syntax-error <- comment 1:"],
        ),
        (
            "no peer is honoured unless it is named",
            &[(
                "a.yaml",
                "
# kics-scan ignore
apiVersion: v1
kind: Pod
metadata: {name: p, annotations: {kube-linter.io/ignore-all: x, checkov.io/skip1: CKV_K8S_13=bounded}}
spec: {containers: [{name: api, image: 'api:1'}]} # trivy:ignore:KSV-0018
",
            )],
            "migrate = {honor = [\"checkov\"]}",
            &["a.yaml:5 limits/memory-limit-missing <- annotation 4: bounded"],
        ),
    ])
}

const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n    - name: api\n      image: api:1\n      resources: {limits: {memory: 64Mi}}\n      env:\n";

/// A text after `preflint suppress` for a line of it.
fn suppress(path: &str, text: &str, line: u32) -> Result<String, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("preflint.toml"), QUIET)?;
    fs::write(folder.path().join(path), text)?;
    let place = folder.path().join(format!("{path}:{line}"));
    let output = Command::new(env!("CARGO_BIN_EXE_preflint"))
        .arg("suppress")
        .arg(place)
        .args(["--reason", "agreed", "--until", "2099-12-31"])
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(fs::read_to_string(folder.path().join(path))?)
}

/// The digest of the first secret in a line, as `preflint suppress` writes it.
fn binding(text: &str, line: u32) -> Result<String, Box<dyn Error>> {
    let text = suppress("a.yaml", text, line)?;
    let digits = text.split("value=").nth(1).and_then(|rest| rest.get(..16));
    Ok(digits.ok_or("no value was written")?.to_owned())
}

#[test]
fn a_suppression_of_a_secret_is_about_that_secret() -> Result<(), Box<dyn Error>> {
    const FINDING: &str = "a.yaml:11 secrets/literal-in-container-env";
    const PLAIN: &str = "a.yaml:10 secrets/literal-in-container-env";
    let findings = |text: &str| -> Result<Vec<String>, Box<dyn Error>> { Ok(all(&report(&[("a.yaml", text)], "")?)) };
    let one = |value: &str| format!("{POD}        - {{name: DB_PASSWORD, value: {value}}}\n");
    let digits = binding(&one("wq7Rk2Xv9Lm4"), 10)?;
    let comment = |value: &str| format!("        # preflint: ignore[secrets/literal-in-container-env] -- rotated{value}\n");
    let with = |value: &str, secret: &str| format!("{POD}{}        - {{name: DB_PASSWORD, value: {secret}}}\n", comment(value));
    let bound = format!("; value={digits}");

    assert_eq!(findings(&with(&bound, "wq7Rk2Xv9Lm4"))?, [format!("{FINDING} <- comment 10: rotated")]);
    // Quotes belong to the writing, not to the secret.
    assert_eq!(findings(&with(&bound, "'wq7Rk2Xv9Lm4'"))?, [format!("{FINDING} <- comment 10: rotated")]);
    // The secret has changed, or the digits are another secret's.
    assert_eq!(findings(&with(&bound, "wq7Rk2Xv9Lm5"))?, ["a.yaml:10 scan/suppression-unused", FINDING]);
    assert_eq!(findings(&with("; value=0102030405060708", "wq7Rk2Xv9Lm4"))?, ["a.yaml:10 scan/suppression-unused", FINDING]);
    // Which secret is not said.
    assert_eq!(findings(&with("", "wq7Rk2Xv9Lm4"))?, ["a.yaml:10 scan/suppression-malformed", FINDING]);
    let whole = format!("# preflint: ignore-file[secrets/*] -- all known\n{}", one("wq7Rk2Xv9Lm4"));
    assert_eq!(findings(&whole)?, ["a.yaml:1 scan/suppression-malformed", FINDING]);

    // Two secrets on one line, and one of them known.
    let line = "      command: [sh, -c, \"PGPASSWORD=wq7Rk2Xv9Lm4 psql; MYSQL_PWD=Zq8Tn3Yc5Bd2 mysql\"]";
    let text = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec:\n  containers:\n    - name: api\n      image: api:1\n      resources: {{limits: {{memory: 64Mi}}}}\n{line}\n"
    );
    assert_eq!(findings(&text)?, ["a.yaml:9 secrets/literal-in-args", "a.yaml:9 secrets/literal-in-args"]);
    let digits = binding(&text.replace("Zq8Tn3Yc5Bd2", "$MYSQL_PWD"), 9)?;
    let known = text.replace(line, &format!("{line} # preflint: ignore[secrets/literal-in-args] -- test only; value={digits}"));
    assert_eq!(findings(&known)?, ["a.yaml:9 secrets/literal-in-args", "a.yaml:9 secrets/literal-in-args <- comment 9: test only"]);

    // The configuration says it as well.
    let entry = |value: &str| format!("[[suppressions]]\nrules = [\"secrets/*\"]\npaths = [\"a.yaml\"]\nreason = \"rotated\"\n{value}");
    let digits = binding(&one("wq7Rk2Xv9Lm4"), 10)?;
    let files = one("wq7Rk2Xv9Lm4");
    let by_config = |value: &str| -> Result<Vec<String>, Box<dyn Error>> { Ok(all(&report(&[("a.yaml", &files)], &entry(value))?)) };
    assert_eq!(by_config(&format!("value = \"{digits}\""))?, [format!("{PLAIN} <- config 2: rotated")]);
    assert_eq!(by_config("")?, [PLAIN, "preflint.toml:2 scan/suppression-malformed"]);
    assert_eq!(by_config("value = \"0102030405060708\"")?, [PLAIN, "preflint.toml:2 scan/suppression-unused"]);
    Ok(())
}

/// Every rule that reports secrets asks which one is meant, whatever its example looks like.
#[test]
fn no_secret_is_silenced_without_its_digest() -> Result<(), Box<dyn Error>> {
    let rules = RuleSet::load(&[])?;
    let mut seen = 0;
    // A rule without a precedence points at a reference, a name or a mode, not at a secret.
    for rule in rules.rules().iter().filter(|rule| rule.id.starts_with("secrets/") && rule.precedence.is_some()) {
        let Some(example) = &rule.example else { continue };
        let files = [(example.file.as_str(), example.bad.as_str())];
        let config =
            format!("extend-select = [\"{0}\"]\n[[suppressions]]\nrules = [\"secrets/*\"]\npaths = [\"**\"]\nreason = \"all\"", rule.id);
        let report = report(&files, &config)?;
        assert!(report.silenced.is_empty(), "{}: {:?}", rule.id, all(&report));
        assert!(report.findings.iter().any(|finding| finding.rule == rule.id), "{}", rule.id);
        seen += 1;
    }
    assert!(seen > 15, "{seen}");
    Ok(())
}

#[test]
fn overrides_change_what_holds_for_some_files() -> Result<(), Box<dyn Error>> {
    const FILES: &[(&str, &str)] = &[
        ("a/web.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: web, image: 'web:1'}]}\n"),
        ("b/web.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: web, image: 'web:1'}]}\n"),
    ];
    const WRANGLER: &[(&str, &str)] = &[(
        "wrangler.toml",
        "name = \"a\"\nvars = {ALLOWED_ORIGINS = \"*\"}\n[env.prod.vars]\nALLOWED_ORIGINS = \"*\"\n[env.staging.vars]\nALLOWED_ORIGINS = \"*\"\n",
    )];
    check_cases(&[
        (
            "ignore for a folder",
            FILES,
            "[[overrides]]\npaths = [\"a\"]\nignore = [\"limits\"]",
            &["b/web.yaml:4 limits/memory-limit-missing"],
        ),
        (
            "extend-select for a folder; the later override wins",
            FILES,
            "[[overrides]]\npaths = [\"b\"]\nextend-select = [\"limits/cpu-request-missing\"]\n[[overrides]]\npaths = [\"**/web.yaml\"]\nignore = [\"limits/memory-limit-missing\"]",
            &["b/web.yaml:4 limits/cpu-request-missing"],
        ),
        (
            "a suppression of a rule that an override switched off is not called unused",
            &[(
                "a/web.yaml",
                "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n# preflint: ignore[limits/memory-limit-missing] -- x\nspec: {containers: [{name: web, image: 'web:1'}]}\n",
            )],
            "[[overrides]]\npaths = [\"a\"]\nignore = [\"limits\"]",
            &[],
        ),
        (
            "ignore for an environment of a wrangler file",
            WRANGLER,
            "[[overrides]]\nenv = [\"staging\"]\nignore = [\"cors\"]",
            &["wrangler.toml:2 cors/wildcard-origin", "wrangler.toml:4 cors/wildcard-origin"],
        ),
        (
            "ignore for a named environment",
            FILES,
            "[environments.test]\npaths = [\"b\"]\n[[overrides]]\nenv = [\"test\"]\nignore = [\"limits\"]",
            &["a/web.yaml:4 limits/memory-limit-missing"],
        ),
    ])?;

    let severities = |config: &str, files: &[(&str, &str)]| -> Result<Vec<String>, Box<dyn Error>> {
        let report = report(files, config)?;
        Ok(report.findings.iter().map(|finding| format!("{} {}", shown(&report, finding), finding.severity)).collect())
    };
    assert_eq!(
        severities("[[overrides]]\npaths = [\"a\"]\nseverity = {limits = \"info\"}\n[severity]\nlimits = \"high\"", FILES)?,
        ["a/web.yaml:4 limits/memory-limit-missing info", "b/web.yaml:4 limits/memory-limit-missing high"]
    );
    assert_eq!(
        severities("[[overrides]]\nenv = [\"prod\"]\nseverity = {cors = \"low\", \"cors/wildcard-origin\" = \"critical\"}", WRANGLER)?,
        [
            "wrangler.toml:2 cors/wildcard-origin medium",
            "wrangler.toml:4 cors/wildcard-origin critical",
            "wrangler.toml:6 cors/wildcard-origin medium"
        ]
    );
    let compose = [("a/compose.yaml", "services: {a: {image: 'a:1'}}\n"), ("b/compose.yaml", "services: {a: {image: 'a:1'}}\n")];
    assert_eq!(
        severities(
            "[[overrides]]\npaths = [\"a\"]\n[overrides.params.\"limits/memory-limit-missing\"]\ncompose-files = \"all\"",
            &compose
        )?,
        ["a/compose.yaml:1 limits/memory-limit-missing medium"]
    );
    Ok(())
}

#[test]
fn what_the_configuration_cannot_mean_is_underlined() -> Result<(), Box<dyn Error>> {
    use miette::Diagnostic as _;
    for (text, underlined, message) in [
        ("presets = \"strict\"", "presets", "preset"),
        ("[[suppressions]]\nrules = [\"limits/*\"]\npath = [\"a\"]\nreason = \"x\"", "path", "paths"),
        ("[[suppressions]]\nrules = [\"limits\"]\npaths = [\"a\"]\nreason = \"x\"", "\"limits\"", "limits/*"),
        (
            "[[suppressions]]\nrules = [\"limits/memory-limit\"]\npaths = [\"a\"]\nreason = \"x\"",
            "\"limits/memory-limit\"",
            "limits/memory-limit-missing",
        ),
        ("[[suppressions]]\nrules = [\"limits/*\"]\npaths = [\"a\"]\nreason = \"x\"\nuntil = \"soon\"", "\"soon\"", "YYYY-MM-DD"),
        ("[[suppressions]]\nrules = [\"limits/*\"]\npaths = [\"a\"]\nreason = \"x\"\nvalue = \"12\"", "\"12\"", "sixteen"),
        ("[[suppressions]]\nrules = [\"limits/*\"]\npaths = [\"a\"]", "", "reason"),
        ("[[suppressions]]\nrules = [\"limits/*\"]\nreason = \"x\"", "", "paths"),
        ("[[suppressions]]\npaths = [\"a\"]\nreason = \"x\"", "", "rules"),
        ("[[overrides]]\npaths = [\"a\"]\nignored = []", "ignored", "ignore"),
        ("[[overrides]]\nignore = [\"limits\"]", "", "paths"),
        ("[[overrides]]\nenv = [\"a\"]\nextend-select = [\"limits\"]", "", "env"),
        ("# nope\n[[overrides]]\npaths = [\"a\"]\nignore = ['nope']", "'nope'", "nope"),
        ("[[overrides]]\npaths = [\"a\"]\nseverity = {nope = \"low\"}", "nope", "nope"),
        ("[environments.a]\nscope = \"prod\"\npaths = [\"a\"]", "\"prod\"", "production"),
        ("[environments.a]\nscope = \"production\"", "", "paths"),
        ("[migrate]\nhonor = [\"kubelinter\"]", "\"kubelinter\"", "kube-linter"),
        ("[migrate]\nhonour = []", "honour", "honor"),
    ] {
        let read = Config::parse("preflint.toml", text).and_then(|config| Settings::new(Arc::new(RuleSet::load(&[])?), &config));
        let Err(error) = read else { return Err(format!("no error: {text}").into()) };
        let said = format!("{error} {}", error.help().map(|help| help.to_string()).unwrap_or_default());
        let label = error.labels().and_then(|mut labels| labels.next());
        let place = label.map(|label| text.get(label.offset()..label.offset() + label.len()).unwrap_or_default());
        assert!(said.contains(message), "{text}: {said}");
        assert!(place.is_some_and(|place| underlined.is_empty() || place == underlined), "{text}: {place:?} {said}");
    }
    Ok(())
}

/// A part of the repository says nothing about suppressions that the rest may need.
#[test]
fn what_was_not_looked_at_is_not_called_unused() -> Result<(), Box<dyn Error>> {
    let tree = tree(&[
        ("k8s/web.yaml", WORKLOAD),
        (
            "k8s/api.yaml",
            "
# preflint: ignore[availability/pdb-missing, limits/*] -- a project rule, and a pack
# preflint: ignore[schema/duplicate-env-var] -- a rule that sees the file alone
apiVersion: v1
kind: Pod
metadata: {name: p}
spec: {containers: [{name: api, image: 'api:1', resources: {limits: {memory: 64Mi}}}]}
",
        ),
    ]);
    let settings = settings("[[suppressions]]\nrules = [\"limits/memory-limit-missing\"]\npaths = [\"other\"]\nreason = \"x\"")?;
    let unused = |paths: &[&str]| {
        let request = Request { paths: paths.iter().map(|path| (*path).to_owned()).collect(), no_ignore: false };
        let report = check(&tree, &request, &settings, &Progress::default());
        let unused: Vec<String> = report
            .findings
            .iter()
            .filter(|finding| &*finding.rule == "scan/suppression-unused")
            .map(|finding| shown(&report, finding))
            .collect();
        unused
    };
    assert_eq!(unused(&["k8s/api.yaml"]), ["k8s/api.yaml:2 scan/suppression-unused"]);
    assert_eq!(
        unused(&[]),
        ["k8s/api.yaml:1 scan/suppression-unused", "k8s/api.yaml:2 scan/suppression-unused", "preflint.toml:2 scan/suppression-unused"]
    );
    Ok(())
}

/// What is written silences what was asked for, and nothing beside it.
#[test]
fn written_suppressions_silence_one_finding() -> Result<(), Box<dyn Error>> {
    for (path, text, line) in [
        ("a.yaml", WORKLOAD, 13),
        ("a.yaml", WORKLOAD, 4),
        ("compose.prod.yaml", "services:\n  a:\n    image: a:1\n  b:\n    image: b:1\n", 2),
        ("wrangler.toml", "name = \"a\"\n[vars]\nALLOWED_ORIGINS = \"*\"\nCORS_ALLOWED_ORIGINS = \"*\"\n", 3),
        (
            "wrangler.jsonc",
            "{\n  \"name\": \"a\",\n  \"vars\": {\"ALLOWED_ORIGINS\": \"*\"},\n  \"env\": {\"b\": {\"vars\": {\"ALLOWED_ORIGINS\": \"*\"}}}\n}\n",
            3,
        ),
        (".env", "ALLOWED_ORIGINS=*\r\nCORS_ORIGINS=*\r\n", 1),
        (".env", "DB_PASSWORD=wq7Rk2Xv9Lm4\nAPI_PASSWORD=wq7Rk2Xv9Lm5\n", 2),
    ] {
        let text = text.trim_start_matches('\n');
        let old = report(&[(path, text)], "")?;
        let written = suppress(path, text, line)?;
        let report = report(&[(path, &written)], "")?;
        let at_line = |finding: &&Finding| shown(&old, finding).starts_with(&format!("{path}:{line} "));
        let meant = old.findings.iter().filter(at_line).count();
        assert!(meant > 0 && report.silenced.len() == meant, "{path}:{line}\n{}\n{:?}", written, all(&report));
        assert_eq!(report.findings.len() + meant, old.findings.len(), "{}\n{:?}", written, all(&report));
        assert_eq!(written.contains('\r'), text.contains('\r'));
        assert!(!written.replace("\r\n", "").contains('\r') && (!text.contains('\r') || !written.replace("\r\n", "").contains('\n')));
    }
    Ok(())
}

/// Many suppressions are read in the time that their text takes, above one node and above one each.
#[test]
fn many_suppressions_take_no_longer_than_their_text() -> Result<(), Box<dyn Error>> {
    const COUNT: usize = 3000;
    const COMMENT: &str = "    # preflint: ignore[limits/memory-limit-missing] -- x\n\n";
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n";
    let stacked = format!("{pod}{}    - name: a\n      image: a:1\n", COMMENT.repeat(COUNT));
    let single = format!("{COMMENT}    - name: a\n      image: a:1\n").repeat(COUNT);
    let report = report(&[("stacked.yaml", &stacked), ("single.yaml", &format!("{pod}{single}"))], "")?;
    assert_eq!(report.silenced.len(), COUNT + 1);
    assert!(report.findings.is_empty());
    Ok(())
}

/// Those of other tools are told of, and hold nobody up.
#[test]
fn needless_suppressions_of_other_tools_are_only_told_of() -> Result<(), Box<dyn Error>> {
    let text = "
# kics-scan disable=b14d1bc4-a208-45db-92f0-e21f8e2588e9
apiVersion: v1
kind: Pod
metadata:
  name: p
  annotations:
    checkov.io/skip1: CKV_K8S_13=bounded
    preflint.dev/ignore: schema/duplicate-env-var -- none
spec: {containers: [{name: api, image: 'api:1', resources: {limits: {memory: 64Mi}}}]}
";
    let report = report(&[("a.yaml", text)], "[migrate]\nhonor = [\"checkov\", \"kics\"]\n[severity]\nlimits = \"high\"")?;
    let found: Vec<String> = report.findings.iter().map(|finding| format!("{} {}", shown(&report, finding), finding.severity)).collect();
    assert_eq!(
        found,
        ["a.yaml:1 scan/suppression-unknown-rule info", "a.yaml:7 scan/suppression-unused info", "a.yaml:8 scan/suppression-unused low"]
    );
    Ok(())
}
