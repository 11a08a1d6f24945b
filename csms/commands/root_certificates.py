"""What charge points answer about their root certificates: installed, listed, deleted (security
white paper, M03 to M05)."""

from collections.abc import Mapping
from typing import Any

from csms.commands.sequel import Sequel
from csms.domain.certificate_facts import facts_of
from csms.domain.certificates import all_hash_data, hash_key, read_pem, root_problems
from csms.domain.command import Command
from csms.domain.configuration import Configuration
from csms.domain.security_event import own_event
from csms.errors import FieldError
from csms.state.installed_certificates import Installation

CENTRAL_SYSTEM_ROOT = "CentralSystemRootCertificate"
MANUFACTURER_ROOT = "ManufacturerRootCertificate"
CERTIFICATE_TYPES = (CENTRAL_SYSTEM_ROOT, MANUFACTURER_ROOT)
# Of a DeleteCertificate: it is there no longer.
_GONE = frozenset({"Accepted", "NotFound"})
# A follow-up that runs so long after its command ended does so again, or late.
LATE_MS = 5_000
LOOKED_AT = 50


def installation_problems(
    certificate_type: str, certificate: str, configuration: Configuration, now_ms: int
) -> list[str]:
    """Why a charge point may refuse a certificate; shown to the operator, never in the way."""
    try:
        certificates = read_pem(certificate, "certificate")
    except FieldError as error:
        return [f"it {error.problem}"]
    problems = root_problems(certificates, now_ms)
    if certificate_type == CENTRAL_SYSTEM_ROOT and configuration.boolean(
        "AdditionalRootCertificateCheck"
    ):
        problems.append(
            "the charge point takes one central system root only, and a new one must be signed by "
            "the one it has (AdditionalRootCertificateCheck)"
        )
    return problems


def after_install(command: Command, sequel: Sequel) -> None:
    """Keep what was sent and what came of it, with our hashes, to recognise it in the lists."""
    stores, charge_point_id = sequel.stores, command.charge_point_id
    certificate_type = str(command.payload.get("certificateType", ""))
    text = str(command.payload.get("certificate", ""))
    at_ms = command.settled_at_ms or sequel.now_ms
    status = command.status or str(command.state)
    known: dict[str, Any] = {}
    try:
        certificate = read_pem(text, "certificate")[0]
        facts = facts_of(certificate)
        known = {
            "subject": certificate.subject.rfc4514_string()[:300],
            "fingerprint": facts.fingerprint,
            "not_after_ms": facts.not_after_ms,
            "hash_data": tuple(all_hash_data(certificate)),
        }
    except (FieldError, ValueError):
        pass
    configuration = stores.configurations.find(charge_point_id)
    stores.installed_certificates.record(
        charge_point_id,
        Installation(
            command_id=command.command_id,
            certificate_type=certificate_type,
            status=status,
            at_ms=at_ms,
            requested_by=command.requested_by,
            problems=tuple(
                installation_problems(certificate_type, text, configuration, command.created_at_ms)
            ),
            **known,
        ),
    )
    named = known.get("subject", "a certificate that can't be read")
    _note("RootCertificateInstalled", f"{certificate_type} {named}", command, sequel)


def after_list(command: Command, sequel: Sequel) -> None:
    """Keep the list exactly as received: to delete one, its hash data is sent back as it is."""
    answer = command.answer if command.answer is not None else command.late_answer
    if answer is None or command.status not in {"Accepted", "NotFound"}:
        return
    told = answer.get("certificateHashData") if command.status == "Accepted" else None
    found = [one for one in told if isinstance(one, Mapping)] if isinstance(told, list) else []
    at_ms = command.settled_at_ms or sequel.now_ms
    gone = _deleted_since(command.charge_point_id, at_ms, sequel)
    sequel.stores.installed_certificates.told(
        command.charge_point_id,
        command.payload["certificateType"],
        [one for one in found if hash_key(one) not in gone],
        at_ms,
    )


def _deleted_since(charge_point_id: str, at_ms: int, sequel: Sequel) -> set[str]:
    """What was deleted after a list was told: where it is kept late, as its follow-up was cut off,
    that has been done already."""
    if sequel.now_ms - at_ms < LATE_MS:
        return set()
    latest = sequel.stores.commands.page(None, LOOKED_AT, charge_point_id=charge_point_id)
    return {
        hash_key(command.payload["certificateHashData"])
        for command in latest.items
        if command.action == "DeleteCertificate"
        and command.status in _GONE
        and (command.settled_at_ms or 0) >= at_ms
    }


def after_delete(command: Command, sequel: Sequel) -> None:
    """Deleted, or never there: it is on no list any more. Failed: it stays (M04.FR.06)."""
    data = command.payload["certificateHashData"]
    if command.status in _GONE:
        at_ms = command.settled_at_ms or sequel.now_ms
        sequel.stores.installed_certificates.deleted(command.charge_point_id, data, at_ms)
    named = f"serial number {data['serialNumber']}"
    _note("RootCertificateDeleted", named, command, sequel)


def _note(event_type: str, what: str, command: Command, sequel: Sequel) -> None:
    """What operators do with certificates belongs into the security log, whatever came of it."""
    said = f"{command.status or command.state}: {what}"
    at_ms = command.settled_at_ms or sequel.now_ms
    event = own_event(event_type, at_ms, said, actor=command.requested_by)
    sequel.stores.security_events.record(command.charge_point_id, event)
