"""The resource `certificates` of a charge point, the requests for them, and who signs them."""

from http import HTTPStatus
from typing import Any

from flask import g, url_for
from marshmallow import Schema, fields
from marshmallow.validate import Length, OneOf

from csms.commands.certificate_authority import authority_of
from csms.commands.root_certificates import CERTIFICATE_TYPES
from csms.config import CommonNameRule, SubjectRule
from csms.domain.certificate_authority import pem_chain
from csms.domain.certificate_request import CertificateState, RequestState
from csms.domain.command import FINAL_STATES, Command
from csms.state.certificate_requests import KeptRequest
from csms.state.certificates import KeptCertificate
from csms.state.pages import Page
from csms.web import certificates
from csms.web.api.blueprint import ApiBlueprint
from csms.web.api.commands import CommandSchema, WaitQuery, deadline_field
from csms.web.api.fields import Instant, PageQuery, choice, page_of
from csms.web.parts import parts

blueprint = ApiBlueprint(
    "certificates",
    "Client certificates and root certificates of charge points, and who signs the former.",
)

_ENDED = (200, "It has ended within `wait`")


class IssuedCertificateSchema(Schema):
    """A client certificate that was signed for the charge point."""

    fingerprint = fields.String(metadata={"description": "SHA-256, in hex."})
    state = fields.Enum(
        CertificateState,
        by_value=True,
        metadata={
            "description": "issued: what the charge point says of it is not known. pending: it has "
            "taken it. active: it was used last; those before it are superseded. revoked: an "
            "operator has ended it."
        },
    )
    common_name = fields.String()
    organisation = fields.String()
    issuer = fields.String()
    serial_number = fields.String(metadata={"description": "In hex."})
    not_before = Instant(attribute="not_before_ms")
    not_after = Instant(attribute="not_after_ms")
    issued_at = Instant(attribute="issued_at_ms")
    used_at = Instant(attribute="used_at_ms", allow_none=True)
    last_used_at = Instant(attribute="last_used_at_ms", allow_none=True)
    request_id = fields.String()


class InstalledCertificateSchema(Schema):
    """A root certificate, as the charge point told of it."""

    id = fields.String(attribute="entry_id", metadata={"description": "To delete it by."})
    hash_data = fields.Dict(metadata={"description": "certificateHashData exactly as received."})
    subject = fields.String(
        metadata={"description": "Where it was sent from here; else it is empty."}
    )
    fingerprint = fields.String()
    not_after = Instant(attribute="not_after_ms", allow_none=True)
    is_last = fields.Boolean(metadata={"description": "Of its type; see DELETE."})


class InstalledCertificatesSchema(Schema):
    """All root certificates of one type, as told last."""

    certificate_type = fields.String()
    told_at = Instant(
        attribute="told_at_ms", allow_none=True, metadata={"description": "null: never asked."}
    )
    certificates = fields.List(fields.Nested(InstalledCertificateSchema))


class InstallationSchema(Schema):
    """A certificate that was sent to be installed, and what came of it."""

    command_id = fields.String()
    certificate_type = fields.String()
    status = fields.String(
        metadata={"description": "Of the answer, or the state in which the command ended."}
    )
    at = Instant(attribute="at_ms")
    requested_by = fields.String()
    subject = fields.String()
    fingerprint = fields.String()
    not_after = Instant(attribute="not_after_ms", allow_none=True)
    problems = fields.List(
        fields.String(), metadata={"description": "Why a charge point may refuse it."}
    )


class ChargePointCertificatesSchema(Schema):
    """issued and installations: newest first."""

    charge_point_id = fields.String()
    issued = fields.List(fields.Nested(IssuedCertificateSchema))
    installed = fields.List(fields.Nested(InstalledCertificatesSchema))
    installations = fields.List(fields.Nested(InstallationSchema))


class _DeadlineSchema(Schema):
    deadline_s = deadline_field()


class NewInstallationSchema(_DeadlineSchema):
    """A root certificate to be installed."""

    certificate_type = fields.String(
        required=True,
        validate=OneOf(CERTIFICATE_TYPES, error=f"must be one of {', '.join(CERTIFICATE_TYPES)}"),
    )
    certificate = fields.String(
        required=True,
        validate=Length(1, 5_500, error="must have 1 to 5500 characters"),
        metadata={"description": "PEM, with LF line ends. It is sent as it is, whatever it holds."},
    )


class AskedToInstallSchema(Schema):
    """The command, and why the charge point may refuse it; it is sent all the same."""

    command = fields.Nested(CommandSchema)
    problems = fields.List(fields.String())


class RefreshSchema(Schema):
    commands = fields.List(fields.Nested(CommandSchema))


class DeleteQuery(WaitQuery):
    confirm = fields.Boolean(
        load_default=False,
        metadata={"description": "Needed to delete the last certificate of a type."},
    )


class CertificateRequestSchema(Schema):
    """A charge point's request for a client certificate."""

    id = fields.String(attribute="request_id")
    charge_point_id = fields.String()
    state = fields.Enum(
        RequestState,
        by_value=True,
        metadata={
            "description": "received: to be signed. sent: CertificateSigned is on its way. failed: "
            "there will be none, see `reason`. refused: the CSR can't be processed."
        },
    )
    reason = fields.String()
    csr = fields.String(metadata={"description": "PKCS#10, PEM."})
    key = fields.String(metadata={"description": "Its kind and length."})
    common_name = fields.String(metadata={"description": "That its certificate gets."})
    organisation = fields.String()
    received_at = Instant(attribute="received_at_ms")
    settled_at = Instant(attribute="settled_at_ms", allow_none=True)
    signed_by = fields.String()
    chain = fields.String(metadata={"description": "What was signed, PEM."})
    fingerprint = fields.String()
    command_id = fields.String()


class CertificateRequestsQuery(PageQuery):
    charge_point_id = fields.String(load_default=None, validate=Length(1, 48))
    state = choice(RequestState, load_default=None)


class ChainSchema(Schema):
    """What an authority has signed."""

    chain = fields.String(
        required=True,
        validate=Length(1, 10_000, error="must have 1 to 10000 characters"),
        metadata={
            "description": "PEM with LF line ends: the charge point's certificate first, then "
            "those above it but the root."
        },
    )


class CertificateAuthoritySchema(Schema):
    """Who signs, and how requests are judged."""

    kind = fields.String(metadata={"description": "built-in, manual or remote."})
    signed_by = fields.String()
    signature = fields.String(allow_none=True, metadata={"description": "With built-in only."})
    days = fields.Integer(allow_none=True, metadata={"description": "With built-in only."})
    chain = fields.String(metadata={"description": "Its certificates, PEM; with built-in only."})
    common_name = fields.Enum(CommonNameRule, by_value=True)
    subject = fields.Enum(SubjectRule, by_value=True)
    organisation = fields.String(allow_none=True)


_OF_CHARGE_POINT = "/charge-points/<charge_point:charge_point_id>"


@blueprint.operation(
    "GET",
    f"{_OF_CHARGE_POINT}/certificates",
    answers=(200, ChargePointCertificatesSchema),
    fails=(404,),
)
def read_certificates(charge_point_id: str) -> certificates.ChargePointCertificates:
    """Read the certificates of a charge point: issued to it, and its roots as it told of them."""
    return certificates.certificates_of(parts().stores, charge_point_id)


@blueprint.operation(
    "POST",
    f"{_OF_CHARGE_POINT}/certificates",
    query=WaitQuery,
    takes=NewInstallationSchema,
    answers=(202, AskedToInstallSchema),
    also=_ENDED,
    fails=(404, 409),
)
def install_certificate(
    query: dict[str, Any], body: dict[str, Any], charge_point_id: str
) -> tuple[certificates.Asked, HTTPStatus, dict[str, str]]:
    """Install a root certificate, with InstallCertificate."""
    asking = certificates.Asking(g.requested_by, query["wait"], body["deadline_s"])
    asked = certificates.install(
        parts(), charge_point_id, body["certificate_type"], body["certificate"], asking
    )
    return asked, _status(asked.command), _location(asked.command)


@blueprint.operation(
    "POST",
    f"{_OF_CHARGE_POINT}/certificates/issued/<fingerprint>/revoke",
    answers=(200, IssuedCertificateSchema),
    fails=(404,),
)
def revoke_certificate(charge_point_id: str, fingerprint: str) -> KeptCertificate:
    """Revoke a client certificate that was signed here.

    It admits nobody any more, and the connection ends. The charge point is not told: have it ask
    for a new one first, or enter another security profile.
    """
    return certificates.revoke(parts(), charge_point_id, fingerprint, g.requested_by)


@blueprint.operation(
    "POST",
    f"{_OF_CHARGE_POINT}/certificates/refresh",
    query=WaitQuery,
    answers=(202, RefreshSchema),
    also=_ENDED,
    fails=(404, 409),
)
def refresh_certificates(
    query: dict[str, Any], charge_point_id: str
) -> tuple[dict[str, Any], HTTPStatus]:
    """Ask for the lists of root certificates, with GetInstalledCertificateIds for each type."""
    asking = certificates.Asking(g.requested_by, query["wait"])
    commands = certificates.refresh(parts(), charge_point_id, asking)
    return {"commands": commands}, max(map(_status, commands))


@blueprint.operation(
    "DELETE",
    f"{_OF_CHARGE_POINT}/certificates/<entry_id>",
    query=DeleteQuery,
    answers=(202, CommandSchema),
    also=_ENDED,
    fails=(404, 409),
)
def delete_certificate(
    query: dict[str, Any], charge_point_id: str, entry_id: str
) -> tuple[Command, HTTPStatus, dict[str, str]]:
    """Delete a root certificate the charge point told of, with DeleteCertificate.

    The last of a type needs `confirm=true`: without a central system root the charge point can't
    connect any more, without a manufacturer root it takes no signed firmware.
    """
    asking = certificates.Asking(g.requested_by, query["wait"])
    command = certificates.delete(
        parts(), charge_point_id, entry_id, asking, confirmed=query["confirm"]
    )
    return command, _status(command), _location(command)


@blueprint.operation(
    "POST",
    f"{_OF_CHARGE_POINT}/renew-certificate",
    query=WaitQuery,
    answers=(202, CommandSchema),
    also=_ENDED,
    fails=(404, 409),
)
def renew_certificate(
    query: dict[str, Any], charge_point_id: str
) -> tuple[Command, HTTPStatus, dict[str, str]]:
    """Have the charge point ask for a new client certificate, with ExtendedTriggerMessage.

    What follows is a certificate request of its own.
    """
    asking = certificates.Asking(g.requested_by, query["wait"])
    command = certificates.renew(parts(), charge_point_id, asking)
    return command, _status(command), _location(command)


@blueprint.operation(
    "GET",
    "/certificate-requests",
    query=CertificateRequestsQuery,
    answers=(200, page_of(CertificateRequestSchema)),
)
def list_certificate_requests(query: dict[str, Any]) -> Page[KeptRequest]:
    """List requests for client certificates, newest first."""
    return parts().stores.certificate_requests.page(
        query["cursor"],
        query["limit"],
        charge_point_id=query["charge_point_id"],
        state=query["state"],
    )


@blueprint.operation(
    "GET",
    "/certificate-requests/<request_id>",
    answers=(200, CertificateRequestSchema),
    fails=(404,),
)
def read_certificate_request(request_id: str) -> KeptRequest:
    """Read a request for a client certificate."""
    return parts().stores.certificate_requests.get(request_id)


@blueprint.operation(
    "POST",
    "/certificate-requests/<request_id>/chain",
    takes=ChainSchema,
    answers=(200, CertificateRequestSchema),
    fails=(404, 409),
)
def enter_chain(body: dict[str, Any], request_id: str) -> KeptRequest:
    """Enter what was signed elsewhere; it is sent to the charge point with CertificateSigned."""
    return certificates.enter_chain(parts(), request_id, body["chain"], g.requested_by)


@blueprint.operation("GET", "/certificate-authority", answers=(200, CertificateAuthoritySchema))
def read_certificate_authority() -> dict[str, Any]:
    """Read who signs the certificates of charge points."""
    settings = parts().settings
    authority = authority_of(settings)
    is_built_in = authority is not None and not authority.is_remote
    return {
        "kind": "manual" if authority is None else "built-in" if is_built_in else "remote",
        "signed_by": "an operator" if authority is None else authority.words,
        "signature": settings.certificate_signature if is_built_in else None,
        "days": settings.certificate_days if is_built_in else None,
        "chain": "" if authority is None else pem_chain(authority.chain),
        "common_name": settings.client_certificate_cn,
        "subject": settings.certificate_subject,
        "organisation": settings.cpo_name,
    }


def _status(command: Command) -> HTTPStatus:
    return HTTPStatus.OK if command.state in FINAL_STATES else HTTPStatus.ACCEPTED


def _location(command: Command) -> dict[str, str]:
    return {"Location": url_for("commands.read_command", command_id=command.command_id)}
