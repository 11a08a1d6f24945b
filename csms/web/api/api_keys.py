"""The resource `api-keys`: the keys programs come with."""

from http import HTTPStatus
from typing import Any

from marshmallow import Schema, fields

from csms import clock
from csms.state.accounts import ApiKey
from csms.state.pages import Page
from csms.web.api.blueprint import ApiBlueprint
from csms.web.api.fields import Instant, Text, page_of
from csms.web.parts import parts

blueprint = ApiBlueprint("api-keys", "Keys for programs.")


class NewApiKeySchema(Schema):
    """name: what the key is for; commands sent with it carry it."""

    name = Text(100, 1, required=True)


class ApiKeySchema(Schema):
    """A key, without its secret."""

    id = fields.String(attribute="key_id")
    name = fields.String()
    created_at = Instant(attribute="created_at_ms")


class CreatedApiKeySchema(ApiKeySchema):
    """A key just made."""

    key = fields.String(metadata={"description": "It is not shown again."})


@blueprint.operation("GET", "/api-keys", answers=(200, page_of(ApiKeySchema)))
def list_api_keys() -> Page[ApiKey]:
    """List all API keys, oldest first; `CSMS_API_KEY` is not among them."""
    return Page(sorted(parts().accounts.api_keys(), key=lambda key: key.created_at_ms), None)


@blueprint.operation("POST", "/api-keys", takes=NewApiKeySchema, answers=(201, CreatedApiKeySchema))
def create_api_key(body: dict[str, Any]) -> tuple[dict[str, Any], HTTPStatus]:
    """Make an API key; it is answered this once."""
    now_ms = clock.now_ms()
    key = parts().accounts.create_api_key(body["name"], now_ms)
    created = {
        "key_id": key.split("_")[1],
        "name": body["name"],
        "created_at_ms": now_ms,
        "key": key,
    }
    return created, HTTPStatus.CREATED


@blueprint.operation("DELETE", "/api-keys/<key_id>", answers=(204, None), fails=(404,))
def delete_api_key(key_id: str) -> None:
    """Delete an API key; it opens nothing from now on."""
    parts().accounts.delete_api_key(key_id)
