"""Validates OCSF events: python ocsf_check.py VERSION < EVENTS, one JSON object a line.

Prints a JSON list for each event: where it breaks the released schema of that version, and how. The
schema is the export of OCSF's own server that ocsf-json-schema carries.
"""

import json
import sys

from jsonschema import Draft202012Validator
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema


def main():
    compiled = get_ocsf_schema(sys.argv[1])
    # Before 1.8 the export keeps it beside the classes.
    if "base_event" in compiled:
        compiled["classes"]["base_event"] = {"uid": 0, **compiled["base_event"]}
    schema = OcsfJsonSchemaEmbedded(compiled)
    validators = {}
    for line in sys.stdin.buffer:
        event = json.loads(line)
        profiles = tuple(event.get("metadata", {}).get("profiles", []))
        key = (event.get("class_uid"), profiles)
        if key not in validators:
            validators[key] = validator(schema, *key)
        print(json.dumps(errors(validators[key], event)), flush=True)


def validator(schema, uid, profiles):
    try:
        name = schema.lookup_class_name_from_uid(uid)
    except ValueError:
        return None
    return Draft202012Validator(schema.get_class_schema(name, list(profiles)))


def errors(checker, event):
    if checker is None:
        return ["no such class"]
    found = []
    for error in checker.iter_errors(event):
        path = "/".join(str(part) for part in error.absolute_path)
        found.append(f"{path}: {error.validator}: {error.message[:200]}")
    return found


main()
