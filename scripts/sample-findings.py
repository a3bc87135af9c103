#!/usr/bin/env python3
"""Print a random sample of findings with their lines, to be read against the files.

    preflint check CORPUS --format json > report.json
    scripts/sample-findings.py report.json CORPUS --seed 7 --count 100 --most 8

At most --most findings of one rule are drawn; every rule that fired is drawn at least once.
"""
import argparse
import collections
import json
import pathlib
import random

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("report")
parser.add_argument("root", type=pathlib.Path)
parser.add_argument("--seed", type=int, default=7)
parser.add_argument("--count", type=int, default=100)
parser.add_argument("--most", type=int, default=8)
parser.add_argument("--around", type=int, default=3, help="lines shown before and after")
options = parser.parse_args()

findings = json.load(open(options.report))["findings"]
random.seed(options.seed)
random.shuffle(findings)
# First one of each rule, then the rest in the shuffled order.
first = {finding["rule"]: index for index, finding in reversed(list(enumerate(findings)))}
order = sorted(range(len(findings)), key=lambda index: (first[findings[index]["rule"]] != index, index))
drawn, of_rule = [], collections.Counter()
for index in order:
    rule = findings[index]["rule"]
    if len(drawn) < options.count and of_rule[rule] < options.most:
        of_rule[rule] += 1
        drawn.append(findings[index])

for number, finding in enumerate(sorted(drawn, key=lambda f: (f["rule"], f["path"], f["line"])), 1):
    print(f"\n#{number} {finding['rule']} [{finding['severity']}, {finding['confidence']}] {finding['path']}:{finding['line']}")
    print(f"    {finding['message']}")
    lines = (options.root / finding["path"]).read_text(errors="replace").splitlines()
    for at in range(max(1, finding["line"] - options.around), min(len(lines), finding["line"] + options.around) + 1):
        print(f"    {'>' if at == finding['line'] else ' '}{at:5} {lines[at - 1][:140]}")
print("\n", dict(of_rule))
