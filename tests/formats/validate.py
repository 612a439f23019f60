"""Reads vtick's verdicts with the libraries of the tools they are for, and compares their counts with the record's."""

import json
import pathlib
import re
import sys

import jinja2
import yaml
import jsonschema
from junitparser import JUnitXml
from kcidb_io.schema import V5_3
from tap.parser import Parser

work, top, *records = map(pathlib.Path, sys.argv[1:])
records = [json.loads(record.read_text()) for record in records]
checks = records[0]["checks"]


def expect(what, seen, due):
    if seen != due:
        sys.exit(f"{what}: {seen}, but the record has {due}")
    print(f"{what}: {seen}")


def count(verdict, expected=None):
    return sum(c["verdict"] == verdict and (expected is None or ("expected" in c) == expected) for c in checks)


violated = count("violated", False)

schema = jsonschema.Draft202012Validator(json.loads((top / "docs/record.schema.json").read_text()))
schema.check_schema(schema.schema)
for record in records:
    schema.validate(record)
expect("record.schema.json: a record of another version is none", schema.is_valid({**records[0], "version": 0}), False)

lines = list(Parser().parse_text((work / "tap").read_text()))
tests = [line for line in lines if line.category == "test"]
expect("tap: tests", len(tests), len(checks))
expect("tap: failures", sum(not t.ok for t in tests), violated + count("harness-error"))
expect("tap: skipped", sum(t.skip for t in tests), count("not-exercised") + count("disturbed"))

suites = JUnitXml.fromfile(str(work / "junit"))
expect("junit: tests", sum(s.tests for s in suites), len(checks))
expect("junit: failures", sum(s.failures for s in suites), violated)
expect("junit: kernel is a property", all(any(p.name == "kernel" for p in s.properties()) for s in suites), True)

report = json.loads((work / "kcidb").read_text())
V5_3.validate(report)
expect("kcidb: valid, tests", len(report["tests"]), len(checks))
expect("kcidb: failures", sum(t["status"] == "FAIL" for t in report["tests"]), violated)

# As LAVA's dispatcher finds them: lava_dispatcher/actions/test/shell.py looks for this signal with these parameters.
signal = re.compile(r"<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=(\S+) RESULT=(pass|fail|skip|unknown)( MEASUREMENT=\d+ UNITS=\S+)?>")
signals = [signal.fullmatch(line) for line in (work / "lava").read_text().splitlines()]
expect("lava: every line is a signal", all(signals), True)
expect("lava: failures", sum(s[2] == "fail" for s in signals), violated)
expect("lava: some measure", any(s[3] for s in signals), True)

expect("markdown: details", (work / "markdown").read_text().count("<details>"), violated + count("harness-error"))

for file in ["contrib/lava/vtick.yaml", ".github/workflows/ci.yml", ".github/workflows/matrix.yml",
             ".github/ISSUE_TEMPLATE/verdict.yml"]:
    yaml.safe_load((top / file).read_text())
    print(f"{file}: YAML")
template = jinja2.Environment().from_string((top / "contrib/kernelci/vtick.jinja2").read_text())
yaml.safe_load(template.render(vtick_repository="R", vtick_url="U"))
print("contrib/kernelci/vtick.jinja2: renders to YAML")
