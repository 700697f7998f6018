# SPDX-License-Identifier: Apache-2.0
"""Everything that is public is held against schemas/."""
import functools
import json

import jsonschema
import jsonschema_specifications
import referencing

from .base import ROOT


@functools.cache
def validator(name):
    schemas = ROOT / "schemas"
    registry = jsonschema_specifications.REGISTRY  # the specification's own metaschemas
    for path in schemas.glob("*.schema.json"):
        resource = referencing.Resource.from_contents(json.loads(path.read_text()))
        registry = registry.with_resource(path.name, resource)
    schema = json.loads((schemas / f"{name}.schema.json").read_text())
    return jsonschema.Draft202012Validator(
        schema, registry=registry, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)


def check(name, value):
    errors = list(validator(name).iter_errors(value))
    assert not errors, (f"does not fit schemas/{name}.schema.json: {errors[0].message} at "
                        f"{errors[0].json_path}\n{json.dumps(value, ensure_ascii=False)[:2000]}")


def check_record(topic, record):
    """topic without the prefix."""
    if not topic.startswith("tasks.") and topic not in ("results", "events", "lifecycle"):
        return
    shape = {"headers": record.headers, "value": record.json()}
    if topic.startswith("tasks."):
        check("task", shape)
    elif topic == "results":
        check("cloudevent", shape)
    elif topic == "lifecycle":
        check("lifecycle", shape)
        assert record.key == shape["value"]["run_id"].split("-")[0], record.key
    elif topic == "events":
        check("event", shape)
        if shape["headers"]["type"].startswith("task."):
            check("result", shape)
