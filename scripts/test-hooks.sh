#!/usr/bin/env bash
# Tests the three pre-commit hooks with pre-commit itself, against the present tree:
#
#     scripts/test-hooks.sh
#
# Needs git, cargo and python3 (3.11 or newer) with venv, and reaches a Python package index and a crate index as pip
# and cargo are set up. Exit code 77 means that the tools could not be had and nothing was tested.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

not_run() {
  echo "not run: $1" >&2
  exit 77
}
fail() {
  echo "FAILED: $1" >&2
  shift
  [ $# -eq 0 ] || cat -- "$@" >&2
  exit 1
}
passed=0
ok() {
  passed=$((passed + 1))
  echo "ok: $1"
}

for tool in git cargo python3; do
  command -v "$tool" >/dev/null || not_run "the hook test needs $tool"
done
python3 -m venv "$work/venv" || not_run "python3 has no venv (Debian: python3-venv)"
"$work/venv/bin/pip" install --quiet --require-hashes -r "$root/packaging/requirements-dev.txt" ||
  not_run "pip could not install packaging/requirements-dev.txt (see above)"
export PATH="$work/venv/bin:$PATH"

# Nothing of the person who runs this may change the outcome, and nothing of theirs is changed.
export PRE_COMMIT_HOME="$work/cache" PRE_COMMIT_COLOR=never NO_COLOR=1
export GIT_CONFIG_GLOBAL="$work/gitconfig" GIT_CONFIG_NOSYSTEM=1
unset GIT_DIR GIT_INDEX_FILE GIT_WORK_TREE SKIP PREFLINT_BASE
git config --global user.name test
git config --global user.email test@example.invalid
git config --global init.defaultBranch main
# All builds of this test share their dependencies.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$root/target}"
# The test is about packaging, not about speed; without whole-program optimisation it builds in a third of the time.
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16

pre-commit validate-manifest "$root/.pre-commit-hooks.yaml" || fail "pre-commit does not take .pre-commit-hooks.yaml"

# The present tree, committed or not, plays the repository that holds the hooks.
hooks=$work/hooks
mkdir "$hooks"
git -C "$root" ls-files -z --cached --others --exclude-standard |
  (cd "$root" && while IFS= read -r -d '' file; do [ -e "$file" ] && printf '%s\0' "$file"; done) |
  (cd "$root" && tar --null -cf - -T -) | tar -xf - -C "$hooks"
git -C "$hooks" init --quiet
git -C "$hooks" add --all
git -C "$hooks" commit --quiet --message "The present tree"
revision=$(git -C "$hooks" rev-parse HEAD)

echo "building the wheel"
(cd "$hooks/packaging" && maturin build --release --compatibility linux --out "$work/wheels") >"$work/log" 2>&1 ||
  fail "the wheel does not build" "$work/log"
export PIP_FIND_LINKS="$work/wheels${PIP_FIND_LINKS:+ $PIP_FIND_LINKS}"
ok "the wheel builds: $(basename "$work"/wheels/*.whl)"

# The system hook finds the wheel's binary, behind a script that counts its runs.
mkdir "$work/bin"
python3 -m venv "$work/system"
"$work/system/bin/pip" install --quiet --no-deps "$work"/wheels/*.whl
cat >"$work/bin/preflint" <<SCRIPT
#!/bin/sh
echo run >>"$work/runs"
exec "$work/system/bin/preflint" "\$@"
SCRIPT
chmod +x "$work/bin/preflint"
preflint=$work/system/bin/preflint
export PATH="$work/bin:$PATH"

# config HOOK: a configuration of the user's repository with that hook.
config() {
  cat <<YAML
repos:
  - repo: $hooks
    rev: $revision
    hooks:
      - id: $1
        args: [--format, concise]
YAML
}

# findings FILE: the findings in an output of pre-commit, without its own lines.
findings() {
  grep -E '^[^ ]+:[0-9]+:[0-9]+: ' "$1" | LC_ALL=C sort || true
}

# hook ID NAME: runs a hook over what is staged, leaves its findings in $work/NAME and its exit code in $code.
hook() {
  config "$1" >"$work/config.yaml"
  code=0
  pre-commit run --config "$work/config.yaml" "${@:3}" >"$work/$2.log" 2>&1 || code=$?
  findings "$work/$2.log" >"$work/$2"
}

user=$work/user
mkdir -p "$user/k8s"
cd "$user"
git init --quiet
cat >k8s/pdb.yaml <<'YAML'
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: api, namespace: shop}
spec:
  maxUnavailable: 1
  selector: {matchLabels: {app: api}}
YAML
git add k8s
git commit --quiet --message "The budget"
cat >k8s/api.yaml <<'YAML'
apiVersion: apps/v1
kind: Deployment
metadata: {name: api, namespace: shop}
spec:
  replicas: 3
  selector: {matchLabels: {app: api}}
  template:
    metadata: {labels: {app: api}}
    spec:
      containers:
        - name: api
          image: registry.example.com/api:1.4.2
          env:
            - {name: DATABASE_URL, value: "postgres://app:Wint3rTyres88@db.internal:5432/app"}
YAML
printf 'SESSION_SECRET=k3Vd9xQpLw7RtY2mZs8HbN4c\n' >.env
printf 'API_TOKEN=Zt5Rk8Wq2Lm9Xv4Bn7Cd1Hf6\n' >.dev.vars
cat >wrangler.jsonc <<'JSON'
{
  // deployed by hand
  "name": "edge",
  "main": "src/index.ts",
  "compatibility_date": "2026-01-01",
  "vars": {"SIGNING_SECRET": "qP8sT3vW6yB1dF4hJ7kM0nR5"}
}
JSON
printf '# nothing to see\n' >notes.md
git add --all --force

for id in preflint-system preflint-py preflint; do
  echo "running $id"
  hook "$id" "$id"
  [ "$code" -eq 1 ] || fail "$id should find something (exit 1), not exit $code" "$work/$id.log"
  for file in .env .dev.vars wrangler.jsonc k8s/api.yaml; do
    grep -q "^$file:" "$work/$id" || fail "$id has no finding in $file" "$work/$id.log"
  done
  ! grep -q pdb-missing "$work/$id" || fail "$id does not see the budget in the file that is not staged" "$work/$id.log"
  cmp -s "$work/preflint-system" "$work/$id" || fail "$id differs from preflint-system" "$work/preflint-system" "$work/$id"
  ok "$id: $(wc -l <"$work/$id" | tr -d ' ') findings, the budget in an unstaged file is seen"
done
! grep -rq Wint3rTyres88 "$work"/*.log || fail "a hook printed a secret"
[ "$(wc -l <"$work/runs")" -eq 1 ] || fail "the hook should run once, not $(wc -l <"$work/runs") times"
ok "one run for all files, no secret printed"

hook preflint-system without-budget --files k8s/api.yaml
git rm --quiet --cached k8s/pdb.yaml
mv k8s/pdb.yaml "$work/pdb.yaml"
hook preflint-system without-budget --files k8s/api.yaml
grep -q pdb-missing "$work/without-budget" || fail "without the budget its absence should be found" "$work/without-budget.log"
mv "$work/pdb.yaml" k8s/pdb.yaml
git add k8s/pdb.yaml
ok "without the budget its absence is found"

# How files are split over processes changes nothing.
git ls-files -z >"$work/files"
for size in 1 2 1000; do
  xargs -0 -n "$size" "$preflint" check --format concise <"$work/files" >"$work/batch.log" 2>"$work/batch.err" || true
  findings "$work/batch.log" >"$work/batch-$size"
done
[ -s "$work/batch-1000" ] || fail "no findings in one batch" "$work/batch.err"
for size in 1 2; do
  cmp -s "$work/batch-1000" "$work/batch-$size" || fail "batches of $size differ from one" "$work/batch-$size" "$work/batch-1000"
done
cmp -s "$work/batch-1000" "$work/preflint-system" || fail "preflint and its hook differ" "$work/batch-1000" "$work/preflint-system"
ok "batches of 1, of 2 and of all files give the same findings"

# More names than fit on a command line: pre-commit splits them, even with require_serial.
mkdir many
long=$(printf 'x%.0s' $(seq 1 180))
for number in $(seq 1 900); do
  printf 'PASSWORD=Hv7Kq2Xw%sZt9Rb4\n' "$number" >"many/$long-$number.env"
done
git add --all --force
: >"$work/runs"
hook preflint-system many
[ "$code" -eq 1 ] || fail "900 files with passwords should fail" "$work/many.log"
runs=$(wc -l <"$work/runs" | tr -d ' ')
[ "$runs" -gt 1 ] || fail "900 long names should have needed several runs"
"$preflint" check --format concise >"$work/whole.log" 2>/dev/null || true
findings "$work/whole.log" >"$work/whole"
cmp -s "$work/whole" "$work/many" || fail "a split run differs from preflint check: $(diff "$work/whole" "$work/many" | head -5)"
ok "a run that pre-commit splits in $runs finds the same $(wc -l <"$work/whole" | tr -d ' ') as one"
git rm --quiet -r --cached many
rm -r many

# Git itself: the commit is refused, and goes through when the files are clean.
config preflint-system >.pre-commit-config.yaml
git add .pre-commit-config.yaml
pre-commit install >/dev/null
! git commit --message "Not clean" >"$work/commit.log" 2>&1 || fail "git took a commit with findings" "$work/commit.log"
ok "git refuses the commit"
git rm --quiet --cached .env .dev.vars wrangler.jsonc
rm .env .dev.vars wrangler.jsonc
cat >k8s/api.yaml <<'YAML'
apiVersion: v1
kind: ConfigMap
metadata: {name: api, namespace: shop}
data: {LOG_LEVEL: info}
YAML
printf 'LOG_LEVEL=info\n' >.env.example
git add --all
for id in preflint-system preflint-py preflint; do
  hook "$id" clean --all-files
  [ "$code" -eq 0 ] || fail "$id should pass on clean files, not exit $code" "$work/clean.log"
  hook "$id" clean --all-files --hook-stage pre-push
  grep -q Passed "$work/clean.log" || fail "$id should run before a push, too" "$work/clean.log"
done
git commit --quiet --message "Clean" >"$work/commit.log" 2>&1 || fail "git refuses a clean commit" "$work/commit.log"
ok "clean files pass all three hooks"

echo "$passed passed, 0 failed"
