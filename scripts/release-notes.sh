#!/usr/bin/env bash
# Checks that a tag fits Cargo.toml and that the changelog is ready for it, and prints that version's part of it:
#
#     scripts/release-notes.sh v1.2.3
set -euo pipefail
if [ $# -ne 1 ]; then
  echo "usage: scripts/release-notes.sh v1.2.3" >&2
  exit 2
fi
cd "$(dirname "$0")/.."
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
if [ "$1" != "v$version" ]; then
  echo "the tag is $1, but Cargo.toml has version $version; delete the tag and make v$version, or change the version first" >&2
  exit 1
fi
# The heading of a released version ends with its date.
if ! grep -qxE "## ${version//./\\.} \([0-9]{4}-[0-9]{2}-[0-9]{2}\)" CHANGELOG.md; then
  echo "CHANGELOG.md has no heading \`## $version (YYYY-MM-DD)\`; write the date of the release there" >&2
  exit 1
fi
awk -v begin="## $version (" 'index($0, begin) == 1 { on = 1; next } /^## / { on = 0 } on' CHANGELOG.md
