"""Decides who may connect, before anything else is done for them."""

from collections.abc import Callable

from csms import metrics
from csms.clock import now_ms
from csms.config import Settings
from csms.domain.charge_point import (
    Admission as AdmissionSetting,
)
from csms.domain.charge_point import (
    ChargePoint,
    UnknownChargePoints,
    read_charge_point_id,
)
from csms.errors import ChargePointExists, StoreRefused, StoreUnavailable
from csms.logs import get_logger
from csms.protocol.handshake import (
    HandshakeRefused,
    RefusalReason,
    check_credentials,
    check_transport,
    choose_subprotocol,
)
from csms.state.stores import Stores
from csms.transport.server import Admission, Refusal, UpgradeRequest
from csms.transport.websocket import WebSocket

log = get_logger(__name__)

# Open doors are for trying things out; they must not let strangers fill the store.
UNKNOWN_ADMITTED_MAX = 10_000
# What the page calls its session (web/application.py), over TLS and without.
SESSION_COOKIES = frozenset({"csms", "__Host-csms"})

Serve = Callable[[ChargePoint, UpgradeRequest, WebSocket], None]


class Door:
    """serve: what is done with an admitted socket."""

    def __init__(self, stores: Stores, settings: Settings, serve: Serve) -> None:
        self._stores = stores
        self._settings = settings
        self._serve = serve
        self._pepper = settings.credential_pepper.encode()

    def __call__(self, request: UpgradeRequest) -> Refusal | Admission:
        presented_id = read_charge_point_id(request.path, self._settings.ocpp_path)
        try:
            return self._admit(presented_id, request)
        except HandshakeRefused as refused:
            self._record(presented_id, refused.reason, request)
            headers: tuple[tuple[str, str], ...] = ()
            if refused.status == 401:
                headers = (("WWW-Authenticate", 'Basic realm="ocpp", charset="UTF-8"'),)
            return Refusal(refused.status, refused.explanation, headers)
        except (StoreUnavailable, StoreRefused) as error:
            log.error("upgrade refused", reason=str(error))
            metrics.connections.labels(str(RefusalReason.STORE_UNAVAILABLE)).inc()
            return Refusal(503, "The store does not answer.", (("Retry-After", "5"),))

    def _admit(self, presented_id: str | None, request: UpgradeRequest) -> Admission:
        if presented_id is None:
            raise HandshakeRefused(
                404,
                RefusalReason.NOT_AN_OCPP_PATH,
                f"Charge points connect to {self._settings.ocpp_path}/<charge point id>.",
            )
        if _comes_from_the_page(request):
            raise HandshakeRefused(
                403, RefusalReason.FROM_A_BROWSER, "This address is for charge points."
            )
        record = self._known(presented_id)
        check_transport(record, secure=request.secure)
        credentials = check_credentials(
            record, presented_id, request.headers.get("authorization"), self._pepper
        )
        subprotocol = choose_subprotocol(
            request.headers.get("sec-websocket-protocol"), assume=record.assume_ocpp16
        )
        if credentials.pending_key_hash is not None:
            # The first login with the new key is the proof that it arrived (white paper, A01).
            self._stores.charge_points.promote_key(
                record.charge_point_id, credentials.pending_key_hash
            )
        metrics.connections.labels("accepted").inc()
        return Admission(subprotocol, lambda ws: self._serve(record, request, ws))

    def _known(self, presented_id: str) -> ChargePoint:
        charge_points = self._stores.charge_points
        record = charge_points.find_ignoring_case(presented_id)
        if record is not None:
            return record
        policy = UnknownChargePoints(self._settings.unknown_charge_points)
        if policy is UnknownChargePoints.REJECT or charge_points.count() >= UNKNOWN_ADMITTED_MAX:
            raise HandshakeRefused(
                404,
                RefusalReason.UNKNOWN_CHARGE_POINT,
                f"There is no charge point {presented_id}; enter it first.",
            )
        record = ChargePoint(
            presented_id,
            security_profile=0,
            admission=(
                AdmissionSetting.PENDING
                if policy is UnknownChargePoints.PENDING
                else AdmissionSetting.ACCEPTED
            ),
            description="Entered when it first connected.",
            created_at_ms=now_ms(),
        )
        try:
            charge_points.create(record)
        except ChargePointExists:  # two sockets at once: the other one entered it
            return charge_points.get(presented_id)
        log.info("unknown charge point entered", charge_point_id=presented_id, policy=str(policy))
        return record

    def refused_by_server(self, request: UpgradeRequest | None, refusal: Refusal) -> None:
        """What the server refused without asking here: capacity, draining, broken handshakes."""
        if request is None:
            return  # nothing is known to record it under
        presented_id = read_charge_point_id(request.path, self._settings.ocpp_path)
        busy = refusal.status in {429, 503}
        self._record(
            presented_id,
            RefusalReason.AT_CAPACITY if busy else RefusalReason.MALFORMED,
            request,
        )

    def tls_handshake_failed(self, remote_address: str, problem: str) -> None:
        """Nobody can know which charge point it was; its address tells."""
        metrics.tls_handshake_failures.inc()
        log.warning("tls handshake failed", remote_address=remote_address, problem=problem)
        reason = f"{RefusalReason.TLS_HANDSHAKE_FAILED}: {problem}"
        self._stores.refusals.record("", reason, remote_address, now_ms())

    def _record(
        self, presented_id: str | None, reason: RefusalReason, request: UpgradeRequest
    ) -> None:
        shown_id = presented_id or request.path.rsplit("/", 1)[-1]
        metrics.connections.labels(str(reason)).inc()
        if reason in {RefusalReason.MISSING_CREDENTIALS, RefusalReason.WRONG_CREDENTIALS}:
            metrics.auth_failures.labels("charge point").inc()
        log.warning(
            "connection refused",
            charge_point_id=shown_id[:64],
            reason=str(reason),
            remote_address=request.remote_address,
        )
        self._stores.refusals.record(shown_id, str(reason), request.remote_address, now_ms())


def _comes_from_the_page(request: UpgradeRequest) -> bool:
    """A browser that is logged in here: no charge point, but a page that misuses it."""
    cookies = request.headers.get("cookie", "").split(";")
    return any(cookie.partition("=")[0].strip() in SESSION_COOKIES for cookie in cookies)
