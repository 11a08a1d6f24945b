"""The API's document as a page to read: our own template, nothing from elsewhere."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from flask import Blueprint, Flask, render_template

from csms.web.api.blueprint import ProblemApi

_METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True, slots=True)
class ShownField:
    """A field of a body or a parameter; kind is its type in words."""

    name: str
    kind: str
    is_required: bool
    description: str
    where: str = ""


@dataclass(frozen=True, slots=True)
class ShownOperation:
    method: str
    path: str
    summary: str
    description: str
    parameters: list[ShownField]
    body: list[ShownField]
    answer: list[ShownField]
    statuses: list[tuple[str, str]] = field(default_factory=list)

    @property
    def anchor(self) -> str:
        return f"{self.method}-{self.path.strip('/').replace('/', '-')}".replace(".", "-")


def register(app: Flask, api: ProblemApi) -> None:
    blueprint = Blueprint("docs", __name__)

    @blueprint.get("/api/docs")
    def page() -> str:
        document = api.spec.to_dict()
        return render_template("api_docs.html", info=document["info"], groups=grouped(document))

    app.register_blueprint(blueprint)


def grouped(document: Mapping[str, Any]) -> dict[str, tuple[str, list[ShownOperation]]]:
    """Operations under their tag, with the tag's description."""
    groups: dict[str, tuple[str, list[ShownOperation]]] = {
        tag["name"]: (tag.get("description", ""), []) for tag in document.get("tags", ())
    }
    for path, item in document["paths"].items():
        for method in _METHODS:
            if method in item:
                operation = item[method]
                shown = _operation(document, method, path, item, operation)
                groups.setdefault(operation["tags"][0], ("", []))[1].append(shown)
    return groups


def _operation(
    document: Mapping[str, Any],
    method: str,
    path: str,
    item: Mapping[str, Any],
    operation: Mapping[str, Any],
) -> ShownOperation:
    parameters = [
        ShownField(
            parameter["name"],
            _kind(parameter["schema"]),
            parameter.get("required", False),
            parameter.get("description", ""),
            parameter["in"],
        )
        for parameter in [*item.get("parameters", ()), *operation.get("parameters", ())]
    ]
    body = _json_schema(operation.get("requestBody", {}))
    responses = operation["responses"]
    success: Mapping[str, Any] = next(
        (r for status, r in responses.items() if status.startswith("2")), {}
    )
    return ShownOperation(
        method=method.upper(),
        path=path,
        summary=operation.get("summary", ""),
        description=operation.get("description", ""),
        parameters=parameters,
        body=list(_fields(document, body)),
        answer=list(_fields(document, _json_schema(success))),
        statuses=[
            (status, response.get("description", ""))
            for status, response in sorted(responses.items())
            if status != "default"
        ],
    )


def _json_schema(holder: Mapping[str, Any]) -> Mapping[str, Any]:
    content: Mapping[str, Any] = holder.get("content", {})
    schema: Mapping[str, Any] = content.get("application/json", {}).get("schema", {})
    return schema


def _resolved(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        schema = document["components"]["schemas"][name]
    return schema


def _fields(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[ShownField]:
    """Of an object, and of the items where it is a page."""
    resolved = _resolved(document, schema)
    properties = resolved.get("properties", {})
    if set(properties) == {"items", "next_cursor"}:
        for shown in _fields(document, properties["items"]["items"]):
            yield ShownField(
                f"items[].{shown.name}", shown.kind, shown.is_required, shown.description
            )
        yield ShownField("next_cursor", "string or null", True, "")
        return
    for name, content in properties.items():
        yield ShownField(
            name,
            _kind(content),
            name in resolved.get("required", ()),
            content.get("description", ""),
        )


def _kind(schema: Mapping[str, Any]) -> str:
    """The type in words: `string (date-time) or null`, `one of accepted, pending, rejected`."""
    if "enum" in schema:
        return "one of " + ", ".join(str(option) for option in schema["enum"] if option is not None)
    if "$ref" in schema:
        return str(schema["$ref"].rsplit("/", 1)[-1])
    for combination in ("anyOf", "allOf", "oneOf"):
        if combination in schema:
            return " or ".join(_kind(part) for part in schema[combination])
    kind = schema.get("type", "anything")
    if kind == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    text = " or ".join(kind) if isinstance(kind, list) else str(kind)
    return f"{text} ({schema['format']})" if "format" in schema else text
