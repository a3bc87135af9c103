#!/usr/bin/env bash
# The steps of action.yml: `preflint.sh install`, `preflint.sh check` and `preflint.sh verdict`.
#
# Inputs come as environment variables PREFLINT_*, never as text of a script, so nothing in them is run. Works with the
# bash 3.2 of macOS and with Git's bash on Windows; needs curl, tar (unzip on Windows) and what every bash comes with.
set -euo pipefail

# Workflow commands take one line; the runner turns the codes back.
escape() {
  local text=${1//%/%25}
  text=${text//$'\r'/%0D}
  printf '%s' "${text//$'\n'/%0A}"
}
fail() {
  echo "::error title=preflint::$(escape "$1")"
  exit "${2:-2}"
}
warn() { echo "::warning title=preflint::$(escape "$1")"; }
note() { echo "preflint action: $1"; }
output() { printf '%s=%s\n' "$1" "$2" >>"$GITHUB_OUTPUT"; }

# A path as bash takes it, and as programs for Windows take it.
unix_path() { if command -v cygpath >/dev/null; then cygpath -u "$1"; else printf '%s' "$1"; fi; }
native_path() { if command -v cygpath >/dev/null; then cygpath -m "$1"; else printf '%s' "$1"; fi; }

# split TEXT: sets `lines` to the lines of a text, without the blanks around them and without empty ones.
split() {
  local line
  lines=()
  while IFS= read -r line || [ -n "$line" ]; do
    line=${line#"${line%%[![:space:]]*}"}
    line=${line%"${line##*[![:space:]]}"}
    if [ -n "$line" ]; then lines+=("$line"); fi
  done <<<"$1"
}

flag() {
  case $2 in
    true | false) ;;
    *) fail "The input \`$1\` is \`$2\`; write true or false." ;;
  esac
  [ "$2" = true ]
}

# ---------------------------------------------------------------------------------------------------------- install

# The name of this platform in the releases; nothing where there is no archive for it.
target() {
  local arch
  case ${RUNNER_ARCH:-} in
    X64) arch=x86_64 ;;
    ARM64) arch=aarch64 ;;
    *) return ;;
  esac
  case ${RUNNER_OS:-}-$arch in
    Linux-*) if compgen -G '/lib/ld-musl-*' >/dev/null; then echo "$arch-unknown-linux-musl"; else echo "$arch-unknown-linux-gnu"; fi ;;
    macOS-*) echo "$arch-apple-darwin" ;;
    Windows-x86_64) echo x86_64-pc-windows-msvc ;;
  esac
}

# download URL FILE: 0 when it is there, 1 when the server says that there is no such file.
download() {
  local protocols='=https' status
  # The tests serve releases on this machine.
  case $1 in http://127.0.0.1:*) protocols='=http' ;; esac
  status=$(curl --silent --show-error --location --proto "$protocols" --proto-redir "$protocols" --retry 3 \
    --max-time 300 --output "$2" --write-out '%{http_code}' "$1") || fail "Downloading $1 failed (see above). Run the job again, or install preflint in a step of your own."
  case $status in
    200) return 0 ;;
    404) return 1 ;;
    *) fail "Downloading $1 failed: the server answers $status. Run the job again later." ;;
  esac
}

sha256() {
  if command -v sha256sum >/dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d ' ' -f 1
}

# The repository that this action is used from. Some runners leave the variable of a composite action empty.
action_repository() {
  local path
  path=$(unix_path "$GITHUB_ACTION_PATH")
  if [ -n "${ACTION_REPOSITORY:-}" ]; then
    printf '%s' "$ACTION_REPOSITORY"
  elif [[ $path =~ /_actions/([^/]+/[^/]+)/ ]]; then
    printf '%s' "${BASH_REMATCH[1]}"
  fi
}

# attested ARCHIVE REPOSITORY VERSION: whether the release workflow of that version built the archive.
attested() {
  if ! flag verify-attestation "${PREFLINT_VERIFY_ATTESTATION:-true}"; then
    note "the origin of the archive is not verified (verify-attestation: false)"
  elif ! command -v gh >/dev/null || [ -z "${GH_TOKEN:-}" ]; then
    note "the origin of the archive is not verified: that takes gh and a token; its checksum is"
  elif ! gh attestation verify --help 2>/dev/null | grep -q -e --source-ref; then
    note "the origin of the archive is not verified: this gh is too old for it; its checksum is"
  else
    gh attestation verify "$1" --repo "$2" --signer-workflow "$2/.github/workflows/release.yml" \
      --source-ref "refs/tags/v$3" --deny-self-hosted-runners ||
      fail "The archive was not built by the release workflow of $2 for v$3, or gh could not find out (see above). Do not use it. Where attestations are not available, such as on a server of your own, set verify-attestation: false and pin the input sha256."
    note "gh confirms that the release workflow of $2 built the archive"
  fi
}

install() {
  local version=${PREFLINT_VERSION#v} platform repository releases folder archive expected sums actual own
  [[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+([-+][0-9A-Za-z.-]+)?$ ]] ||
    fail "The input version is \`$PREFLINT_VERSION\`; write a full version such as v1.2.3. What moves, such as \`latest\`, is not taken."
  folder=$(unix_path "$RUNNER_TEMP")/preflint-$version
  mkdir -p "$folder"
  platform=$(target)
  repository=$(action_repository)
  releases=${PREFLINT_RELEASES_URL:-}
  if [ -z "$releases" ] && [ -n "$repository" ]; then releases=$GITHUB_SERVER_URL/$repository/releases/download; fi

  if [ -n "$platform" ] && [ -n "$releases" ]; then
    archive=preflint-$version-$platform.tar.gz
    case $platform in *windows*) archive=${archive%.tar.gz}.zip ;; esac
    if download "$releases/v$version/$archive" "$folder/$archive"; then
      expected=$(printf '%s' "${PREFLINT_SHA256:-}" | tr '[:upper:]' '[:lower:]')
      if [ -z "$expected" ]; then
        sums=$folder/SHA256SUMS
        download "$releases/v$version/SHA256SUMS" "$sums" || fail "The release v$version has no SHA256SUMS; without it $archive is not run."
        expected=$(awk -v name="$archive" '$2 == name || $2 == "*" name { print $1 }' "$sums")
        [ -n "$expected" ] || fail "SHA256SUMS of the release v$version does not name $archive; without a checksum it is not run."
      fi
      actual=$(sha256 "$folder/$archive")
      if [ "$actual" != "$expected" ]; then
        rm -f "$folder/$archive"
        fail "The checksum of $archive is wrong: expected SHA-256 $expected, got $actual. The archive was deleted and is not run. Find out who changed it before you try again."
      fi
      note "the checksum of $archive is right"
      attested "$folder/$archive" "$repository" "$version"
      case $archive in
        *.zip) unzip -q -o "$folder/$archive" -d "$folder" ;;
        *) tar -xzf "$folder/$archive" -C "$folder" ;;
      esac
      installed "$folder" "$version"
      return
    fi
    note "there is no $archive in the release v$version"
  else
    note "no release has an archive for ${RUNNER_OS:-this system} ${RUNNER_ARCH:-}, or the action is not used from a repository with releases"
  fi

  [ -z "${PREFLINT_SHA256:-}" ] || fail "The input sha256 pins an archive, but there is none for this platform and v$version. Remove sha256 to let the action build preflint."
  own=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$GITHUB_ACTION_PATH/Cargo.toml" | head -n 1)
  [ "$own" = "$version" ] || fail "There is no archive of v$version for this platform, and this action's own source is v$own. Use the action at v$version, or leave out the input version."
  command -v cargo >/dev/null || fail "There is no archive of v$version for this platform, and no cargo to build it with. Install a Rust toolchain in an earlier step."
  note "building preflint v$version with cargo"
  cargo install --locked --quiet --path "$GITHUB_ACTION_PATH" --root "$folder/built" || fail "cargo could not build preflint v$version (see above)."
  installed "$folder/built/bin" "$version"
}

# installed FOLDER VERSION: hands the program on, if it runs and says that it is this version.
installed() {
  local program=$1/preflint said
  if [ -f "$program.exe" ]; then program=$program.exe; fi
  said=$("$program" --version) || fail "$program does not run on this machine (see above)."
  [ "$said" = "preflint $2" ] || fail "$program says that it is \`$said\`, not \`preflint $2\`."
  note "$said is installed"
  output program "$program"
}

# ------------------------------------------------------------------------------------------------------------ check

# fetch ARGUMENT...: fetches from origin, with the job's token where the checkout kept no credentials.
fetch() {
  git fetch --quiet --no-tags "$@" 2>/dev/null && return
  [ -n "${GH_TOKEN:-}" ] && [ -n "${GITHUB_SERVER_URL:-}" ] || return
  # The environment, unlike arguments, cannot be seen by other users of the machine.
  GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0="http.$GITHUB_SERVER_URL/.extraheader" \
    GIT_CONFIG_VALUE_0="AUTHORIZATION: basic $(printf 'x-access-token:%s' "$GH_TOKEN" | base64 | tr -d '\n')" \
    git fetch --quiet --no-tags "$@"
}

is_shallow() { [ "$(git rev-parse --is-shallow-repository)" = true ]; }

# merge_base COMMIT: whether it and HEAD have a known common ancestor, after fetching as much as that takes.
merge_base() {
  git merge-base "$1" HEAD >/dev/null 2>&1 && return
  if is_shallow; then
    fetch --unshallow origin "$1" "$(git rev-parse HEAD)" || fetch --unshallow origin || true
  fi
  git rev-parse --quiet --verify "$1^{commit}" >/dev/null || fetch origin "$1" || true
  git merge-base "$1" HEAD >/dev/null 2>&1
}

# Sets `base` to the commit that a pull request is compared with; leaves it empty where all is to be reported.
find_base() {
  export GIT_TERMINAL_PROMPT=0
  base=
  case ${PREFLINT_BASE:=auto} in
    none) return ;;
    auto) ;;
    -*) fail "The input base is \`$PREFLINT_BASE\`; write auto, none, a commit or a branch." ;;
    *)
      base=$PREFLINT_BASE
      # What is still unknown after this, preflint explains.
      if ! merge_base "$base" && merge_base "origin/$base"; then base=origin/$base; fi
      return
      ;;
  esac
  if [ "${GITHUB_EVENT_NAME:-}" != pull_request ]; then return; fi
  local head
  if head=$(git rev-parse HEAD); then
    # actions/checkout takes the merge of the pull request into its base, without history: the base is its first parent.
    if [ "$head" = "${GITHUB_SHA:-}" ]; then
      git rev-parse --quiet --verify 'HEAD^2' >/dev/null || fetch --depth=2 origin "$GITHUB_SHA" || true
      if git rev-parse --quiet --verify 'HEAD^2' >/dev/null; then base=$(git rev-parse 'HEAD^1'); fi
    fi
    if [ -z "$base" ] && [ -n "${PULL_REQUEST_BASE:-}" ] && merge_base "$PULL_REQUEST_BASE"; then base=$PULL_REQUEST_BASE; fi
  fi
  if [ -n "$base" ]; then
    note "reporting what is new since $base"
  else
    warn "The base of this pull request could not be fetched, so all findings are reported, not only new ones. Check the repository out with actions/checkout and the permission contents: read, or with fetch-depth: 0."
  fi
}

check() {
  local program=$PREFLINT_PROGRAM temp=${RUNNER_TEMP} sarif json summary code=0 argument format=github lines base total counts
  local -a command paths arguments
  cd -- "$PREFLINT_WORKING_DIRECTORY" || fail "The input working-directory \`$PREFLINT_WORKING_DIRECTORY\` is not there. Check the repository out first."
  temp=$(native_path "$temp")
  json=$temp/preflint.json
  summary=$temp/preflint.md
  sarif=$PREFLINT_SARIF_FILE
  case $sarif in '' | *$'\n'*) fail "The input sarif-file is \`$sarif\`; write one file name." ;; esac
  rm -f -- "$json" "$summary" "$sarif"

  split "$PREFLINT_PATHS"
  paths=(${lines[@]+"${lines[@]}"})
  split "$PREFLINT_ARGS"
  arguments=(${lines[@]+"${lines[@]}"})
  command=("$program" check --hide-suppressed -o "sarif=$sarif" -o "json=$json")
  if flag summary "$PREFLINT_SUMMARY"; then command+=(-o "markdown=$summary"); fi
  for argument in ${arguments[@]+"${arguments[@]}"}; do
    case $argument in --format | --format=*) format= ;; esac
  done
  if [ -n "$format" ]; then command+=(--format "$format"); fi
  find_base
  if [ -n "$base" ]; then command+=(--base "$base"); fi
  command+=(${arguments[@]+"${arguments[@]}"} -- ${paths[@]+"${paths[@]}"})

  # The scan needs no token.
  unset GH_TOKEN
  "${command[@]}" || code=$?
  output exit-code "$code"
  if [ -s "$sarif" ]; then
    case $sarif in
      /* | [A-Za-z]:*) output sarif "$sarif" ;;
      *) output sarif "$(native_path "$PWD")/$sarif" ;;
    esac
  fi

  # The counts stand at the beginning of the report. grep is on every runner; jq and python3 are not.
  counts=
  if [ -s "$json" ]; then counts=$(head -c 4096 "$json" | tr -d ' \r\n' | grep -o '"findings":{"total":[^}]*}' || true); fi
  for argument in total critical high medium low info; do
    total=
    if [[ $counts =~ \"$argument\":([0-9]+) ]]; then total=${BASH_REMATCH[1]}; elif [ "$code" -ne 2 ] && [ "$code" -lt 100 ]; then
      fail "preflint exited with $code and left no report with the count \`$argument\` in $json. Please report this."
    fi
    if [ "$argument" = total ]; then output findings "$total"; else output "$argument" "$total"; fi
  done

  if [ -s "$summary" ] && [ -n "${GITHUB_STEP_SUMMARY:-}" ]; then
    # A summary over 1 MiB is refused as a whole.
    if [ "$(wc -c <"$summary")" -le 1000000 ]; then
      cat -- "$summary"
    else
      head -c 1000000 "$summary" | sed '$d'
      printf '\n\nThe rest is cut off; the whole report is in the SARIF file.\n'
    fi >>"$GITHUB_STEP_SUMMARY"
  fi
}

# ---------------------------------------------------------------------------------------------------------- verdict

verdict() {
  case ${PREFLINT_EXIT_CODE:-} in
    0) note "nothing to fail on" ;;
    1) fail "Findings: $PREFLINT_FINDINGS. The log, the job summary and the SARIF report say where. Which of them fail the job is \`fail-on\` in preflint.toml." 1 ;;
    3) fail "Something could not be analysed, and --strict-coverage asks for all. The report lists what." 3 ;;
    4) fail "There was nothing to check, and --require-input asks for something. Look at the inputs paths and working-directory." 4 ;;
    2) fail "preflint could not start the scan: a wrong option, configuration or path. Its message is in the log of the step before." 2 ;;
    *) fail "preflint ended unexpectedly (exit code ${PREFLINT_EXIT_CODE:-unknown}); nothing can be said about the files. Please report this with the log." 2 ;;
  esac
}

case ${1:-} in
  install | check | verdict) "$1" ;;
  *) fail "Usage: preflint.sh install|check|verdict" ;;
esac
