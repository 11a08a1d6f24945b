"""Records in plain words, for the templates: statuses, commands, instants, energy."""

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import orjson
from flask import Flask, request

from csms.clock import text_of
from csms.config import ClientCertificates
from csms.domain.charge_point import RegistrationStatus
from csms.domain.charging_books import ProfileRecord, ProfileState
from csms.domain.charging_profile import ChargingProfile, Purpose, write_profile
from csms.domain.connector import ChargePointStatus
from csms.domain.local_list import ListState
from csms.domain.reservation import Reservation, ReservationState
from csms.web import charging_graph
from csms.web.charge_point_state import ChargePointState, ConnectorState
from csms.web.pages import command_words
from csms.web.parts import parts

# By their names in csms/domain/traits.py, which are those of the fields of forms too.
TRAITS: Mapping[str, str] = {
    "vendor": "Vendor",
    "model": "Model",
    "firmware": "Firmware",
    "site": "Site",
    "tag": "Tag",
}


@dataclass(frozen=True, slots=True)
class Badge:
    """A state for the eye: never by colour alone, always a word and a shape.

    tone: a class of app.css; icon: a symbol of icons.svg; meaning: one sentence, for a tooltip.
    """

    word: str
    tone: str
    icon: str
    meaning: str


_STATUSES = {
    ChargePointStatus.AVAILABLE: Badge(
        "Available", "available", "check", "Ready for somebody to plug in."
    ),
    ChargePointStatus.PREPARING: Badge(
        "Preparing", "busy", "hourglass", "Somebody is about to charge: a cable or a tag is there."
    ),
    ChargePointStatus.CHARGING: Badge("Charging", "charging", "bolt", "Energy flows."),
    ChargePointStatus.SUSPENDED_EVSE: Badge(
        "Suspended by charge point", "paused", "pause", "A session runs; no energy is offered now."
    ),
    ChargePointStatus.SUSPENDED_EV: Badge(
        "Suspended by vehicle",
        "paused",
        "pause",
        "A session runs; the vehicle takes no energy now.",
    ),
    ChargePointStatus.FINISHING: Badge(
        "Finishing", "busy", "hourglass", "The session is over; the cable is still plugged in."
    ),
    ChargePointStatus.RESERVED: Badge("Reserved", "busy", "bookmark", "Kept for one id tag."),
    ChargePointStatus.UNAVAILABLE: Badge(
        "Unavailable", "off", "minus", "Taken out of service; nobody can charge."
    ),
    ChargePointStatus.FAULTED: Badge(
        "Faulted", "faulted", "warning", "It reports an error; nobody can charge."
    ),
}
_RESERVATIONS = {
    ReservationState.REQUESTED: Badge(
        "Requested", "busy", "hourglass", "The charge point has not said yet whether it keeps it."
    ),
    ReservationState.ACCEPTED: Badge(
        "Reserved", "available", "bookmark", "The charge point keeps it for this id tag."
    ),
    ReservationState.REFUSED: Badge(
        "Refused", "faulted", "minus", "The charge point did not take it."
    ),
    ReservationState.USED: Badge("Used", "charging", "bolt", "A transaction began with it."),
    ReservationState.CANCELLED: Badge("Cancelled", "off", "minus", "Somebody here cancelled it."),
    ReservationState.EXPIRED: Badge("Expired", "off", "hourglass", "Nobody came in time."),
    ReservationState.LOST: Badge(
        "Lost", "paused", "warning", "The charge point keeps it no longer, before its time."
    ),
}
_PROFILES = {
    ProfileState.REQUESTED: Badge(
        "Requested", "busy", "hourglass", "The charge point has not answered yet."
    ),
    ProfileState.INSTALLED: Badge("Installed", "available", "check", "The charge point took it."),
    ProfileState.UNCERTAIN: Badge(
        "Uncertain", "paused", "warning", "Sent and never answered: it may be there or not."
    ),
    ProfileState.REFUSED: Badge("Refused", "faulted", "minus", "The charge point did not take it."),
    ProfileState.CLEARED: Badge("Cleared", "off", "minus", "Taken out by a command."),
    ProfileState.REPLACED: Badge(
        "Replaced", "off", "minus", "Another of its kind and level, or of its number, came."
    ),
    ProfileState.ENDED: Badge("Ended", "off", "check", "It went with its transaction."),
}
_PURPOSES = {
    Purpose.CHARGE_POINT_MAX: "The charge point as a whole",
    Purpose.TX_DEFAULT: "Every transaction",
    Purpose.TX: "One transaction",
}
OFFLINE = Badge("Offline", "offline", "offline", "Its connection is closed.")
NEVER_SEEN = Badge("Never connected", "offline", "offline", "It has not connected yet.")
SILENT = Badge("Connected", "available", "check", "Connected; no connector has reported yet.")
UNKNOWN = Badge("Unknown", "off", "minus", "It has not reported its status.")
_NOT_ACCEPTED = {
    RegistrationStatus.PENDING: Badge(
        "Pending", "paused", "hourglass", "Connected, but not admitted to charge yet."
    ),
    RegistrationStatus.REJECTED: Badge(
        "Rejected", "faulted", "minus", "Its boot was answered Rejected; it may not charge."
    ),
}
# The one that stands for all connectors: what needs somebody comes first.
_PRECEDENCE = (
    ChargePointStatus.FAULTED,
    ChargePointStatus.CHARGING,
    ChargePointStatus.SUSPENDED_EV,
    ChargePointStatus.SUSPENDED_EVSE,
    ChargePointStatus.PREPARING,
    ChargePointStatus.FINISHING,
    ChargePointStatus.RESERVED,
    ChargePointStatus.AVAILABLE,
    ChargePointStatus.UNAVAILABLE,
)


_IN_SESSION = frozenset(
    {
        ChargePointStatus.CHARGING,
        ChargePointStatus.SUSPENDED_EV,
        ChargePointStatus.SUSPENDED_EVSE,
        ChargePointStatus.FINISHING,
    }
)


def connector_badge(connector: ConnectorState) -> Badge:
    return UNKNOWN if connector.notified is None else _STATUSES[connector.notified.status]


def profile_badge(record: ProfileRecord) -> Badge:
    return _PROFILES[record.state]


def purpose_word(purpose: Purpose) -> str:
    return _PURPOSES[purpose]


def limits_word(profile: ChargingProfile) -> str:
    """`16 A`, `6 to 32 A in 4 periods`."""
    schedule = profile.schedule
    limits = [period.limit for period in schedule.periods]
    highest = charging_graph.figure(max(limits), schedule.unit)
    if len(limits) == 1:
        return highest
    lowest = charging_graph.figure(min(limits), schedule.unit)
    return f"{lowest} to {highest} in {len(limits)} periods"


def reservation_badge(record: Reservation) -> Badge:
    return _RESERVATIONS[record.state]


def charge_point_badge(state: ChargePointState) -> Badge:
    """One badge for the whole charge point."""
    if not state.is_connected:
        seen = state.connection.presence.connected_at_ms is not None
        return OFFLINE if seen else NEVER_SEEN
    if state.record.registration in _NOT_ACCEPTED:
        return _NOT_ACCEPTED[state.record.registration]
    reported = {c.notified.status for c in state.connectors if c.notified is not None}
    if reported == {ChargePointStatus.AVAILABLE, ChargePointStatus.UNAVAILABLE}:
        # Connector 0 says Available while its outlets are out of service, or the other way round.
        main = next((c for c in state.connectors if c.connector_id > 0), None)
        return connector_badge(main) if main else SILENT
    return next((_STATUSES[status] for status in _PRECEDENCE if status in reported), SILENT)


_LIST_STATES = {
    ListState.NONE: Badge("None assigned", "off", "minus", "This system sends it no local list."),
    ListState.IN_STEP: Badge(
        "In step", "available", "check", "It has acknowledged exactly what it should have."
    ),
    ListState.OUT_OF_STEP: Badge(
        "Out of step", "paused", "warning", "What it has is not what it should have."
    ),
    ListState.SYNCING: Badge("Syncing", "busy", "hourglass", "A sync runs."),
    ListState.FAILED: Badge(
        "Failed", "faulted", "warning", "The last sync failed; somebody must look."
    ),
    ListState.NOT_SUPPORTED: Badge(
        "Not supported", "off", "minus", "The charge point says that it has no local list."
    ),
    ListState.INTERRUPTED: Badge(
        "Interrupted", "paused", "warning", "Nobody knows whether the last message was taken."
    ),
}


def local_list_badge(state: ListState) -> Badge:
    return _LIST_STATES[state]


_FACTS = {
    "chargePointVendor": "Vendor",
    "chargePointModel": "Model",
    "chargePointSerialNumber": "Serial number",
    "chargeBoxSerialNumber": "Serial number of the box",
    "firmwareVersion": "Firmware",
    "iccid": "SIM card (ICCID)",
    "imsi": "SIM (IMSI)",
    "meterType": "Meter",
    "meterSerialNumber": "Serial number of the meter",
}


def fact_word(name: str) -> str:
    """Of a field of BootNotification.req."""
    return _FACTS.get(name, name)


def energy(wh: int | None) -> str:
    """`12.40 kWh`; a dash where nothing is known."""
    return "–" if wh is None else f"{wh / 1000:,.2f} kWh"


def power(w: int | None) -> str:
    if w is None:
        return "–"
    return f"{w} W" if abs(w) < 1000 else f"{w / 1000:,.1f} kW"


def instant(ms: int) -> str:
    """`2026-11-22 19:45:00 UTC`."""
    return f"{text_of(ms)[:19].replace('T', ' ')} UTC"


def minute(ms: int) -> str:
    """`2026-11-22 19:45`, UTC, where a column says so."""
    return text_of(ms)[:16].replace("T", " ")


def duration(ms: int) -> str:
    """`3 h 05 min`, `12 min`, `40 s`."""
    seconds = max(0, ms // 1000)
    hours, rest = divmod(seconds, 3600)
    if hours:
        return f"{hours} h {rest // 60:02d} min"
    return f"{rest // 60} min" if rest >= 60 else f"{rest} s"


def pretty(value: Any) -> str:
    """JSON to be read by people."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode("utf-8")


def total_power(connectors: Iterable[ConnectorState]) -> int | None:
    """What all connectors draw together while they charge; None where none says.

    One that reports that it is free draws nothing, whatever it measured last.
    """
    powers = [
        connector.reading.power_w
        for connector in connectors
        if connector.transaction_id is not None
        and connector.reading is not None
        and connector.reading.power_w is not None
        and (connector.notified is None or connector.notified.status in _IN_SESSION)
    ]
    return sum(powers) if powers else None


def ocpp_address(charge_point_id: str, security_profile: int = 1) -> str:
    """Where a charge point is to connect; its id may be a placeholder."""
    settings = parts().settings
    base = (settings.public_url or request.host_url).rstrip("/")
    if security_profile >= 2:
        base = settings.public_tls_url or _tls_base(base, security_profile)
    scheme, _, host = base.rstrip("/").partition("://")
    socket_scheme = "wss" if scheme in {"https", "wss"} else "ws"
    return f"{socket_scheme}://{host}{settings.ocpp_path.rstrip('/')}/{charge_point_id}"


_PREFERRED = {
    2: (ClientCertificates.NONE, ClientCertificates.OPTIONAL),
    3: (ClientCertificates.REQUIRED, ClientCertificates.OPTIONAL),
}


def _tls_base(base: str, security_profile: int) -> str:
    """The address of the TLS port that fits a profile best; behind a proxy that ends TLS, and where
    there is none, that of everything else with TLS."""
    host = urlsplit(base).hostname or ""
    host = f"[{host}]" if ":" in host else host
    for demand in _PREFERRED[security_profile]:
        for port in parts().settings.tls_ports:
            if port.client_certificates is demand:
                return f"https://{host}:{port.port}"
    return f"https://{base.partition('://')[2]}"


def register(app: Flask) -> None:
    app.jinja_env.filters.update(
        energy=energy,
        power=power,
        instant=instant,
        minute=minute,
        iso=text_of,
        duration=duration,
        pretty=pretty,
    )
    app.jinja_env.globals.update(
        charge_point_badge=charge_point_badge,
        command_record=command_words.record_page,
        command_subject=command_words.subject,
        command_title=command_words.title,
        connector_badge=connector_badge,
        fact_word=fact_word,
        limit_word=charging_graph.figure,
        limits_word=limits_word,
        local_list_badge=local_list_badge,
        profile_badge=profile_badge,
        profile_on_wire=write_profile,
        purpose_word=purpose_word,
        outcome=command_words.outcome,
        reservation_badge=reservation_badge,
        total_power=total_power,
        ocpp_address=ocpp_address,
        live_entry=lambda: parts().feed.last_entry,
        once=lambda: secrets.token_hex(8),
    )
