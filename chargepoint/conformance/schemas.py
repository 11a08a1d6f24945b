"""The JSON schemas a central system's messages must fit, strictly, as the official tool checks."""

import json
from functools import cache
from importlib.resources import files
from typing import Any

import jsonschema_rs


def violation(name: str, payload: Any) -> str | None:
    """What `payload` breaks in the schema `name` (`Reset`, `AuthorizeResponse`); None: nothing."""
    for error in _validator(name).iter_errors(payload):
        where = "/".join(str(part) for part in error.instance_path)
        return f"{where}: {error.message}" if where else str(error.message)
    return None


@cache
def _validator(name: str) -> Any:
    text = (files("ocpp") / "v16" / "schemas" / f"{name}.json").read_text("utf-8-sig")
    return jsonschema_rs.Draft4Validator(json.loads(text), validate_formats=True)
