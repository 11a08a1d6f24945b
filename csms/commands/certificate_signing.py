"""From a charge point's CSR to its certificate: signed once the answer is out, sent, settled
(security white paper, A02 and A03; docs/adr/0012-certificate-authority.md)."""

import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from csms.commands.certificate_authority import AuthorityFailure, authority_of
from csms.commands.dispatch import CommandRequest
from csms.commands.sequel import Sequel
from csms.config import SubjectRule
from csms.domain.certificate_facts import facts_of
from csms.domain.certificate_request import (
    CHAIN_MAX,
    CertificateRequest,
    ExpectedSubject,
    RequestState,
    UnusableChain,
    check_chain,
    expected_subject,
    judge_request,
)
from csms.domain.certificates import read_pem
from csms.domain.command import Command, CommandState
from csms.domain.security_event import own_event
from csms.errors import (
    CertificateRequestClosed,
    ChargePointUnknown,
    CommandForbidden,
    CSMSError,
    FieldError,
)
from csms.logs import get_logger
from csms.state.certificate_requests import KeptRequest

log = get_logger(__name__)

PER_SWEEP = 5
# Within the 24 hours for which the request's name keeps a second CertificateSigned out.
DEADLINE_S = 20 * 3_600
REQUESTED_BY = "system: certificate authority"
_NO_CERTIFICATE = "CertificateAuthorityFailed"


def after_answer(
    charge_point_id: str,
    request: Mapping[str, Any],
    confirmation: Mapping[str, Any],
    sequel: Sequel,
) -> None:
    """SignCertificate.conf is on the wire: sign and send now (quirk 42)."""
    if confirmation.get("status") != "Accepted" or authority_of(sequel.settings) is None:
        return
    request_id = sequel.stores.certificate_requests.open_of(charge_point_id)
    if request_id is not None:
        process(request_id, sequel)


def sweep(sequel: Sequel) -> None:
    """Requests that a process has left lying when it died."""
    requests = sequel.stores.certificate_requests
    for request_id in requests.due(sequel.now_ms, PER_SWEEP):
        authority = authority_of(sequel.settings)
        if authority is not None and authority.is_remote:
            # A greenlet of its own where gevent is: the sweep must not wait for a server.
            threading.Thread(target=_process_apart, args=(request_id, sequel), daemon=True).start()
        else:
            process(request_id, sequel)
    requests.trim()


def _process_apart(request_id: str, sequel: Sequel) -> None:
    try:
        process(request_id, sequel)
    except CSMSError as error:
        log.error("certificate put off", request_id=request_id, reason=str(error))
    except Exception:  # the edge: the end of a greenlet
        log.exception("signing a certificate failed", request_id=request_id)


def process(request_id: str, sequel: Sequel) -> None:
    """Sign a request and send its certificate, as far as that is not done yet."""
    kept = sequel.stores.certificate_requests.claim(request_id, sequel.now_ms)
    if kept is None:
        return
    if kept.state is RequestState.RECEIVED:
        signed = _sign(kept, sequel)
        if signed is None:
            return
        kept = signed
    deliver(kept, sequel)


def _sign(kept: KeptRequest, sequel: Sequel) -> KeptRequest | None:
    """Have it signed; None where there will be no certificate, which the operators are told."""
    authority = authority_of(sequel.settings)
    if authority is None:  # it was another one when the request came: an operator's turn
        sequel.stores.certificate_requests.no_longer_due(kept.request_id)
        return None
    try:
        chain = authority.sign(_request(kept), sequel.now_ms)
        return take_chain(kept, chain, authority.words, sequel)
    except AuthorityFailure as failure:
        reason = str(failure)
    except FieldError as error:
        reason = f"what {authority.words} answered is of no use: {error.problem}"
    except ChargePointUnknown as error:
        reason = str(error)
    except CertificateRequestClosed:  # a newer one came meanwhile
        return None
    except ValueError as error:
        reason = f"it can't be signed: {error}"
    _fail(kept, reason, sequel)
    return None


def _fail(kept: KeptRequest, reason: str, sequel: Sequel) -> None:
    """No certificate will come of it, and nobody tries again but an operator (A02)."""
    requests = sequel.stores.certificate_requests
    if requests.fail(kept.charge_point_id, kept.request_id, reason[:500], sequel.now_ms):
        event = own_event(_NO_CERTIFICATE, sequel.now_ms, reason, critical=True)
        sequel.stores.security_events.record(kept.charge_point_id, event)
        sequel.stores.changed.add(kept.charge_point_id)


def take_chain(kept: KeptRequest, chain: str, signed_by: str, sequel: Sequel) -> KeptRequest:
    """Check what was signed, whoever did, and keep it. The request as it is then.

    Raises FieldError, CertificateRequestClosed, ChargePointUnknown.
    """
    stores = sequel.stores
    certificates = read_pem(chain, "chain")
    try:
        facts = check_chain(certificates, _request(kept), _expected(kept, sequel), sequel.now_ms)
    except UnusableChain as error:
        raise FieldError("chain", str(error)) from None
    _check_size(kept, chain, sequel)
    if not stores.certificate_requests.sign(
        kept.charge_point_id, kept.request_id, chain, facts.fingerprint, signed_by, sequel.now_ms
    ):
        latest = stores.certificate_requests.get(kept.request_id)
        raise CertificateRequestClosed(kept.request_id, latest.state)
    event = own_event(
        "CertificateIssued",
        sequel.now_ms,
        f"serial number {facts.serial_number} for {facts.common_name}, by {signed_by}",
    )
    stores.security_events.record(kept.charge_point_id, event)
    return stores.certificate_requests.get(kept.request_id)


def _check_size(kept: KeptRequest, chain: str, sequel: Sequel) -> None:
    """CertificateSignedMaxChainSize, where the charge point has told it."""
    told = sequel.stores.configurations.find(kept.charge_point_id).integer(
        "CertificateSignedMaxChainSize"
    )
    most = min(CHAIN_MAX, told or CHAIN_MAX)
    if len(chain) > most:
        raise FieldError(
            "chain",
            f"has {len(chain)} characters, and the charge point takes {most} at most "
            "(CertificateSignedMaxChainSize)",
        )


def _expected(kept: KeptRequest, sequel: Sequel) -> ExpectedSubject:
    record = sequel.stores.charge_points.get(kept.charge_point_id)
    return expected_subject(record, sequel.settings.client_certificate_cn, None)


def _request(kept: KeptRequest) -> CertificateRequest:
    """As it was judged when it came."""
    expected = ExpectedSubject((kept.common_name,), kept.organisation)
    judged = judge_request(kept.csr, expected, SubjectRule.IGNORE)
    return replace(judged, common_name=kept.common_name, organisation=kept.organisation)


def deliver(kept: KeptRequest, sequel: Sequel, reply_to: str = "") -> Command | None:
    """Queue CertificateSigned under the name of the request; the command, the earlier one where
    this was done before. None where it can't be sent any more."""
    stores = sequel.stores
    facts = facts_of(read_pem(kept.chain, "chain")[0])
    stores.certificates.issue(kept.charge_point_id, facts, kept.request_id, sequel.now_ms)
    request = CommandRequest(
        charge_point_id=kept.charge_point_id,
        action="CertificateSigned",
        payload={"certificateChain": kept.chain},
        requested_by=REQUESTED_BY,
        deadline_s=DEADLINE_S,
        idempotency_key=f"certificate-request-{kept.request_id}",
        reply_to=reply_to,
    )
    try:
        command = sequel.desk.queue(request, sequel.now_ms)
    except (ChargePointUnknown, CommandForbidden, FieldError) as error:
        _fail(kept, str(error), sequel)
        return None
    stores.certificate_requests.sent(kept.charge_point_id, kept.request_id, command.command_id)
    return command


def after_signed(command: Command, sequel: Sequel) -> None:
    """What the charge point made of its certificate: taken, it is pending until it is used;
    refused, it is bound to nothing."""
    try:
        chain = read_pem(str(command.payload.get("certificateChain", "")), "chain")
        facts = facts_of(chain[0])
    except (ValueError, FieldError):
        return
    stores, charge_point_id = sequel.stores, command.charge_point_id
    known = stores.certificates.find(charge_point_id, facts.fingerprint)
    if known is None:  # an operator's own CertificateSigned
        return
    state, reason = _verdict(command)
    if state is not RequestState.FAILED:
        accepted = state is RequestState.ACCEPTED
        stores.certificates.answered(charge_point_id, facts.fingerprint, accepted=accepted)
    requests = stores.certificate_requests
    if requests.settle(charge_point_id, known.request_id, state, reason, sequel.now_ms):
        said = f"serial number {facts.serial_number}{': ' * bool(reason)}{reason}"
        event = own_event(_EVENTS[state], sequel.now_ms, said)
        stores.security_events.record(charge_point_id, event)


_EVENTS = {
    RequestState.ACCEPTED: "CertificateAccepted",
    RequestState.REJECTED: "CertificateRejected",
    RequestState.FAILED: "CertificateNotDelivered",
}


def _verdict(command: Command) -> tuple[RequestState, str]:
    if command.status == "Accepted":
        return RequestState.ACCEPTED, ""
    if command.status == "Rejected":
        return RequestState.REJECTED, "the charge point answered Rejected"
    if command.state is CommandState.REFUSED and command.error is not None:
        said = " ".join((command.error.code, command.error.description)).strip()
        return RequestState.FAILED, f"the charge point refused it: {said}"[:500]
    return RequestState.FAILED, command.reason or f"it ended as {command.state}"
