"""What we answer, as values: one class an Action, each with its payload as on the wire."""

from typing import Any

from csms.clock import text_of
from csms.domain.authorization import IdTagInfo
from csms.domain.values import frame_value


def _id_tag_info(info: IdTagInfo) -> dict[str, Any]:
    payload: dict[str, Any] = {"status": str(info.status)}
    if info.expires_at_ms is not None:
        payload["expiryDate"] = text_of(info.expires_at_ms)
    if info.parent_id_tag:
        payload["parentIdTag"] = info.parent_id_tag
    return payload


@frame_value
class Empty:
    """The confirmation of every message that is only told."""

    def payload(self) -> dict[str, Any]:
        return {}


@frame_value
class Authorize:
    id_tag_info: IdTagInfo

    def payload(self) -> dict[str, Any]:
        return {"idTagInfo": _id_tag_info(self.id_tag_info)}


@frame_value
class BootNotification:
    """interval_s: heartbeat interval when Accepted, else the wait before the next boot (4.2)."""

    status: str
    current_time_ms: int
    interval_s: int

    def payload(self) -> dict[str, Any]:
        return {
            "status": self.status,
            "currentTime": text_of(self.current_time_ms),
            "interval": self.interval_s,
        }


@frame_value
class DataTransfer:
    status: str

    def payload(self) -> dict[str, Any]:
        return {"status": self.status}


@frame_value
class Heartbeat:
    current_time_ms: int

    def payload(self) -> dict[str, Any]:
        return {"currentTime": text_of(self.current_time_ms)}


@frame_value
class SignCertificate:
    """status: Accepted or Rejected, whether it can be processed; the certificate comes later."""

    status: str

    def payload(self) -> dict[str, Any]:
        return {"status": self.status}


@frame_value
class StartTransaction:
    transaction_id: int
    id_tag_info: IdTagInfo

    def payload(self) -> dict[str, Any]:
        return {
            "transactionId": self.transaction_id,
            "idTagInfo": _id_tag_info(self.id_tag_info),
        }


@frame_value
class StopTransaction:
    """Without an idTag there is nothing to say of one (4.10)."""

    id_tag_info: IdTagInfo | None = None

    def payload(self) -> dict[str, Any]:
        return {} if self.id_tag_info is None else {"idTagInfo": _id_tag_info(self.id_tag_info)}


Confirmation = (
    Empty
    | Authorize
    | BootNotification
    | DataTransfer
    | Heartbeat
    | SignCertificate
    | StartTransaction
    | StopTransaction
)
