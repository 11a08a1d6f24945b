"""What a new AuthorizationKey means for who may connect (security white paper, A01).

Before it is sent both keys admit; what the charge point answers decides which one stays.
"""

import secrets
from collections.abc import Mapping
from typing import Any

from csms.domain.credentials import SALT_BYTES, hash_key, key_matches, read_authorization_key
from csms.domain.secrets import is_secret_key
from csms.state.charge_points import ChargePoints


def is_key_change(action: str, payload: Mapping[str, Any]) -> bool:
    return action == "ChangeConfiguration" and is_secret_key(payload.get("key"))


def before_sending(
    charge_points: ChargePoints, charge_point_id: str, payload: Mapping[str, Any], pepper: str
) -> None:
    """Let the new key in before the charge point can have it."""
    key = read_authorization_key(payload["value"])
    stored = hash_key(key, secrets.token_bytes(SALT_BYTES), pepper.encode())
    charge_points.add_pending_key(charge_point_id, stored)


def after_answer(
    charge_points: ChargePoints,
    charge_point_id: str,
    payload: Mapping[str, Any],
    status: object,
    pepper: str,
) -> None:
    """Accepted: the new key only (A01.FR.03). Rejected, NotSupported: all but the new one (FR.04).

    Anything else, silence included, leaves all until the first login with one of them.
    """
    key = read_authorization_key(payload["value"])
    record = charge_points.find(charge_point_id)
    sent = [
        stored
        for stored in (record.pending_key_hashes if record else ())
        if key_matches(key, stored, pepper.encode())
    ]
    for stored in sent:
        if status == "Accepted":
            charge_points.promote_key(charge_point_id, stored)
        elif status in {"Rejected", "NotSupported"}:
            charge_points.drop_pending_key(charge_point_id, stored)
