#!/usr/bin/env bash
# Runs the steps of action.yml as a runner would, against a server on this machine that plays the release host, and
# lints the action and the workflows:
#
#     scripts/test-action.sh
#
# Needs git, curl, cargo, python3 and tar. The linters shellcheck, actionlint and zizmor are taken where they are
# installed or can be; the output names those that were not run.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
server=
trap 'if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; fi; rm -rf "$work"' EXIT

passed=0
ok() {
  passed=$((passed + 1))
  echo "ok: $1"
}
fail() {
  echo "FAILED: $1" >&2
  if [ -f "$work/log" ]; then
    echo "--- the step's output" >&2
    cat "$work/log" >&2
  fi
  exit 1
}
for tool in git curl cargo python3 tar; do
  command -v "$tool" >/dev/null || {
    echo "not run: the Action test needs $tool" >&2
    exit 77
  }
done

export GIT_CONFIG_GLOBAL="$work/gitconfig" GIT_CONFIG_NOSYSTEM=1
git config --global user.name test
git config --global user.email test@example.invalid
git config --global init.defaultBranch main

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$root/Cargo.toml" | head -n 1)
case $(uname -s)-$(uname -m) in
  Linux-x86_64) os=Linux arch=X64 target=x86_64-unknown-linux-gnu ;;
  Linux-aarch64) os=Linux arch=ARM64 target=aarch64-unknown-linux-gnu ;;
  Darwin-arm64) os=macOS arch=ARM64 target=aarch64-apple-darwin ;;
  *)
    echo "not run: the Action test knows no archive for $(uname -sm)" >&2
    exit 77
    ;;
esac
if compgen -G '/lib/ld-musl-*' >/dev/null; then target=${target%gnu}musl; fi

(cd "$root" && cargo build --locked --quiet)
preflint=${CARGO_TARGET_DIR:-$root/target}/debug/preflint

# ------------------------------------------------------------------------------------------- the server of releases

archive=preflint-$version-$target.tar.gz
# release VERSION PROGRAM: puts a release with that program on the server.
release() {
  local folder=$work/releases/v$1 name=preflint-$1-$target.tar.gz
  mkdir -p "$folder" "$work/pack"
  cp "$2" "$work/pack/preflint"
  chmod +x "$work/pack/preflint"
  tar -czf "$folder/$name" -C "$work/pack" preflint
  python3 -c 'import hashlib, sys; print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest() + "  " + sys.argv[2])' \
    "$folder/$name" "$name" >"$folder/SHA256SUMS"
}
release "$version" "$preflint"
mkdir "$work/stub"
# What the step hands over, one argument a line, and whatever exit code the test asks for.
cat >"$work/stub/preflint" <<'STUB'
#!/usr/bin/env bash
if [ "$1" = --version ]; then
  echo "preflint 9.9.9"
  exit
fi
printf '%s\n' "$@" >"$STUB_ARGUMENTS"
[ -z "${GH_TOKEN:-}" ] || exit 99
for argument in "$@"; do
  case $argument in
    sarif=*) printf '{"version": "2.1.0", "runs": []}' >"${argument#*=}" ;;
    json=*) printf '{"summary": {"findings": {"total": 3, "low": 2,\n"critical": 1, "high": 0, "medium": 0, "info": 0}}}' >"${argument#*=}" ;;
    markdown=*) head -c "${STUB_SUMMARY:-100}" /dev/zero | tr '\0' 'x' | fold -w 99 >"${argument#*=}" ;;
  esac
done
exit "${STUB_CODE:-0}"
STUB
release 9.9.9 "$work/stub/preflint"

# Below /git/ it serves repositories, to those who show the job's token.
cat >"$work/server.py" <<'PYTHON'
import base64
import functools
import http.server
import os
import subprocess
import sys

TOKEN = "Basic " + base64.b64encode(b"x-access-token:job-token").decode()


class Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        self.git() if self.path.startswith("/git/") else super().do_GET()

    def do_POST(self):
        self.git()

    def git(self):
        if self.headers.get("Authorization", "").lower() != TOKEN.lower():
            self.send_response(401)
            self.send_header("WWW-Authenticate", "Basic")
            self.end_headers()
            return
        path, _, query = self.path.removeprefix("/git").partition("?")
        environment = os.environ | {
            "GIT_PROJECT_ROOT": sys.argv[2], "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path, "QUERY_STRING": query,
            "REQUEST_METHOD": self.command, "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""), "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer = subprocess.run(["git", "http-backend"], input=body, env=environment, stdout=subprocess.PIPE).stdout
        head, _, content = answer.partition(b"\r\n\r\n")
        self.send_response(200)
        for line in head.decode().splitlines():
            self.send_header(*line.split(": ", 1))
        self.end_headers()
        self.wfile.write(content)


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=sys.argv[1]))
print(server.server_address[1], flush=True)
server.serve_forever()
PYTHON
python3 "$work/server.py" "$work/releases" "$work" >"$work/port" 2>/dev/null &
server=$!
for _ in $(seq 100); do
  [ -s "$work/port" ] && break
  sleep 0.1
done
[ -s "$work/port" ] || fail "the server did not start"

# --------------------------------------------------------------------------------------------------------- the steps

# Every variable that the steps get is one that action.yml gives them.
steps="$root/action/preflint.sh"
reset() {
  unset "${!PREFLINT_@}" "${!GITHUB_@}" "${!RUNNER_@}" ACTION_REPOSITORY GH_TOKEN PULL_REQUEST_BASE || true
  rm -rf "$work/temp"
  mkdir "$work/temp"
  export GITHUB_ACTION_PATH=$root GITHUB_OUTPUT=$work/output GITHUB_STEP_SUMMARY=$work/summary GITHUB_SERVER_URL=https://git.example.invalid
  export RUNNER_OS=$os RUNNER_ARCH=$arch RUNNER_TEMP=$work/temp ACTION_REPOSITORY=owner/preflint
  export PREFLINT_RELEASES_URL PREFLINT_VERSION=v$version PREFLINT_SHA256='' PREFLINT_VERIFY_ATTESTATION=true
  export PREFLINT_PATHS=. PREFLINT_ARGS='' PREFLINT_BASE=auto PREFLINT_WORKING_DIRECTORY=. PREFLINT_SARIF_FILE=preflint.sarif PREFLINT_SUMMARY=true
  export STUB_ARGUMENTS=$work/arguments STUB_CODE=0
  PREFLINT_RELEASES_URL=http://127.0.0.1:$(cat "$work/port")
  : >"$work/output"
  : >"$work/summary"
}
# step NAME CODE: runs a step, which must end with that code.
step() {
  local code=0
  bash "$steps" "$1" >"$work/log" 2>&1 || code=$?
  [ "$code" -eq "$2" ] || fail "$1 should exit with $2, not $code"
}
value() { sed -n "s/^$1=//p" "$work/output" | tail -n 1; }
says() { grep -qF -- "$1" "$work/log" || fail "the step should say \`$1\`"; }
has() { [ "$(value "$1")" = "$2" ] || fail "the output $1 should be \`$2\`, not \`$(value "$1")\`"; }
installed() {
  step install 0
  PREFLINT_PROGRAM=$(value program)
  export PREFLINT_PROGRAM
  [ -x "$PREFLINT_PROGRAM" ] || fail "no program was installed"
}
judged() {
  PREFLINT_EXIT_CODE=$(value exit-code) PREFLINT_FINDINGS=$(value findings)
  export PREFLINT_EXIT_CODE PREFLINT_FINDINGS
  step verdict "$1"
}

# Archives.
reset
installed
says "the checksum of $archive is right"
ok "a good archive is installed"

reset
cp "$work/releases/v$version/SHA256SUMS" "$work/sums"
sed 's/^......../00000000/' "$work/sums" >"$work/releases/v$version/SHA256SUMS"
step install 2
says "The checksum of $archive is wrong"
[ -z "$(value program)" ] || fail "a program was handed on"
[ ! -e "$work/temp/preflint-$version/$archive" ] || fail "the archive is still there"
echo "0000 other" >"$work/releases/v$version/SHA256SUMS"
reset
step install 2
says "does not name $archive"
rm "$work/releases/v$version/SHA256SUMS"
reset
step install 2
says "has no SHA256SUMS"
cp "$work/sums" "$work/releases/v$version/SHA256SUMS"
ok "a wrong or missing checksum is fatal"

reset
PREFLINT_SHA256=$(cut -d ' ' -f 1 "$work/sums" | tr '[:lower:]' '[:upper:]')
installed
reset
PREFLINT_SHA256=$(printf '0%.0s' $(seq 64))
step install 2
says "expected SHA-256 0000"
ok "sha256 pins the archive"

# shellcheck disable=SC2016 # not to be expanded is the point
for bad in latest v1 '1.2.3/../../x' '$(touch pwned)' ''; do
  reset
  PREFLINT_VERSION=$bad
  step install 2
  says "write a full version"
done
ok "only full versions are taken"

reset
PREFLINT_RELEASES_URL=http://127.0.0.1:9
step install 2
says "Downloading"
ok "a server that is down is an error, not a reason to build something else"

# A stub for gh that takes or refuses the attestation.
mkdir "$work/gh"
cat >"$work/gh/gh" <<'STUB'
#!/bin/sh
case "$*" in *--help*) echo "  --source-ref string"; exit ;; esac
echo "gh $*"
exit "$GH_CODE"
STUB
chmod +x "$work/gh/gh"
reset
export GH_TOKEN=token GH_CODE=0
PATH="$work/gh:$PATH" installed
says "--repo owner/preflint --signer-workflow owner/preflint/.github/workflows/release.yml --source-ref refs/tags/v$version"
reset
export GH_TOKEN=token GH_CODE=1
PATH="$work/gh:$PATH" step install 2
says "not built by the release workflow"
PREFLINT_VERIFY_ATTESTATION=false
PATH="$work/gh:$PATH" installed
ok "a failed attestation is fatal, and can be left out only in so many words"

# A stub for cargo that installs the program it is given.
mkdir "$work/cargo"
cat >"$work/cargo/cargo" <<'STUB'
#!/usr/bin/env bash
printf '%s\n' "$@" >"$STUB_ARGUMENTS"
while [ "$1" != --root ]; do shift; done
mkdir -p "$2/bin"
cp "$STUB_PROGRAM" "$2/bin/preflint"
STUB
chmod +x "$work/cargo/cargo"
export STUB_PROGRAM=$preflint
mv "$work/releases/v$version/$archive" "$work/$archive"
reset
PATH="$work/cargo:$PATH" installed
says "there is no $archive"
[ "$(tr '\n' ' ' <"$work/arguments")" = "install --locked --quiet --path $root --root $work/temp/preflint-$version/built " ] ||
  fail "cargo got: $(tr '\n' ' ' <"$work/arguments")"
reset
PREFLINT_SHA256=$(printf '0%.0s' $(seq 64))
PATH="$work/cargo:$PATH" step install 2
says "pins an archive"
reset
PREFLINT_VERSION=v7.7.7
PATH="$work/cargo:$PATH" step install 2
says "own source is v$version"
reset
RUNNER_ARCH=RISCV64
PATH="$work/cargo:$PATH" installed
says "no release has an archive for $os RISCV64"
# What the steps need, and no cargo.
mkdir "$work/few"
for tool in awk base64 bash cat curl cut git grep gzip head mkdir rm sed sha256sum shasum tail tar tr uname wc; do
  if command -v "$tool" >/dev/null; then ln -s "$(command -v "$tool")" "$work/few/$tool"; fi
done
reset
PATH="$work/few" step install 2
says "no cargo to build it with"
mv "$work/$archive" "$work/releases/v$version/$archive"
reset
PATH="$work/few" installed
ok "without an archive cargo builds the same version, or there is a clear error"

reset
unset ACTION_REPOSITORY PREFLINT_RELEASES_URL
GITHUB_ACTION_PATH=$work/_actions/someone/preflint/v1.0.0
mkdir -p "$GITHUB_ACTION_PATH"
step install 2
says "https://git.example.invalid/someone/preflint/releases/download/v$version/$archive"
ok "the releases are those of the action's own repository"

# Arguments, with the stub.
stub() {
  reset
  PREFLINT_VERSION=9.9.9
  installed
}
mkdir "$work/plain"
cd "$work/plain"
stub
export GH_TOKEN=token
PREFLINT_PATHS=$'k8s dir/a b.yaml\n\n  $(touch pwned)  \n-x\n`touch pwned`\n*'
PREFLINT_ARGS=$'--preset\nstrict\n--ignore=$(touch pwned);touch pwned\n'
step check 0
cat >"$work/expected" <<EXPECTED
check
--hide-suppressed
-o
sarif=preflint.sarif
-o
json=$work/temp/preflint.json
-o
markdown=$work/temp/preflint.md
--format
github
--preset
strict
--ignore=\$(touch pwned);touch pwned
--
k8s dir/a b.yaml
\$(touch pwned)
-x
\`touch pwned\`
*
EXPECTED
diff "$work/expected" "$work/arguments" >&2 || fail "the arguments differ"
[ ! -e pwned ] || fail "an input was run"
has findings 3
has critical 1
has low 2
has sarif "$work/plain/preflint.sarif"
judged 0
ok "paths and arguments arrive as they are"

stub
PREFLINT_ARGS=--format=pretty PREFLINT_SUMMARY=false
step check 0
! grep -q -e '^github$' -e markdown "$work/arguments" || fail "the format of the args should win, and no summary be written"
[ ! -s "$work/summary" ] || fail "a summary was written"
stub
PREFLINT_SUMMARY=yes
step check 2
says "write true or false"
stub
PREFLINT_WORKING_DIRECTORY='no such folder'
step check 2
says "\`no such folder\` is not there"
stub
PREFLINT_BASE=--upload-pack=x
step check 2
says "write auto, none"
export STUB_SUMMARY=3000000
stub
step check 0
size=$(wc -c <"$work/summary")
if [ "$size" -lt 900000 ] || [ "$size" -gt 1048576 ]; then fail "the summary has $size bytes"; fi
unset STUB_SUMMARY
ok "format, summary, folder and base"

for code in 1 2 3 4 101; do
  stub
  STUB_CODE=$code
  step check 0
  has exit-code "$code"
  case $code in 101) judged 2 ;; *) judged "$code" ;; esac
  says '::error title=preflint::'
done
says "ended unexpectedly"
ok "findings and a broken scanner fail the job differently"

# The real program.
mkdir "$work/real"
cd "$work/real"
git init --quiet
printf 'PASSWORD=Hv7Kq2XwZt9Rb4\n' >old.env
git add .
git commit --quiet --message one
reset
installed
PREFLINT_BASE=none
step check 0
says "::error file=old.env,line=1"
has exit-code 1
findings=$(value findings)
[ "$findings" -gt 0 ] || fail "no findings"
python3 - "$(value sarif)" "$findings" <<'PYTHON' || fail "the SARIF report does not hold the findings"
import json, sys
results = json.load(open(sys.argv[1]))["runs"][0]["results"]
assert len(results) == int(sys.argv[2]) and results[0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "old.env"
PYTHON
grep -q old.env "$work/summary" || fail "the job summary does not name the file"
! grep -rq Hv7Kq2XwZt9Rb4 "$work/log" "$work/summary" "$work/temp/preflint.json" preflint.sarif || fail "a secret is printed"
judged 1
says "Findings: $findings"
echo 'LOG_LEVEL=info' >old.env
reset
installed
step check 0
has exit-code 0
has findings 0
judged 0
echo 'pre-set = 1' >preflint.toml
reset
installed
step check 0
has exit-code 2
has findings ''
has sarif ''
judged 2
says "could not start the scan"
ok "the real preflint: findings, clean, and a broken configuration"

# A pull request: the base branch has moved on, the merge of both is checked out without history.
git init --quiet --bare "$work/origin"
git -C "$work/origin" config uploadpack.allowAnySHA1InWant true
mkdir "$work/develop"
cd "$work/develop"
git init --quiet
# One finding for each password.
echo 'ignore = ["dotenv/env-file-committed"]' >preflint.toml
printf 'PASSWORD=Hv7Kq2XwZt9Rb4\n' >old.env
git add .
git commit --quiet --message one
git branch feature
for number in 1 2 3; do
  echo "$number" >notes.md
  git add .
  git commit --quiet --message "main $number"
done
git checkout --quiet feature
printf 'PASSWORD=Tz4Wk8YvLp2Qs6\n' >new.env
git add .
git commit --quiet --message feature
git checkout --quiet -b merge main
git merge --quiet --no-ff --message merge feature
git push --quiet "$work/origin" main feature merge:refs/pull/7/merge
merge=$(git rev-parse merge) base=$(git rev-parse main) feature=$(git rev-parse feature)

# pull_request REF: a checkout of that ref as actions/checkout makes it by default.
pull_request() {
  rm -rf "$work/checkout"
  git init --quiet "$work/checkout"
  cd "$work/checkout"
  git remote add origin "file://$work/origin"
  git fetch --quiet --no-tags --depth=1 origin "$1"
  git checkout --quiet --detach FETCH_HEAD
  reset
  installed
  export GITHUB_EVENT_NAME=pull_request GITHUB_SHA=$merge PULL_REQUEST_BASE=$base
}
only_new() {
  step check 0
  says "reporting what is new since $1"
  has findings 1
  says "file=new.env"
  ! grep -q old.env "$work/log" || fail "an old finding is reported"
  judged 1
}
pull_request refs/pull/7/merge
only_new "$base"
[ "$(git rev-list --count HEAD)" -le 3 ] || fail "more history than needed was fetched"
pull_request "$feature"
only_new "$base"
pull_request refs/pull/7/merge
git remote set-url origin "file://$work/nowhere"
step check 0
says "::warning title=preflint::The base of this pull request could not be fetched"
has findings 2
pull_request refs/pull/7/merge
PREFLINT_BASE=none
step check 0
has findings 2
pull_request refs/pull/7/merge
PREFLINT_BASE=main GITHUB_EVENT_NAME=push
git config remote.origin.fetch '+refs/heads/*:refs/remotes/origin/*'
step check 0
has findings 1
PREFLINT_BASE=no-such-branch
step check 0
has exit-code 2
ok "a shallow checkout of a pull request finds its base, or says that it could not"

# A private repository, checked out with persist-credentials: false.
for token in job-token other; do
  pull_request refs/pull/7/merge
  GITHUB_SERVER_URL=$PREFLINT_RELEASES_URL
  git remote set-url origin "$GITHUB_SERVER_URL/git/origin"
  export GH_TOKEN=$token
  if [ "$token" = job-token ]; then
    only_new "$base"
  else
    step check 0
    says "could not be fetched"
    has findings 2
  fi
done
ok "the job's token fetches the base where the checkout kept no credentials"

# ------------------------------------------------------------------------------------------------------- the linters

cd "$root"
while read -r name; do
  case $name in PREFLINT_RELEASES_URL) continue ;; esac
  grep -q "^        $name: \${{ .* }}\$" action.yml || fail "action.yml does not set $name"
done < <(grep -oE 'PREFLINT_[A-Z0-9_]+|ACTION_REPOSITORY|PULL_REQUEST_BASE|GH_TOKEN' action/preflint.sh | sort -u)
ok "action.yml sets what the steps read"

rm -f "$work/log"
left_out() {
  echo "not run: $1"
  [ "${REQUIRE_ALL:-false}" != true ] || fail "REQUIRE_ALL is set, so it must run"
}
linted() {
  "$@" >"$work/log" 2>&1 || fail "$1 has findings"
  ok "$(basename "$1") is content"
}
for script in action/preflint.sh scripts/*.sh packaging/*.sh .ci/run; do bash -n "$script"; done
if command -v shellcheck >/dev/null; then
  linted shellcheck action/preflint.sh scripts/*.sh packaging/*.sh .ci/run
else
  left_out "shellcheck is not installed"
fi

actionlint=$(command -v actionlint || true)
if [ -z "$actionlint" ] && command -v go >/dev/null &&
  GOBIN="$work/bin" GOFLAGS=-modcacherw GOPATH="$work/go" go install github.com/rhysd/actionlint/cmd/actionlint@v1.7.12 >/dev/null 2>&1; then
  actionlint=$work/bin/actionlint
fi
if [ -n "$actionlint" ]; then linted "$actionlint"; else left_out "actionlint is not installed, and Go could not install it"; fi

zizmor=$(command -v zizmor || true)
if [ -z "$zizmor" ] && python3 -m venv "$work/venv" 2>/dev/null &&
  "$work/venv/bin/pip" install --quiet --require-hashes -r packaging/requirements-dev.txt >/dev/null 2>&1; then
  zizmor=$work/venv/bin/zizmor
fi
if [ -n "$zizmor" ]; then
  linted "$zizmor" --offline --no-progress --persona=pedantic action.yml .github
else
  left_out "zizmor is not installed, and pip could not install it"
fi

echo "$passed passed, 0 failed"
