"""A02 and A03: from a CSR to the certificate a charge point uses, through crashes and refusals."""

import threading

import pytest
from cast import HOUR_MS, NOON_MS, SECOND_MS
from memory_storage import NO_FILES
from signing_cast import CHARGE_POINT_KEYS, EC_ROOT, ROOT, csr, leaf, settings
from structlog.testing import capture_logs

from csms.commands import certificate_signing
from csms.commands.certificate_signing import after_answer, deliver, process, sweep, take_chain
from csms.commands.sequel import Sequel
from csms.domain.certificate_authority import Authority, SignatureAlgorithm, pem_chain
from csms.domain.certificate_request import CertificateState, RequestState
from csms.domain.certificates import read_pem
from csms.domain.configuration import ConfigurationKey
from csms.errors import CertificateRequestClosed, FieldError, StoreUnavailable
from csms.state.certificate_requests import CLAIM_MS, CLAIMS_MAX, LEFT_MS
from csms.state.charge_points import RegistrationStatus


class Story:
    """CP001 and a system that signs, step by step."""

    def __init__(self, desk, socket, given):
        self.desk, self.socket, self.stores = desk, socket, desk.stores
        self.settings = given
        socket.line.settings = given

    def sequel(self, now_ms=NOON_MS):
        return Sequel(self.stores, self.desk.requests, self.settings, NO_FILES, now_ms)

    def ask(self, text=None, now_ms=NOON_MS):
        """SignCertificate and its answer, without what follows."""
        payload = {"csr": text or csr()}
        return payload, self.socket.line.call("SignCertificate", payload, now_ms)

    def follow(self, payload, confirmation, now_ms=NOON_MS):
        after_answer("CP001", payload, confirmation, self.sequel(now_ms))

    @property
    def request(self):
        return self.stores.certificate_requests.page(None, 1).items[0]

    @property
    def certificate(self):
        [kept] = self.stores.certificates.of("CP001")
        return kept

    def events(self, *, critical=None):
        page = self.stores.security_events.page(None, 50, critical=critical)
        return [kept.event.event_type for kept in page.items]

    def commands(self):
        return self.stores.commands.page(None, 50, charge_point_id="CP001").items


@pytest.fixture
def story(desk, socket):
    return Story(desk, socket, settings())


PSS_ROOT = Authority(ROOT.key, ROOT.chain, SignatureAlgorithm.RSA_PSS)


@pytest.mark.parametrize("authority", [ROOT, PSS_ROOT, EC_ROOT])
@pytest.mark.parametrize("key", CHARGE_POINT_KEYS)
def test_a_charge_point_gets_the_certificate_it_asks_for(desk, socket, authority, key):
    """TC_074: answered first, then sent; for its key, in its name."""
    story = Story(desk, socket, settings(authority))

    payload, confirmation = story.ask(csr(key))
    assert confirmation == {"status": "Accepted"}
    assert socket.next() is None

    story.follow(payload, confirmation)
    call = socket.next()
    assert call.action == "CertificateSigned"
    [certificate] = read_pem(call.payload["certificateChain"], "certificateChain")
    assert certificate.public_key() == CHARGE_POINT_KEYS[key].public_key()
    certificate.verify_directly_issued_by(authority.certificate)
    assert story.certificate.state is CertificateState.ISSUED

    socket.answer(call, {"status": "Accepted"})
    assert story.request.state is RequestState.ACCEPTED
    assert story.certificate.state is CertificateState.PENDING
    assert story.stores.certificate_requests.open_of("CP001") is None

    assert story.stores.certificates.used("CP001", story.certificate.fingerprint, NOON_MS + 9)
    assert story.certificate.state is CertificateState.ACTIVE
    assert story.events(critical=True) == []


def test_the_certificate_before_stays_until_the_new_one_is_used(story):
    fingerprints = []
    for now_ms, key in enumerate(("RSA", "EC"), NOON_MS):
        story.follow(*story.ask(csr(key), now_ms), now_ms)
        story.socket.answer(story.socket.next(), {"status": "Accepted"})
        fingerprints.append(story.request.fingerprint)
        if key == "RSA":
            story.stores.certificates.used("CP001", fingerprints[0], NOON_MS)
    old, new = fingerprints

    states = {kept.fingerprint: kept.state for kept in story.stores.certificates.of("CP001")}
    assert states == {old: CertificateState.ACTIVE, new: CertificateState.PENDING}

    story.stores.certificates.used("CP001", new, NOON_MS + HOUR_MS)
    states = {kept.fingerprint: kept.state for kept in story.stores.certificates.of("CP001")}
    assert states == {old: CertificateState.SUPERSEDED, new: CertificateState.ACTIVE}


def test_a_certificate_that_was_rejected_is_bound_to_nothing(story):
    """TC_077."""
    story.follow(*story.ask())
    story.socket.answer(story.socket.next(), {"status": "Rejected"})

    assert story.request.state is RequestState.REJECTED
    assert story.certificate.state is CertificateState.REJECTED
    assert not story.stores.certificates.used("CP001", story.certificate.fingerprint, NOON_MS)
    assert "CertificateRejected" in story.events()
    assert story.stores.certificate_requests.open_of("CP001") is None


@pytest.mark.parametrize("end", ["callerror", "silence", "lost", "nonsense", "too late"])
def test_a_certificate_of_which_nothing_was_heard_may_still_be_used(story, end):
    story.follow(*story.ask())
    if end == "too late":
        story.socket.next(NOON_MS + 25 * HOUR_MS)
    else:
        call = story.socket.next()
        match end:
            case "callerror":
                story.socket.refuse(call, "NotSupported", "no")
            case "silence":
                story.socket.expire(NOON_MS + HOUR_MS)
            case "lost":
                story.socket.lose()
            case "nonsense":
                story.socket.answer(call, {"status": "Perhaps"})

    assert story.request.state is RequestState.FAILED
    assert story.request.reason
    assert story.certificate.state is CertificateState.ISSUED
    assert "CertificateNotDelivered" in story.events()
    assert story.stores.certificates.used("CP001", story.certificate.fingerprint, NOON_MS)


def test_an_acceptance_that_comes_late_counts(story):
    story.follow(*story.ask())
    call = story.socket.next()
    story.socket.expire(NOON_MS + HOUR_MS)

    story.socket.answer(call, {"status": "Accepted"}, NOON_MS + HOUR_MS)

    assert story.request.state is RequestState.ACCEPTED
    assert story.certificate.state is CertificateState.PENDING


def test_what_was_refused_is_not_signed(story):
    story.follow(*story.ask("nonsense"))

    assert story.request.state is RequestState.REFUSED
    assert story.commands() == []


def test_a_crash_before_signing_is_made_good_by_the_sweep(story):
    story.ask()

    sweep(story.sequel(NOON_MS + LEFT_MS - 1))
    assert story.request.state is RequestState.RECEIVED

    sweep(story.sequel(NOON_MS + LEFT_MS))
    assert story.request.state is RequestState.SENT
    assert [c.action for c in story.commands()] == ["CertificateSigned"]


class Crash(Exception):
    pass


class DyingDesk:
    """Queues, and dies before anybody hears of it; or dies before it queues."""

    def __init__(self, desk, *, queues):
        self._desk, self._queues = desk, queues

    def queue(self, *given):
        if self._queues:
            self._desk.queue(*given)
        raise Crash


@pytest.mark.parametrize("queues", [True, False])
def test_a_crash_between_signing_and_sending_sends_one_certificate(story, queues):
    story.ask()
    request_id = story.request.request_id
    dying = Sequel(
        story.stores,
        DyingDesk(story.desk.requests, queues=queues),
        story.settings,
        NO_FILES,
        NOON_MS,
    )
    with pytest.raises(Crash):
        process(request_id, dying)
    chain = story.request.chain
    assert story.request.state is RequestState.SIGNED

    process(request_id, story.sequel(NOON_MS + 1))  # claimed by the dead one as yet
    assert story.request.state is RequestState.SIGNED
    sweep(story.sequel(NOON_MS + CLAIM_MS))
    sweep(story.sequel(NOON_MS + 2 * CLAIM_MS))

    assert story.request.state is RequestState.SENT
    [command] = story.commands()
    assert command.payload["certificateChain"] == chain
    assert len(story.stores.certificates.of("CP001")) == 1


def test_an_answer_that_is_quicker_than_the_note_that_it_was_sent_counts(story):
    story.ask()
    dying = Sequel(
        story.stores,
        DyingDesk(story.desk.requests, queues=True),
        story.settings,
        NO_FILES,
        NOON_MS,
    )
    with pytest.raises(Crash):
        process(story.request.request_id, dying)

    story.socket.answer(story.socket.next(), {"status": "Accepted"})

    assert story.request.state is RequestState.ACCEPTED
    sweep(story.sequel(NOON_MS + 2 * CLAIM_MS))
    assert story.request.state is RequestState.ACCEPTED
    assert len(story.commands()) == 1


def test_processing_twice_sends_one_certificate(story):
    payload, confirmation = story.ask()
    for _ in range(2):
        story.follow(payload, confirmation)
        process(story.request.request_id, story.sequel(NOON_MS + 2 * CLAIM_MS))

    assert len(story.commands()) == 1
    assert len(story.stores.certificates.of("CP001")) == 1


def test_a_request_that_fails_each_time_is_given_up(story):
    story.ask()
    request_id = story.request.request_id
    dying = DyingDesk(story.desk.requests, queues=False)
    for attempt in range(CLAIMS_MAX):
        with pytest.raises(Crash):
            process(
                request_id,
                Sequel(story.stores, dying, story.settings, NO_FILES, NOON_MS + attempt * CLAIM_MS),
            )

    sweep(story.sequel(NOON_MS + CLAIMS_MAX * CLAIM_MS))

    assert story.request.state is RequestState.FAILED
    assert story.stores.certificate_requests.due(NOON_MS + 10**9, 10) == []


def test_an_authority_that_fails_is_told_to_the_operators_and_not_tried_again(story):
    """A02: the charge point is not told; an operator runs it again."""
    story.settings = settings(None, CERTIFICATE_AUTHORITY="https://127.0.0.1:1/sign")
    story.socket.line.settings = story.settings
    story.follow(*story.ask())

    assert story.request.state is RequestState.FAILED
    assert "refused" in story.request.reason
    assert story.events(critical=True) == ["CertificateAuthorityFailed"]
    sweep(story.sequel(NOON_MS + HOUR_MS))
    assert story.stores.certificate_requests.due(NOON_MS + 10**9, 10) == []
    assert story.commands() == []
    assert story.stores.certificate_requests.open_of("CP001") is None


def test_the_sweep_does_not_wait_for_a_server(story):
    story.settings = settings(None, CERTIFICATE_AUTHORITY="https://127.0.0.1:1/sign")
    story.socket.line.settings = story.settings
    story.ask()

    sweep(story.sequel(NOON_MS + LEFT_MS))
    for thread in threading.enumerate():
        if thread.daemon and "_process_apart" in thread.name:
            thread.join(10)

    assert story.request.state is RequestState.FAILED


class Foolish:
    """An authority that answers whatever it is told to."""

    words = "a foolish authority"
    is_remote = False
    chain = ()

    def __init__(self, answer):
        self._answer = answer

    def sign(self, *_):
        return self._answer


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("", "must begin with"),
        ("<html>", "must begin with"),
        (pem_chain([leaf("RSA")]), "not for the key of the CSR"),
        (pem_chain([leaf(name="CP002")]), "its CN is “CP002” and must be CP001"),
        (pem_chain([leaf(days=1, now_ms=NOON_MS - 20 * HOUR_MS * 24)]), "has expired"),
        (pem_chain([leaf(), EC_ROOT.certificate]), "in order"),
    ],
)
def test_what_an_authority_answers_is_checked(story, monkeypatch, answer, reason):
    monkeypatch.setattr(certificate_signing, "authority_of", lambda _: Foolish(answer))
    story.follow(*story.ask())

    assert story.request.state is RequestState.FAILED
    assert reason in story.request.reason
    assert story.commands() == []
    assert story.stores.certificates.of("CP001") == []


def test_a_chain_longer_than_the_charge_point_takes_is_not_sent(story):
    key = ConfigurationKey("CertificateSignedMaxChainSize", "500", readonly=True, at_ms=NOON_MS)
    story.stores.configurations.record("CP001", [key], is_all=False)

    story.follow(*story.ask())

    assert story.request.state is RequestState.FAILED
    assert "takes 500 at most" in story.request.reason


def test_a_charge_point_that_may_not_be_called_gets_none(story):
    story.ask()
    story.stores.charge_points.update("CP001", registration=RegistrationStatus.REJECTED)

    process(story.request.request_id, story.sequel())

    assert story.request.state is RequestState.FAILED
    assert "Rejected" in story.request.reason


def test_a_charge_point_that_is_gone_gets_none(story):
    story.ask()
    request_id = story.request.request_id
    story.stores.charge_points.delete("CP001")

    process(request_id, story.sequel())
    sweep(story.sequel(NOON_MS + HOUR_MS))

    assert story.stores.certificate_requests.page(None, 10).items == []
    assert story.stores.certificate_requests.due(NOON_MS + 10**9, 10) == []


def test_it_waits_for_a_charge_point_that_has_hung_up(story):
    payload, confirmation = story.ask()
    story.stores.presences.disconnect(
        "CP001", "process-1", story.socket.line.epoch, NOON_MS, "gone"
    )

    story.follow(payload, confirmation)

    [command] = story.commands()
    assert command.state == "queued"


def test_a_certificate_sent_to_a_quiet_charge_point_was_asked_for(story):
    story.stores.charge_points.update("CP001", quiet=True)

    story.follow(*story.ask())

    assert story.socket.next().action == "CertificateSigned"


def test_an_operator_s_chain_is_checked_kept_and_sent(story):
    story.settings = settings(None)
    story.socket.line.settings = story.settings
    story.follow(*story.ask())
    assert story.request.state is RequestState.RECEIVED
    assert story.commands() == []
    with pytest.raises(FieldError, match="not for the key") as refused:
        take_chain(story.request, pem_chain([leaf("RSA")]), "user:olga", story.sequel())
    assert refused.value.field == "chain"

    later = story.sequel(NOON_MS + 5 * SECOND_MS)
    signed = take_chain(story.request, pem_chain([leaf()]), "user:olga", later)
    deliver(signed, later)

    assert story.socket.next().payload == {"certificateChain": signed.chain}
    assert story.request.signed_by == "user:olga"
    with pytest.raises(CertificateRequestClosed, match="it is sent"):
        take_chain(story.request, pem_chain([leaf()]), "user:otto", later)


def test_an_authority_that_was_taken_away_leaves_it_to_an_operator(story):
    story.ask()
    story.settings = settings(None)

    sweep(story.sequel(NOON_MS + LEFT_MS))

    assert story.request.state is RequestState.RECEIVED
    assert story.stores.certificate_requests.due(NOON_MS + 10**9, 10) == []


def test_a_chain_an_operator_sends_by_hand_changes_no_record(story):
    story.desk.queue("CertificateSigned", {"certificateChain": pem_chain([leaf()])})
    story.socket.answer(story.socket.next(), {"status": "Accepted"})

    assert story.stores.certificates.of("CP001") == []
    assert story.events() == []


def test_a_store_that_fails_puts_it_off(story, monkeypatch):
    def fails(*_, **__):
        raise StoreUnavailable("no")

    story.ask()
    monkeypatch.setattr(type(story.stores.certificates), "issue", fails)
    with pytest.raises(StoreUnavailable):
        process(story.request.request_id, story.sequel())

    monkeypatch.undo()
    sweep(story.sequel(NOON_MS + CLAIM_MS))
    assert story.request.state is RequestState.SENT


def test_the_name_of_the_certificate_is_the_one_the_request_was_judged_by(story):
    story.stores.charge_points.update("CP001", serial_number="SN-1")
    story.ask(csr(common_name="sn-1"))

    process(story.request.request_id, story.sequel())

    [certificate] = read_pem(story.request.chain, "chain")
    assert certificate.subject.rfc4514_string() == "CN=SN-1"


class Meddling:
    """An authority during whose work something happens."""

    words = "a meddling authority"
    is_remote = False
    chain = ()

    def __init__(self, happening):
        self._happening = happening

    def sign(self, *_):
        self._happening()
        return pem_chain([leaf()])


def test_a_request_that_comes_while_the_one_before_is_signed_wins(story, monkeypatch):
    def another():
        story.ask(csr("RSA"), NOON_MS + 1)

    monkeypatch.setattr(certificate_signing, "authority_of", lambda _: Meddling(another))
    story.follow(*story.ask())

    newer, older = story.stores.certificate_requests.page(None, 10).items
    assert (newer.state, older.state) == (RequestState.RECEIVED, RequestState.FAILED)
    assert story.commands() == []
    assert story.events(critical=True) == []


def test_a_charge_point_deleted_while_its_certificate_is_signed_gets_none(story, monkeypatch):
    def deleted():
        story.stores.charge_points.delete("CP001")

    monkeypatch.setattr(certificate_signing, "authority_of", lambda _: Meddling(deleted))
    story.follow(*story.ask())

    assert story.stores.link.call("KEYS", "csms:*certificate*") == []


def test_an_authority_that_can_t_make_the_certificate_is_told(story, monkeypatch):
    def fails():
        raise ValueError("not representable")

    monkeypatch.setattr(certificate_signing, "authority_of", lambda _: Meddling(fails))
    story.follow(*story.ask())

    assert story.request.reason == "it can't be signed: not representable"
    assert story.events(critical=True) == ["CertificateAuthorityFailed"]


def test_an_acceptance_heard_twice_changes_nothing(story):
    story.follow(*story.ask())
    story.socket.answer(story.socket.next(), {"status": "Accepted"})
    before = story.events()
    [command] = story.commands()

    story.socket.delivery.settle_again("CP001", command, NOON_MS + 9)

    assert story.events() == before
    assert story.request.state is RequestState.ACCEPTED


def test_an_answer_after_which_nothing_is_open_is_followed_by_nothing(story):
    payload, confirmation = story.ask()
    story.stores.certificate_requests.fail("CP001", story.request.request_id, "no", NOON_MS)

    story.follow(payload, confirmation)

    assert story.commands() == []


@pytest.mark.parametrize("failure", [StoreUnavailable("no"), RuntimeError("a mistake of ours")])
def test_what_fails_beside_the_sweep_is_logged(story, monkeypatch, failure):
    def fails(*_):
        raise failure

    story.settings = settings(None, CERTIFICATE_AUTHORITY="https://127.0.0.1:1/sign")
    story.socket.line.settings = story.settings
    story.ask()
    monkeypatch.setattr(type(story.stores.certificate_requests), "claim", fails)

    with capture_logs() as logged:
        sweep(story.sequel(NOON_MS + LEFT_MS))
        for thread in threading.enumerate():
            if thread.daemon and "_process_apart" in thread.name:
                thread.join(10)

    [line] = [entry for entry in logged if entry["log_level"] == "error"]
    assert line["event"] in {"certificate put off", "signing a certificate failed"}
