"""Records the part of a foreign schema that an example uses: `python -m tests.integrations.record SCHEMA EXAMPLE SOURCE > FILE`.

SCHEMA is a CustomResourceDefinition (YAML) or a JSON Schema, EXAMPLE has the documents that are checked, and SOURCE says where the
schema is from, with its version. Every level that the example reaches is kept with all its names and types, so that a name or a type
that is wrong is noticed; levels that it does not reach are left out, and no description is kept.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

KEPT = ("type", "enum", "required", "x-kubernetes-int-or-string", "x-kubernetes-preserve-unknown-fields")


def schemas(path: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """The JSON Schema of each `apiVersion` and `kind` in a file."""
    document = yaml.safe_load(path.read_text())
    if document.get("kind") != "CustomResourceDefinition":
        [meaning] = document["x-kubernetes-group-version-kind"]
        group = f"{meaning['group']}/" if meaning["group"] else ""
        return {(group + meaning["version"], meaning["kind"]): document}
    group, kind = document["spec"]["group"], document["spec"]["names"]["kind"]
    versions = document["spec"]["versions"]
    return {(f"{group}/{version['name']}", kind): version["schema"]["openAPIV3Schema"] for version in versions}


def reduced(schema: dict[str, Any], examples: list[Any], base: Path) -> dict[str, Any]:
    """What a schema says of these values. ``base`` is the file of the schema."""
    while reference := schema.get("$ref"):
        file, _, place = reference.partition("#/")
        base = base.with_name(Path(file).name or base.name)
        schema = json.loads(base.read_text())
        for name in place.split("/"):
            schema = schema[name]
    found = {name: schema[name] for name in KEPT if name in schema}
    if "required" in found:  # what has a default is filled in before it is validated
        found["required"] = [name for name in found["required"] if "default" not in schema["properties"][name]]
    objects = [example for example in examples if isinstance(example, dict)]
    if properties := schema.get("properties"):
        reached = {name: [one[name] for one in objects if name in one] for name in properties}
        found["properties"] = {
            name: reduced(properties[name], values, base) if values else {} for name, values in sorted(reached.items())
        }
        found["additionalProperties"] = bool(schema.get("x-kubernetes-preserve-unknown-fields"))
    elif isinstance(schema.get("additionalProperties"), dict):
        found["additionalProperties"] = reduced(
            schema["additionalProperties"], [value for one in objects for value in one.values()], base
        )
    if isinstance(schema.get("items"), dict):
        items = [item for example in examples if isinstance(example, list) for item in example]
        found["items"] = reduced(schema["items"], items, base)
    return found


def main(schema: str, example: str, source: str) -> None:
    """Print the record."""
    known = schemas(Path(schema))
    documents = [
        one for one in yaml.safe_load_all(Path(example).read_text()) if (one["apiVersion"], one["kind"]) in known
    ]
    [key] = {(one["apiVersion"], one["kind"]) for one in documents}
    record = {
        "source": source,
        "apiVersion": key[0],
        "kind": key[1],
        "schema": reduced(known[key], documents, Path(schema)),
    }
    sys.stdout.write(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
