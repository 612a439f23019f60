"""Holds a bill of materials against the schema of CycloneDX 1.6, and reads it with CycloneDX's own library."""

import json
import pathlib
import sys

from cyclonedx.model.bom import Bom
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

text = pathlib.Path(sys.argv[1]).read_text()
error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
if error is not None:
    sys.exit(f"{sys.argv[1]}: {error}")
bom = Bom.from_json(data=json.loads(text))
# Every reference leads somewhere.
bom.validate()
known = {c.bom_ref.value for c in bom.components} | {bom.metadata.component.bom_ref.value}
for dependency in bom.dependencies:
    for used in [dependency, *dependency.dependencies]:
        if used.ref.value not in known:
            sys.exit(f"{sys.argv[1]}: {used.ref.value} is no component")
unlicensed = [c.name for c in bom.components if not c.licenses]
if unlicensed:
    sys.exit(f"{sys.argv[1]}: no licence: {', '.join(unlicensed)}")
print(f"{sys.argv[1]}: valid CycloneDX 1.6, {len(bom.components)} components")
