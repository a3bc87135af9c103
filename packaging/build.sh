#!/usr/bin/env bash
# Builds the wheel for a target and the release archive from it:
#
#     packaging/build.sh TARGET FOLDER
#
# Needs a Rust toolchain with that target and the tools of requirements-release.txt. Linux targets are linked with zig,
# so that the binary runs with glibc 2.17 or newer, whatever the machine that builds it has.
set -euo pipefail
if [ $# -ne 2 ]; then
  sed -n '2,7s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
target=$1
mkdir -p "$2"
folder=$(cd "$2" && pwd)
cd "$(dirname "$0")"

case $target in
  *-linux-gnu) options=(--zig --compatibility manylinux_2_17) ;;
  *-linux-musl) options=(--zig --compatibility musllinux_1_2) ;;
  *) options=(--compatibility pypi) ;;
esac
# maturin takes the licences that lie beside its pyproject.toml.
wheels=$(mktemp -d)
trap 'rm -rf "$wheels" LICENSE-*' EXIT
cp ../LICENSE-* .
maturin build --release --target "$target" --out "$wheels" "${options[@]}"
# Windows runners have no python3.
python=$(command -v python3 || command -v python)
"$python" archive.py "$wheels"/*.whl "$target" "$folder"
cp "$wheels"/*.whl "$folder"
