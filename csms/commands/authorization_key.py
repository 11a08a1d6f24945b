"""What a new AuthorizationKey means for who may connect (security white paper, A01).

Before it is sent both keys admit; what the charge point answers decides which one stays.
"""

import secrets
from collections.abc import Mapping
from typing import Any

from csms.domain.credentials import SALT_BYTES, hash_key, read_authorization_key
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
    charge_points.update(charge_point_id, pending_key_hash=stored)


def after_answer(charge_points: ChargePoints, charge_point_id: str, status: object) -> None:
    """Accepted: the new key only (A01.FR.03). Rejected, NotSupported: the old one only (FR.04).

    Anything else, silence included, leaves both until the first login with the new one.
    """
    record = charge_points.get(charge_point_id)
    if status == "Accepted":
        charge_points.promote_key(charge_point_id, record.pending_key_hash)
    elif status in {"Rejected", "NotSupported"}:
        charge_points.update(charge_point_id, pending_key_hash="")
