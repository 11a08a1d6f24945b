"""Decides who may connect, before anything else is done for them."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from cryptography import x509

from csms import metrics
from csms.clock import now_ms
from csms.config import Settings
from csms.domain.attempts import AttemptLimits
from csms.domain.certificate_request import OVER
from csms.domain.charge_point import (
    Admission as AdmissionSetting,
)
from csms.domain.charge_point import (
    ChargePoint,
    UnknownChargePoints,
    read_charge_point_id,
)
from csms.domain.client_certificates import ClientTrust
from csms.domain.security_event import own_event
from csms.errors import ChargePointExists, StoreRefused, StoreUnavailable
from csms.logs import get_logger
from csms.protocol.handshake import (
    DOWNGRADES,
    IMPOSTURES,
    Caller,
    HandshakeRefused,
    Recognised,
    RefusalReason,
    choose_subprotocol,
    recognise,
)
from csms.state.security_events import SYSTEM
from csms.state.stores import Stores
from csms.transport.upgrade import Admission, Refusal, UpgradeRequest
from csms.transport.websocket import WebSocket

log = get_logger(__name__)

# Open doors are for trying things out; they must not let strangers fill the store.
UNKNOWN_ADMITTED_MAX = 10_000
# What the page calls its session (web/application.py), over TLS and without.
SESSION_COOKIES = frozenset({"csms", "__Host-csms"})

Serve = Callable[[ChargePoint, UpgradeRequest, WebSocket, Callable[[], bool]], None]


class Door:
    """serve: what is done with an admitted socket. client_roots: those that client certificates may
    lead to, as they are now."""

    def __init__(
        self,
        stores: Stores,
        settings: Settings,
        serve: Serve,
        client_roots: Callable[[], Sequence[x509.Certificate]] = tuple,
    ) -> None:
        self._stores = stores
        self._settings = settings
        self._serve = serve
        self._client_roots = client_roots
        self._pepper = settings.credential_pepper.encode()
        per_minute = settings.failed_attempts_per_minute
        self._attempt_limits = AttemptLimits.of(per_minute) if per_minute else None

    def __call__(self, request: UpgradeRequest) -> Refusal | Admission:
        presented_id = read_charge_point_id(request.path, self._settings.ocpp_path)
        try:
            return self._admit(presented_id, request)
        except HandshakeRefused as refused:
            self._record(presented_id, refused.reason, request)
            headers: tuple[tuple[str, str], ...] = ()
            if refused.status == 401:
                headers = (("WWW-Authenticate", 'Basic realm="ocpp", charset="UTF-8"'),)
            elif refused.retry_after_s:
                headers = (("Retry-After", str(refused.retry_after_s)),)
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
        caller = Caller(
            presented_id=presented_id,
            secure=request.secure,
            authorization=request.headers.get("authorization"),
            certificate=request.client_certificate,
            is_own=self._is_own(record, request),
        )
        at_ms = now_ms()
        recognised = self._recognise(record, caller, request.remote_address, at_ms)
        subprotocol = choose_subprotocol(
            request.headers.get("sec-websocket-protocol"), assume=record.assume_ocpp16
        )
        record = self._note_success(record, recognised, at_ms)
        metrics.connections.labels("accepted").inc()

        def is_still_welcome() -> bool:
            return self._is_welcome(record.charge_point_id, caller, request)

        return Admission(subprotocol, lambda ws: self._serve(record, request, ws, is_still_welcome))

    def _is_welcome(self, charge_point_id: str, caller: Caller, request: UpgradeRequest) -> bool:
        """Whether it would be let in by what the record says now; not where nobody knows."""
        try:
            record = self._stores.charge_points.find(charge_point_id)
            if record is None:
                return False
            caller = replace(caller, is_own=self._is_own(record, request))
            recognise(record, caller, self._pepper, self._trust(), now_ms())
        except (HandshakeRefused, StoreUnavailable, StoreRefused):
            return False
        return True

    def _recognise(
        self, record: ChargePoint, caller: Caller, remote_address: str, at_ms: int
    ) -> Recognised:
        """Wrong credentials are counted; who has shown too many is not looked at for a while."""
        limits, attempts = self._attempt_limits, self._stores.failed_attempts
        if limits is not None and caller.authorization is not None:
            failures = attempts.of(record.charge_point_id, remote_address)
            wait_ms = limits.wait_ms(failures, at_ms)
            if wait_ms:
                raise HandshakeRefused(
                    429,
                    RefusalReason.TOO_MANY_ATTEMPTS,
                    "Too many wrong credentials; come back later.",
                    retry_after_s=-(-wait_ms // 1000),
                )
        try:
            return recognise(record, caller, self._pepper, self._trust(), at_ms)
        except HandshakeRefused as refused:
            if limits is not None and refused.reason is RefusalReason.WRONG_CREDENTIALS:
                attempts.count(record.charge_point_id, remote_address, limits, at_ms)
            raise

    def _is_own(self, record: ChargePoint, request: UpgradeRequest) -> bool | None:
        """Whether the certificate shown was issued for this charge point, which neither refused it
        nor has used a newer one, and no operator has ended it; None where it was not issued through
        us."""
        if request.client_certificate is None:
            return None
        fingerprint = request.client_certificate.fingerprint
        owner = self._stores.certificates.owner(fingerprint)
        if owner is None:
            return None
        kept = self._stores.certificates.find(owner, fingerprint)
        is_over = kept is not None and kept.state in OVER
        return owner == record.charge_point_id and not is_over

    def _trust(self) -> ClientTrust:
        settings = self._settings
        return ClientTrust(
            self._client_roots(), settings.cpo_name or "", settings.client_certificate_cn
        )

    def _note_success(self, record: ChargePoint, recognised: Recognised, at_ms: int) -> ChargePoint:
        """What a first success changes, in the record as it is from now on."""
        charge_points, charge_point_id = self._stores.charge_points, record.charge_point_id
        if recognised.pending_key_hash is not None:
            # The first login with the new key is the proof that it arrived (white paper, A01).
            charge_points.promote_key(charge_point_id, recognised.pending_key_hash)
        if recognised.profile > record.security_profile:
            # From now on the lower one admits no more (A05.FR.09).
            if charge_points.promote_profile(charge_point_id, recognised.profile):
                said = f"from {record.security_profile} to {recognised.profile}: it came with it"
                self._stores.security_events.record(
                    charge_point_id, own_event("SecurityProfileRaised", at_ms, said)
                )
            record = replace(
                record, security_profile=recognised.profile, pending_security_profile=None
            )
        certificate = recognised.certificate
        if certificate is None:
            return record
        # The first use ends the older ones (A02).
        self._stores.certificates.used(charge_point_id, certificate.fingerprint, at_ms)
        if certificate != record.client_certificate:
            charge_points.update(charge_point_id, client_certificate=certificate)
            record = replace(record, client_certificate=certificate)
        return record

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
        reason, at_ms = f"{RefusalReason.TLS_HANDSHAKE_FAILED}: {problem}", now_ms()
        self._stores.refusals.record("", reason, remote_address, at_ms)
        # Without the address, so that whoever tries many adds one event an hour, not many.
        self._stores.security_events.record(SYSTEM, own_event("ConnectionRefused", at_ms, reason))

    def _record(
        self, presented_id: str | None, reason: RefusalReason, request: UpgradeRequest
    ) -> None:
        shown_id = presented_id or request.path.rsplit("/", 1)[-1]
        at_ms = now_ms()
        metrics.connections.labels(str(reason)).inc()
        if reason in {RefusalReason.MISSING_CREDENTIALS, RefusalReason.WRONG_CREDENTIALS}:
            metrics.auth_failures.labels("charge point").inc()
        log.warning(
            "connection refused",
            charge_point_id=shown_id[:64],
            reason=str(reason),
            remote_address=request.remote_address,
        )
        self._stores.refusals.record(shown_id, str(reason), request.remote_address, at_ms)
        if presented_id is not None and reason in IMPOSTURES:
            event = own_event(
                "ConnectionRefused",
                at_ms,
                f"{reason}, from {request.remote_address}",
                critical=reason in DOWNGRADES,
            )
            self._stores.security_events.record(presented_id, event)


def _comes_from_the_page(request: UpgradeRequest) -> bool:
    """A browser that is logged in here: no charge point, but a page that misuses it."""
    cookies = request.headers.get("cookie", "").split(";")
    return any(cookie.partition("=")[0].strip() in SESSION_COOKIES for cookie in cookies)
