#!/usr/bin/env python3
"""Compare what preflint composes of kustomizations with what kustomize builds.

    compare-kustomize.py --kustomize PATH FOLDER...    compare every kustomization below each folder, a root of its own
    compare-kustomize.py --kustomize PATH --golden     write tests/kustomize/*/expected.yaml anew

Kustomize runs without a network; what it cannot build so is listed and left out of the count.
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import yaml

NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
TEST = "environment::kustomize::tests::writes_compositions"


class Loader(yaml.CSafeLoader):
    """Reads numbers as Go writes them, and dates as texts."""


Loader.yaml_implicit_resolvers = {
    sign: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":timestamp", ":float", ":value"))]
    for sign, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+\.\d*|\.\d+|\d+)([eE][-+]?\d+)?$"),
    list("-+.0123456789"),
)


def run_kustomize(binary, folder):
    """The objects that kustomize builds, or why it does not."""
    environment = {
        "PATH": "/nonexistent",
        "HOME": tempfile.gettempdir(),
        "HTTP_PROXY": "http://127.0.0.1:9",
        "HTTPS_PROXY": "http://127.0.0.1:9",
    }
    command = [binary, "build", "--load-restrictor", "LoadRestrictionsNone", str(folder)]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired:
        return None, "took too long"
    if done.returncode:
        return None, done.stderr.strip().splitlines()[-1][:200] if done.stderr.strip() else "failed"
    return done.stdout, None


def parsed(text):
    return [document for document in yaml.load_all(text, Loader) if document is not None]


def plain(value):
    """Numbers as floats, so that 1 and 1.0 are equal, and keys as texts."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value


def identity(value):
    metadata = value.get("metadata") or {}
    return tuple(str(part or "") for part in (value.get("kind"), metadata.get("namespace"), metadata.get("name"), value.get("apiVersion")))


def differences(ours, theirs, path=""):
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted(set(ours) | set(theirs)):
            if key not in ours:
                yield f"{path}.{key}: only kustomize has it"
            elif key not in theirs:
                yield f"{path}.{key}: only preflint has it"
            else:
                yield from differences(ours[key], theirs[key], f"{path}.{key}")
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for index, (left, right) in enumerate(zip(ours, theirs)):
            yield from differences(left, right, f"{path}[{index}]")
    elif ours != theirs or isinstance(ours, bool) != isinstance(theirs, bool):
        yield f"{path}: {str(ours)[:80]!r} here, {str(theirs)[:80]!r} of kustomize"


def compare(ours, theirs):
    left = {identity(item): plain(item) for item in ours}
    right = {identity(item): plain(item) for item in theirs}
    for key in sorted(set(left) | set(right)):
        if key not in left:
            yield f"{' '.join(key)}: only kustomize has it"
        elif key not in right:
            yield f"{' '.join(key)}: only preflint has it"
        else:
            yield from differences(left[key], right[key], " ".join(key))


def compose(root):
    """What preflint makes of every kustomization below a root."""
    with tempfile.NamedTemporaryFile(suffix=".json") as output:
        environment = {**os.environ, "COMPOSE_ROOT": str(root), "COMPOSE_OUTPUT": output.name}
        command = ["cargo", "test", "--quiet", "--lib", TEST, "--", "--ignored", "--exact"]
        subprocess.run(command, cwd=REPOSITORY, env=environment, check=True, stdout=subprocess.DEVNULL)
        return json.load(output)


def golden(binary):
    for case in sorted(path for path in (REPOSITORY / "tests/kustomize").iterdir() if path.is_dir()):
        text, fault = run_kustomize(binary, case / "overlay" if (case / "overlay").is_dir() else case)
        if fault:
            sys.exit(f"{case.name}: {fault}")
        (case / "expected.yaml").write_text(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kustomize", default="kustomize", help="the program")
    parser.add_argument("--golden", action="store_true", help="write the expectations of the tests")
    parser.add_argument("--limit", type=int, default=5, help="differences shown for each kustomization")
    parser.add_argument("folders", nargs="*", type=pathlib.Path)
    arguments = parser.parse_args()
    if arguments.golden:
        golden(arguments.kustomize)
        return
    equal, unequal, left_out, slowest = 0, [], [], (0.0, "")
    for root in arguments.folders:
        for folder, ours in sorted(compose(root.resolve()).items()):
            slowest = max(slowest, (ours["seconds"], f"{root.name}/{folder}"))
            text, fault = run_kustomize(arguments.kustomize, root / folder)
            if fault:
                left_out.append(f"{root.name}/{folder}: {fault}")
                continue
            found = list(compare(ours["objects"], parsed(text)))
            if found:
                said = ours["not_evaluated"] + ours["problems"]
                unequal.append((f"{root.name}/{folder}", found, said))
            else:
                equal += 1
    for name, found, said in unequal:
        print(f"{name}: {len(found)} differences")
        for line in found[: arguments.limit] + said[: arguments.limit]:
            print(f"    {line}")
    print("left out, since kustomize does not build them offline:")
    for line in left_out:
        print(f"    {line}")
    total = equal + len(unequal)
    share = 100 * equal / total if total else 100
    print(f"{equal} of {total} equal ({share:.1f} %), {len(left_out)} left out, slowest {slowest[1]} in {slowest[0]:.2f} s")
    sys.exit(share < 95)


if __name__ == "__main__":
    main()
