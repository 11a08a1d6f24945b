"""Installing, clearing and reckoning charging profiles: what the API and the page share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from csms.commands.charging_profiles import open_transactions, up_to_date
from csms.commands.composite_schedules import reckon
from csms.commands.dispatch import CommandRequest
from csms.domain.charging_books import OPEN_STATES, ProfileRecord
from csms.domain.charging_profile import ChargingLimits, Purpose, RateUnit
from csms.domain.charging_schedule import CompositeSchedule
from csms.domain.charging_template import (
    ChargingTemplate,
    Installing,
    as_instance,
    check_template,
    instance,
)
from csms.domain.command import Command
from csms.domain.composite_answer import CompositeAnswer, Difference, differences, overlap
from csms.domain.transaction import Transaction, TransactionState
from csms.errors import FieldError, NotFound
from csms.protocol.schemas import REQUESTS_SENT
from csms.web.parts import WebParts

SENT = "payload.csChargingProfiles"


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, and how long it may take. once: the Idempotency-Key."""

    requested_by: str
    once: str | None = None
    deadline_s: int | None = None
    reply_to: str = ""


@dataclass(frozen=True, slots=True)
class Installation:
    """What is to be installed: a template by its name, or a profile as on the wire without its id.

    What is None is found: the connector by the transaction or the purpose, the transaction by the
    connector, the id by counting. The instants replace those of the profile.
    """

    template: str | None = None
    profile: Mapping[str, Any] | None = None
    connector_id: int | None = None
    transaction_id: int | None = None
    charging_profile_id: int | None = None
    start_at_ms: int | None = None
    valid_from_ms: int | None = None
    valid_to_ms: int | None = None


# -- templates


def checked_template(template: ChargingTemplate) -> ChargingTemplate:
    """Raises FieldError with the path in the profile."""
    check_shape(template.profile, "profile")
    check_template(template.profile, "profile")
    return template


def check_shape(profile: Mapping[str, Any], path: str) -> None:
    """By the schema, as it will be by the desk. Raises FieldError."""
    payload = {"connectorId": 0, "csChargingProfiles": as_instance(profile, path)}
    for violation in REQUESTS_SENT["SetChargingProfile"].violations(payload):
        below = violation.path.split("/")[1:]
        raise FieldError(".".join([path, *below]), violation.message)


# -- installing and clearing


def install(
    parts: WebParts, charge_point_id: str, wanted: Installation, asker: Asker, now_ms: int
) -> Command:
    """Queue the SetChargingProfile. Raises what the desk raises, with the fields' own names."""
    stores = parts.stores
    stores.charge_points.get(charge_point_id)
    source, profile = _source(parts, wanted)
    check_shape(profile, source)
    purpose = Purpose(profile["chargingProfilePurpose"])
    transaction = _transaction(parts, charge_point_id, wanted, purpose)
    charging_profile_id = wanted.charging_profile_id
    if charging_profile_id is None:
        charging_profile_id = _new_id(parts, charge_point_id, asker, now_ms)
    installing = Installing(
        charging_profile_id,
        wanted.transaction_id if transaction is None else transaction.transaction_id,
        wanted.start_at_ms,
        wanted.valid_from_ms,
        wanted.valid_to_ms,
    )
    payload = {
        "connectorId": _connector(wanted, purpose, transaction),
        "csChargingProfiles": instance(profile, installing),
    }
    try:
        return _queue(parts, charge_point_id, "SetChargingProfile", payload, asker, now_ms)
    except FieldError as error:
        raise FieldError(_own_name(error.field, source), error.problem) from None


def start_profile(
    parts: WebParts, charge_point_id: str, template: str, asker: Asker, now_ms: int
) -> dict[str, Any]:
    """What a RemoteStartTransaction brings, from a template. Raises FieldError."""
    _, profile = _source(parts, Installation(template=template))
    if profile["chargingProfilePurpose"] != Purpose.TX:
        raise FieldError(
            "template",
            f"must be a {Purpose.TX}: nothing else comes with a start (OCPP 1.6 ed. 2, 5.16.2)",
        )
    return instance(profile, Installing(_new_id(parts, charge_point_id, asker, now_ms)))


def _new_id(parts: WebParts, charge_point_id: str, asker: Asker, now_ms: int) -> int:
    records = up_to_date(parts.stores, charge_point_id, now_ms)
    taken = {r.profile.charging_profile_id for r in records if r.state in OPEN_STATES}
    return parts.stores.charging_profiles.new_id(
        charge_point_id, taken, asker.requested_by, asker.once
    )


def _source(parts: WebParts, wanted: Installation) -> tuple[str, Mapping[str, Any]]:
    """Where the profile comes from, which names its fields, and the profile."""
    if (wanted.template is None) == (wanted.profile is None):
        raise FieldError("template", "give the name of a template, or a profile, and not both")
    if wanted.profile is not None:
        return "profile", wanted.profile
    found = parts.stores.charging_profile_templates.find(wanted.template or "")
    if found is None:
        raise FieldError("template", f"there is no template {wanted.template}")
    return "template", found.profile


def _transaction(
    parts: WebParts, charge_point_id: str, wanted: Installation, purpose: Purpose
) -> Transaction | None:
    """The one a TxProfile is for: as named, or what runs on the connector."""
    if wanted.transaction_id is None:
        if purpose is not Purpose.TX or wanted.connector_id is None:
            return None
        running = open_transactions(parts.stores, charge_point_id)
        return next((t for t in running if t.connector_id == wanted.connector_id), None)
    found = parts.stores.transactions.find(charge_point_id, wanted.transaction_id)
    if found is None:
        raise FieldError("transaction_id", "is no transaction of this charge point")
    if found.state is not TransactionState.OPEN:
        raise FieldError(
            "transaction_id",
            "has ended: a TxProfile needs a transaction that runs (OCPP 1.6 ed. 2, 3.13.1)",
        )
    if wanted.connector_id not in (None, found.connector_id):
        raise FieldError("connector_id", f"the transaction runs on connector {found.connector_id}")
    return found


def _connector(wanted: Installation, purpose: Purpose, transaction: Transaction | None) -> int:
    if wanted.connector_id is not None:
        return wanted.connector_id
    if transaction is not None:
        return transaction.connector_id
    if purpose is Purpose.CHARGE_POINT_MAX:
        return 0
    raise FieldError("connector_id", f"is required for a {purpose} (OCPP 1.6 ed. 2, 5.16)")


_OWN_NAMES = {
    "payload.connectorId": "connector_id",
    f"{SENT}.transactionId": "transaction_id",
    f"{SENT}.chargingProfileId": "charging_profile_id",
}


def _own_name(field: str, source: str) -> str:
    return _OWN_NAMES.get(field) or field.replace(SENT, source, 1)


@dataclass(frozen=True, slots=True)
class Clearing:
    """Every criterion must fit; an id overrides the rest. All: only where it is said so."""

    charging_profile_id: int | None = None
    connector_id: int | None = None
    purpose: Purpose | None = None
    stack_level: int | None = None
    is_all: bool = False


def clear(
    parts: WebParts, charge_point_id: str, wanted: Clearing, asker: Asker, now_ms: int
) -> Command:
    """Queue the ClearChargingProfile. Raises FieldError where nothing says what to clear."""
    criteria = {
        "id": wanted.charging_profile_id,
        "connectorId": wanted.connector_id,
        "chargingProfilePurpose": wanted.purpose,
        "stackLevel": wanted.stack_level,
    }
    payload = {name: value for name, value in criteria.items() if value is not None}
    if bool(payload) == wanted.is_all:
        raise FieldError("all", "give criteria, or all=true to clear every profile, and not both")
    return _queue(parts, charge_point_id, "ClearChargingProfile", payload, asker, now_ms)


def _queue(
    parts: WebParts,
    charge_point_id: str,
    action: str,
    payload: Mapping[str, Any],
    asker: Asker,
    now_ms: int,
) -> Command:
    request = CommandRequest(
        charge_point_id=charge_point_id,
        action=action,
        payload=payload,
        requested_by=asker.requested_by,
        deadline_s=asker.deadline_s,
        idempotency_key=asker.once,
        reply_to=asker.reply_to,
    )
    return parts.desk.queue(request, now_ms)


# -- the books


def record_of(parts: WebParts, command: Command, now_ms: int) -> ProfileRecord:
    """The profile that a command brings. Raises NotFound, for one that is no longer kept."""
    for record in up_to_date(parts.stores, command.charge_point_id, now_ms):
        if record.command_id == command.command_id:
            return record
    raise NotFound("charging profile of command", command.command_id)


# -- composite schedules


@dataclass(frozen=True, slots=True)
class Question:
    """unit: None takes what the charge point is known to take."""

    connector_id: int
    duration_s: int
    unit: RateUnit | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Our reckoning beside what the charge point answered last, and what that says.

    compared_from_ms, compared_to_ms: the time that both speak of, None where there is none.
    """

    computed: CompositeSchedule
    voltage_v: float
    answer: CompositeAnswer | None = None
    reported: CompositeSchedule | None = None
    compared_from_ms: int | None = None
    compared_to_ms: int | None = None
    differences: Sequence[Difference] = ()


def ask(
    parts: WebParts, charge_point_id: str, question: Question, asker: Asker, now_ms: int
) -> Command:
    """Queue the GetCompositeSchedule."""
    payload = {
        "connectorId": question.connector_id,
        "duration": question.duration_s,
        "chargingRateUnit": str(_unit(parts, charge_point_id, question)),
    }
    return _queue(parts, charge_point_id, "GetCompositeSchedule", payload, asker, now_ms)


def compare(parts: WebParts, charge_point_id: str, question: Question, now_ms: int) -> Comparison:
    """By our books, and by what the charge point answered last. Raises ChargePointUnknown."""
    stores, voltage_v = parts.stores, parts.settings.nominal_voltage_v
    stores.charge_points.get(charge_point_id)
    computed = reckon(
        stores,
        charge_point_id,
        question.connector_id,
        question.duration_s,
        _unit(parts, charge_point_id, question),
        voltage_v,
        now_ms,
    )
    answer = stores.charging_profiles.answer(charge_point_id, question.connector_id)
    reported = answer.schedule if answer is not None else None
    if reported is None:
        return Comparison(computed, voltage_v, answer)
    since_ms, until_ms = overlap(computed, reported) or (None, None)
    found = differences(computed, reported, voltage_v)
    return Comparison(computed, voltage_v, answer, reported, since_ms, until_ms, found)


def _unit(parts: WebParts, charge_point_id: str, question: Question) -> RateUnit:
    if question.unit is not None:
        return question.unit
    limits = ChargingLimits.told(parts.stores.configurations.find(charge_point_id))
    takes_amperes = limits.units is None or RateUnit.A in limits.units
    return RateUnit.A if takes_amperes else RateUnit.W
