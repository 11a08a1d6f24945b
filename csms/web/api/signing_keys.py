"""The resource `signing-keys`: keys that sign firmware, and what they sign."""

import hashlib
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from cryptography import x509
from flask import g, request
from marshmallow import Schema, ValidationError, fields, validates_schema
from marshmallow.validate import Length, Range, Regexp
from werkzeug.exceptions import UnsupportedMediaType

from csms import clock
from csms.commands.signing import FirmwareSignature
from csms.domain.certificate_authority import SignatureAlgorithm
from csms.domain.certificate_facts import facts_of
from csms.domain.firmware_signature import CERTIFICATE_MAX
from csms.state.pages import Page
from csms.state.signing_keys import SealedSigningKey
from csms.web.api.blueprint import ApiBlueprint
from csms.web.api.fields import Instant, Text, choice, page_of
from csms.web.parts import parts
from csms.web.streamed_bodies import body_chunks

blueprint = ApiBlueprint("signing-keys", "Keys that sign firmware, and what they sign.")

# No charge point takes more; nothing of it is kept.
FIRMWARE_MAX = 512 * 1_048_576
_SHA256 = re.compile(r"[0-9A-Fa-f]{64}")


def sha256_field(**kwargs: Any) -> fields.String:
    return fields.String(
        validate=Regexp(r"[0-9A-Fa-f]{64}\Z", error="must be 64 hex digits"), **kwargs
    )


def algorithm_field(**kwargs: Any) -> fields.Enum[SignatureAlgorithm]:
    return choice(SignatureAlgorithm, **kwargs)


class NewSigningKeySchema(Schema):
    """Either a key that you have, with its certificate; or, without both, one to be made, with a
    certificate that it signs itself."""

    name = Text(64, 1, required=True)
    algorithm = algorithm_field(
        load_default=None,
        allow_none=True,
        metadata={
            "description": "How it signs. Left out: rsa-pss, as the security white paper has it, "
            "or ecdsa for a key on an elliptic curve."
        },
    )
    private_key = fields.String(
        load_default=None,
        validate=Length(1, 20_000),
        metadata={"description": "PEM, without a passphrase. It is never shown again."},
    )
    certificate = fields.String(
        load_default=None, validate=Length(1, CERTIFICATE_MAX), metadata={"description": "PEM."}
    )
    common_name = Text(
        64, 1, load_default=None, metadata={"description": "Of a key to be made; else its name."}
    )
    organisation = Text(64, load_default="")
    valid_days = fields.Integer(
        strict=True, load_default=3_650, validate=Range(1, 36_500, error="must be 1 to 36500")
    )

    @validates_schema
    def both_or_none(self, body: dict[str, Any], **_: Any) -> None:
        if bool(body.get("private_key")) is not bool(body.get("certificate")):
            missing = "certificate" if body.get("private_key") else "private_key"
            raise ValidationError("is needed too", missing)


class SigningKeySchema(Schema):
    """A key, without its private part."""

    name = fields.String()
    algorithm = algorithm_field()
    certificate = fields.String(metadata={"description": "PEM."})
    common_name = fields.String()
    organisation = fields.String()
    issuer = fields.String()
    serial_number = fields.String()
    fingerprint = fields.String(metadata={"description": "SHA-256 of the certificate."})
    not_before = Instant(attribute="not_before_ms")
    not_after = Instant(attribute="not_after_ms")
    created_at = Instant(attribute="created_at_ms")
    created_by = fields.String()


class SignatureSchema(Schema):
    """What SignedUpdateFirmware needs."""

    signature = fields.String(metadata={"description": "base64"})
    signing_certificate = fields.String(metadata={"description": "PEM"})
    sha256 = fields.String()
    algorithm = algorithm_field()


@blueprint.operation("GET", "/signing-keys", answers=(200, page_of(SigningKeySchema)))
def list_signing_keys() -> Page[dict[str, Any]]:
    """List all signing keys, by name; their private parts are never shown."""
    return Page([shown(key) for key in parts().stores.signing_keys.all()], None)


def shown(key: SealedSigningKey) -> dict[str, Any]:
    """A key with what its certificate says."""
    facts = facts_of(x509.load_pem_x509_certificate(key.certificate.encode()))
    said = {name: getattr(facts, name) for name in facts.__dataclass_fields__}
    kept = ("name", "algorithm", "certificate", "created_at_ms", "created_by")
    return {**said, **{name: getattr(key, name) for name in kept}}


@blueprint.operation(
    "POST",
    "/signing-keys",
    takes=NewSigningKeySchema,
    answers=(201, SigningKeySchema),
    fails=(409,),
)
def create_signing_key(body: dict[str, Any]) -> tuple[dict[str, Any], HTTPStatus]:
    """Enter a signing key, or have one made."""
    return shown(keep(body, g.requested_by)), HTTPStatus.CREATED


def keep(body: Mapping[str, Any], requested_by: str) -> SealedSigningKey:
    """Of what NewSigningKeySchema has read. Raises FieldError, AlreadyExists, StoreRefused."""
    signing, now_ms = parts().transfers.signing, clock.now_ms()
    if body["private_key"]:
        return signing.enter(
            body["name"],
            body["private_key"],
            body["certificate"],
            body["algorithm"],
            requested_by,
            now_ms,
        )
    return signing.make(
        body["name"],
        body["algorithm"] or SignatureAlgorithm.RSA_PSS,
        body["common_name"] or body["name"],
        body["organisation"],
        body["valid_days"],
        requested_by,
        now_ms,
    )


@blueprint.operation("DELETE", "/signing-keys/<name>", answers=(204, None), fails=(404,))
def delete_signing_key(name: str) -> None:
    """Delete a signing key; what it has signed stays valid."""
    parts().transfers.signing.delete(name, g.requested_by, clock.now_ms())


_FILE_OR_DIGEST = {
    "required": True,
    "description": "The file itself, up to 512 MiB, of which nothing is kept; or its digest.",
    "content": {
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        "application/json": {
            "schema": {
                "type": "object",
                "properties": {"sha256": {"type": "string", "pattern": "^[0-9A-Fa-f]{64}$"}},
                "required": ["sha256"],
                "additionalProperties": False,
            }
        },
    },
}


@blueprint.operation(
    "POST",
    "/signing-keys/<name>/signatures",
    reads=_FILE_OR_DIGEST,
    answers=(200, SignatureSchema),
    fails=(404,),
)
def sign_firmware(name: str) -> FirmwareSignature:
    """Sign a firmware file."""
    parts().stores.signing_keys.get(name)
    return parts().transfers.signing.sign(name, _digest_of_body(), g.requested_by)


def _digest_of_body() -> str:
    """Of the file in the body, hashed as it arrives; or the one that is stated."""
    if request.mimetype == "application/octet-stream":
        request.max_content_length = FIRMWARE_MAX
        digest = hashlib.sha256()
        for chunk in body_chunks():
            digest.update(chunk)
        return digest.hexdigest()
    if not request.is_json:
        raise UnsupportedMediaType(
            "The body must be the file (Content-Type: application/octet-stream), or JSON with its "
            "sha256."
        )
    body = blueprint.ARGUMENTS_PARSER.parse(_DigestSchema(), request, location="json")
    stated: str = body["sha256"]
    return stated.lower()


class _DigestSchema(Schema):
    sha256 = sha256_field(required=True)
