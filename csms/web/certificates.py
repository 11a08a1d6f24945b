"""What operators may see and do about certificates, whether through the API or the page."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from csms import clock
from csms.commands import certificate_signing
from csms.commands.dispatch import CommandRequest
from csms.commands.root_certificates import CERTIFICATE_TYPES, installation_problems
from csms.commands.sequel import Sequel
from csms.domain.certificates import hash_key, read_pem
from csms.domain.command import Command
from csms.domain.security_event import own_event
from csms.errors import FieldError, NotFound
from csms.state.certificate_requests import KeptRequest
from csms.state.certificates import KeptCertificate
from csms.state.installed_certificates import Installation
from csms.state.stores import Stores
from csms.web.api.commands import wait_for_end
from csms.web.parts import WebParts

DAY_MS = 86_400_000
ENDS_SOON_DAYS = 30
ENDING_SHOWN = 50
_LOST_WITHOUT = {
    "CentralSystemRootCertificate": "the charge point could not connect any more",
    "ManufacturerRootCertificate": "the charge point could take no signed firmware any more",
}


@dataclass(frozen=True, slots=True)
class InstalledCertificate:
    """One of a list that a charge point told. hash_data: exactly as received. subject, fingerprint,
    not_after_ms: where we sent it ourselves and know it. is_last: of its type."""

    entry_id: str
    certificate_type: str
    hash_data: Mapping[str, Any]
    subject: str
    fingerprint: str
    not_after_ms: int | None
    is_last: bool


@dataclass(frozen=True, slots=True)
class InstalledCertificates:
    """certificate_type: of all of them. told_at_ms None: it was never asked."""

    certificate_type: str
    told_at_ms: int | None
    certificates: Sequence[InstalledCertificate]


@dataclass(frozen=True, slots=True)
class ChargePointCertificates:
    charge_point_id: str
    issued: Sequence[KeptCertificate]
    installed: Sequence[InstalledCertificates]
    installations: Sequence[Installation]


@dataclass(frozen=True, slots=True)
class Asked:
    """A command that was sent, and why the charge point may refuse it."""

    command: Command
    problems: Sequence[str]


@dataclass(frozen=True, slots=True)
class Asking:
    """Who asks, how long he waits for the answer, and how long the command may wait to be sent."""

    requested_by: str
    wait_s: float = 0.0
    deadline_s: int | None = None
    idempotency_key: str | None = None


def certificates_of(stores: Stores, charge_point_id: str) -> ChargePointCertificates:
    """Raises ChargePointUnknown."""
    stores.charge_points.get(charge_point_id)
    installations = stores.installed_certificates.installations(charge_point_id)
    told = {
        one.certificate_type: one for one in stores.installed_certificates.lists(charge_point_id)
    }
    known = {
        hash_key(data): installation
        for installation in reversed(installations)
        for data in installation.hash_data
    }
    installed = []
    for certificate_type in CERTIFICATE_TYPES:
        one = told.get(certificate_type)
        entries = one.certificates if one is not None else ()
        installed.append(
            InstalledCertificates(
                certificate_type,
                one.told_at_ms if one is not None else None,
                [
                    _entry(certificate_type, data, known.get(hash_key(data)), len(entries) == 1)
                    for data in entries
                ],
            )
        )
    issued = stores.certificates.of(charge_point_id)
    return ChargePointCertificates(charge_point_id, issued, installed, installations)


def _entry(
    certificate_type: str, data: Mapping[str, Any], known: Installation | None, is_last: bool
) -> InstalledCertificate:
    name = f"{certificate_type} {hash_key(data)}".encode("utf-8", "replace")
    return InstalledCertificate(
        entry_id=hashlib.blake2b(name, digest_size=12).hexdigest(),
        certificate_type=certificate_type,
        hash_data=data,
        subject=known.subject if known else "",
        fingerprint=known.fingerprint if known else "",
        not_after_ms=known.not_after_ms if known else None,
        is_last=is_last,
    )


def install(
    given: WebParts, charge_point_id: str, certificate_type: str, certificate: str, asking: Asking
) -> Asked:
    """InstallCertificate, whatever is said against the certificate; what is none in PEM is not
    sent. Raises FieldError, and what queueing a command does."""
    read_pem(certificate, "certificate")
    configuration = given.stores.configurations.find(charge_point_id)
    problems = installation_problems(certificate_type, certificate, configuration, clock.now_ms())
    payload = {"certificateType": certificate_type, "certificate": certificate}
    return Asked(_ask(given, charge_point_id, "InstallCertificate", payload, asking), problems)


def delete(
    given: WebParts, charge_point_id: str, entry_id: str, asking: Asking, *, confirmed: bool
) -> Command:
    """DeleteCertificate of one the charge point told of, with its hash data exactly as received.

    Raises NotFound, FieldError where it is the last of its type and nobody has confirmed that.
    """
    for listed in certificates_of(given.stores, charge_point_id).installed:
        for entry in listed.certificates:
            if entry.entry_id == entry_id:
                if entry.is_last and not confirmed:
                    raise FieldError("confirm", f"must be given: {warning_of(entry)}")
                payload = {"certificateHashData": dict(entry.hash_data)}
                return _ask(given, charge_point_id, "DeleteCertificate", payload, asking)
    raise NotFound("installed certificate", entry_id)


def revoke(given: WebParts, charge_point_id: str, fingerprint: str, actor: str) -> KeptCertificate:
    """End a client certificate that was signed here, and the connection that may rest on it.

    Raises ChargePointUnknown, NotFound.
    """
    stores = given.stores
    stores.charge_points.get(charge_point_id)
    fingerprint = fingerprint.casefold()
    if stores.certificates.revoke(charge_point_id, fingerprint):
        said = f"certificate {fingerprint}"
        event = own_event("CertificateRevoked", clock.now_ms(), said, critical=True, actor=actor)
        stores.security_events.record(charge_point_id, event)
        stores.changed.add(charge_point_id)
    # Whoever is connected comes back, and is looked at anew.
    given.evict(charge_point_id)
    kept = stores.certificates.find(charge_point_id, fingerprint)
    if kept is None:
        raise NotFound("certificate", fingerprint)
    return kept


def warning_of(entry: InstalledCertificate) -> str:
    """What happens to a charge point that loses the last certificate of a type (M04)."""
    return (
        f"it is the last {entry.certificate_type} that is known, and without one "
        f"{_LOST_WITHOUT[entry.certificate_type]}"
    )


def refresh(given: WebParts, charge_point_id: str, asking: Asking) -> list[Command]:
    """Ask for the lists of both types, one after the other."""
    until = time.monotonic() + asking.wait_s
    queued = [
        _queue(
            given,
            charge_point_id,
            "GetInstalledCertificateIds",
            {"certificateType": certificate_type},
            asking,
        )
        for certificate_type in CERTIFICATE_TYPES
    ]
    return [_wait(given, command, until - time.monotonic()) for command in queued]


def renew(given: WebParts, charge_point_id: str, asking: Asking) -> Command:
    """Ask the charge point to ask for a certificate (A02): for itself, so without a connector."""
    payload = {"requestedMessage": "SignChargePointCertificate"}
    return _ask(given, charge_point_id, "ExtendedTriggerMessage", payload, asking)


def enter_chain(given: WebParts, request_id: str, chain: str, entered_by: str) -> KeptRequest:
    """What an operator had signed elsewhere: checked, kept, sent.

    Raises NotFound, FieldError, CertificateRequestClosed, ChargePointUnknown.
    """
    sequel = Sequel(given.stores, given.desk, given.settings, given.storage, clock.now_ms())
    kept = given.stores.certificate_requests.get(request_id)
    signed = certificate_signing.take_chain(kept, chain, entered_by, sequel)
    certificate_signing.deliver(signed, sequel)
    return given.stores.certificate_requests.get(request_id)


def _ask(
    given: WebParts, charge_point_id: str, action: str, payload: dict[str, Any], asking: Asking
) -> Command:
    command = _queue(given, charge_point_id, action, payload, asking)
    return _wait(given, command, asking.wait_s)


def _queue(
    given: WebParts, charge_point_id: str, action: str, payload: dict[str, Any], asking: Asking
) -> Command:
    return given.desk.queue(
        CommandRequest(
            charge_point_id=charge_point_id,
            action=action,
            payload=payload,
            requested_by=asking.requested_by,
            deadline_s=asking.deadline_s,
            idempotency_key=asking.idempotency_key,
            reply_to=given.process_id if asking.wait_s else "",
        ),
        clock.now_ms(),
    )


def _wait(given: WebParts, command: Command, wait_s: float) -> Command:
    return wait_for_end(given, command, wait_s) if wait_s > 0 else command
