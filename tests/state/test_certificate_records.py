"""Certificates and requests in the store: whose each is, which is in force, what leaves."""

from contextlib import suppress

import pytest
from cast import CP001, CP002, DAY_MS, NOON_MS, Line
from gevent import GreenletExit
from signing_cast import leaf

from csms.domain.certificate_facts import facts_of
from csms.domain.certificate_request import CertificateState, RequestState
from csms.errors import FieldError, NotFound
from csms.state import certificate_requests, keys
from csms.state.certificate_requests import AGAIN_MS
from csms.state.certificates import KEPT_PER_CHARGE_POINT, Certificates

FACTS = [facts_of(leaf(days=10 + number)) for number in range(4)]


@pytest.fixture
def certificates(stores):
    stores.charge_points.create(CP001)
    stores.charge_points.create(CP002)
    return stores.certificates


@pytest.fixture
def requests(stores):
    stores.charge_points.create(CP001)
    return stores.certificate_requests


def issue(certificates, *numbers, charge_point_id="CP001"):
    for number in numbers:
        certificates.issue(charge_point_id, FACTS[number], f"request-{number}", NOON_MS + number)


def use(certificates, number, now_ms=NOON_MS + DAY_MS):
    return certificates.used("CP001", FACTS[number].fingerprint, now_ms)


def states(certificates):
    """By their number, oldest first."""
    return [str(kept.state) for kept in reversed(certificates.of("CP001"))]


def test_a_certificate_is_kept_with_what_stands_in_it(certificates):
    issue(certificates, 0)
    issue(certificates, 0)

    [kept] = certificates.of("CP001")
    facts = FACTS[0]
    assert (kept.fingerprint, kept.serial_number) == (facts.fingerprint, facts.serial_number)
    assert (kept.common_name, kept.issuer) == ("CP001", "O=Nordwerk,CN=Test root")
    assert (kept.not_before_ms, kept.not_after_ms) == (facts.not_before_ms, facts.not_after_ms)
    assert (kept.state, kept.used_at_ms) == (CertificateState.ISSUED, None)
    assert certificates.find("CP001", facts.fingerprint) == kept


def test_a_certificate_is_of_the_charge_point_it_was_signed_for(certificates):
    issue(certificates, 0)

    assert certificates.owner(FACTS[0].fingerprint.upper()) == "CP001"
    assert certificates.owner("00") is None
    assert not certificates.used("CP002", FACTS[0].fingerprint, NOON_MS)
    assert states(certificates) == ["issued"]


def test_the_first_use_puts_it_in_force_and_those_before_out(certificates):
    issue(certificates, 0, 1, 2)

    assert use(certificates, 1)

    assert states(certificates) == ["superseded", "active", "issued"]
    assert certificates.find("CP001", FACTS[1].fingerprint).used_at_ms == NOON_MS + DAY_MS


def test_further_uses_change_nothing_but_their_time(certificates, stores):
    issue(certificates, 0)
    use(certificates, 0)

    assert use(certificates, 0, NOON_MS + 2 * DAY_MS)

    [kept] = certificates.of("CP001")
    assert (kept.used_at_ms, kept.last_used_at_ms) == (NOON_MS + DAY_MS, NOON_MS + 2 * DAY_MS)
    events = stores.security_events.page(None, 10).items
    assert [kept.event.event_type for kept in events] == ["CertificateUsed"]


def test_an_older_one_that_comes_back_is_over(certificates):
    """A02: it stays valid until the newer one was used, and no longer."""
    issue(certificates, 0, 1)
    use(certificates, 1)

    assert not use(certificates, 0)

    assert states(certificates) == ["superseded", "active"]


def test_what_was_rejected_is_no_certificate_of_it(certificates):
    issue(certificates, 0, 1)
    certificates.answered("CP001", FACTS[0].fingerprint, accepted=False)
    certificates.answered("CP001", FACTS[1].fingerprint, accepted=True)

    assert not use(certificates, 0)
    assert states(certificates) == ["rejected", "pending"]

    use(certificates, 1)
    certificates.answered("CP001", FACTS[1].fingerprint, accepted=False)
    assert states(certificates) == ["rejected", "active"]


def test_the_end_of_those_in_force_is_watched(certificates, stores):
    issue(certificates, 0, 1)
    use(certificates, 0)
    before_ms = NOON_MS + 20 * DAY_MS

    assert [owner for owner, _ in certificates.ending_before(before_ms, 10)] == ["CP001"]
    assert certificates.ending_before(NOON_MS, 10) == []

    use(certificates, 1)
    [(_, kept)] = certificates.ending_before(before_ms, 10)
    assert kept.fingerprint == FACTS[1].fingerprint
    assert stores.link.call("ZCARD", keys.CERTIFICATES_IN_FORCE) == 1


class Stopping:
    """A link whose process dies after so many of its calls."""

    def __init__(self, link, calls):
        self._link, self._left = link, calls

    def __getattr__(self, name):
        if not self._left:
            raise GreenletExit
        self._left -= 1
        return getattr(self._link, name)


@pytest.mark.parametrize("calls", range(6))
def test_one_in_force_is_watched_wherever_a_crash_came(certificates, stores, calls):
    issue(certificates, 0, 1)
    use(certificates, 0)
    with suppress(GreenletExit):
        Certificates(Stopping(stores.link, calls)).used(
            "CP001", FACTS[1].fingerprint, NOON_MS + DAY_MS
        )

    watched = certificates.ending_before(NOON_MS + 1_000 * DAY_MS, 10)
    active = [kept.fingerprint for kept in certificates.of("CP001") if kept.state == "active"]
    assert [kept.fingerprint for _, kept in watched] == active
    assert len(active) == 1


def test_old_ones_leave_and_the_one_in_force_stays(certificates, stores):
    issue(certificates, 0)
    use(certificates, 0)
    for number in range(KEPT_PER_CHARGE_POINT + 2):
        facts = facts_of(leaf())
        certificates.issue("CP001", facts, "", NOON_MS + 10 + number)

    kept = certificates.of("CP001")
    assert kept[-1].fingerprint == FACTS[0].fingerprint
    assert len(kept) <= KEPT_PER_CHARGE_POINT + 1
    assert stores.link.call("HLEN", keys.CERTIFICATE_OWNERS) == len(kept)


def receive(stores, requests, csr="a", now_ms=NOON_MS, **fields):
    epoch = int(stores.link.call("HGET", keys.live("CP001"), "epoch") or 0)
    if not epoch:
        epoch = Line(stores).epoch
    return requests.receive("CP001", epoch, csr, now_ms, **fields)


def test_a_request_moves_one_way(stores, requests):
    request_id = receive(stores, requests)

    assert requests.sign("CP001", request_id, "chain", "fp", "user:olga", NOON_MS)
    assert not requests.sign("CP001", request_id, "other", "fp", "user:olga", NOON_MS)
    requests.sent("CP001", request_id, "command")
    assert not requests.fail("CP001", request_id, "no", NOON_MS)
    assert requests.settle("CP001", request_id, RequestState.FAILED, "silence", NOON_MS)
    assert requests.settle("CP001", request_id, RequestState.ACCEPTED, "", NOON_MS + 1)
    assert not requests.settle("CP001", request_id, RequestState.REJECTED, "", NOON_MS + 2)

    kept = requests.get(request_id)
    assert (kept.state, kept.chain, kept.command_id) == ("accepted", "chain", "command")
    assert (kept.signed_by, kept.settled_at_ms) == ("user:olga", NOON_MS + 1)


def test_the_end_of_an_old_request_leaves_the_open_one_open(stores, requests):
    old = receive(stores, requests, "a")
    requests.sign("CP001", old, "chain", "fp", "x", NOON_MS)
    requests.sent("CP001", old, "command")
    new = receive(stores, requests, "b")

    requests.settle("CP001", old, RequestState.ACCEPTED, "", NOON_MS)

    assert requests.open_of("CP001") == new


def test_the_same_csr_later_is_a_new_request(stores, requests):
    """RSA signs alike each time: a charge point that asks anew with its old key sends the same."""
    first = receive(stores, requests, "a")
    requests.fail("CP001", first, "no", NOON_MS)

    assert receive(stores, requests, "a") != first


def test_a_request_sent_again_after_its_certificate_came_is_the_same(stores, requests):
    """Its answer was lost with a process; the sweep has signed it before it came again."""
    first = receive(stores, requests, "a")
    requests.sign("CP001", first, "chain", "00", "us", NOON_MS)
    requests.settle("CP001", first, RequestState.ACCEPTED, "", NOON_MS)

    assert receive(stores, requests, "a", NOON_MS + AGAIN_MS - 1) == first
    assert receive(stores, requests, "b", NOON_MS + AGAIN_MS - 1) != first
    assert requests.get(first).state is RequestState.ACCEPTED


def test_a_request_long_after_its_certificate_came_is_a_new_one(stores, requests):
    first = receive(stores, requests, "a")
    requests.sign("CP001", first, "chain", "00", "us", NOON_MS)
    requests.settle("CP001", first, RequestState.ACCEPTED, "", NOON_MS)

    assert receive(stores, requests, "a", NOON_MS + AGAIN_MS) != first


def test_requests_are_listed_newest_first_and_by_state(stores, requests):
    first = receive(stores, requests, "a", NOON_MS)
    second = receive(stores, requests, "b", NOON_MS + 1, refused="weak")

    listed = requests.page(None, 10).items
    assert [kept.request_id for kept in listed] == [second, first]
    received = requests.page(None, 10, state=RequestState.RECEIVED).items
    assert [kept.request_id for kept in received] == [first]
    of_it = requests.page(None, 10, charge_point_id="CP001").items
    assert of_it == listed
    assert requests.page(None, 10, charge_point_id="CP002").items == []
    with pytest.raises(FieldError):
        requests.page("nonsense", 10)


def test_the_oldest_requests_leave(stores, requests, monkeypatch):
    monkeypatch.setattr(certificate_requests, "KEPT_PER_CHARGE_POINT", 2)
    monkeypatch.setattr(certificate_requests, "KEPT_IN_ALL", 1)
    ids = [receive(stores, requests, str(number), NOON_MS + number) for number in range(3)]

    assert stores.link.call("HLEN", keys.CERTIFICATE_REQUEST_OWNERS) == 2
    with pytest.raises(NotFound):
        requests.get(ids[0])
    requests.trim()
    assert [kept.request_id for kept in requests.page(None, 10).items] == [ids[2]]


def test_a_request_that_is_not_there_can_t_be_taken_up(stores, requests):
    request_id = receive(stores, requests)
    stores.link.call("DEL", keys.certificate_request("CP001", request_id))

    assert requests.claim(request_id, NOON_MS) is None
    assert requests.claim("of nobody", NOON_MS) is None
    assert requests.due(NOON_MS + DAY_MS, 10) == []
    with pytest.raises(NotFound):
        requests.get(request_id)


def test_all_of_it_leaves_with_its_charge_point(stores, requests):
    receive(stores, requests)
    issue(stores.certificates, 0)
    use(stores.certificates, 0)

    stores.charge_points.delete("CP001")

    assert stores.link.call("KEYS", "csms:*certificate*") == []


def test_a_revoked_certificate_is_used_no_more(certificates, stores):
    issue(certificates, 0, 1)
    use(certificates, 0)

    assert certificates.revoke("CP001", FACTS[0].fingerprint)
    assert not certificates.revoke("CP001", FACTS[0].fingerprint)
    assert not use(certificates, 0)
    assert states(certificates) == ["revoked", "issued"]
    assert stores.link.call("ZCARD", keys.CERTIFICATES_IN_FORCE) == 0


def test_a_revoked_certificate_stays_revoked_when_a_newer_one_is_used(certificates):
    issue(certificates, 0, 1)
    certificates.revoke("CP001", FACTS[0].fingerprint)

    use(certificates, 1)

    assert states(certificates) == ["revoked", "active"]


def test_an_answer_brings_no_revoked_certificate_back(certificates):
    issue(certificates, 0)
    certificates.revoke("CP001", FACTS[0].fingerprint)

    certificates.answered("CP001", FACTS[0].fingerprint, accepted=True)

    assert states(certificates) == ["revoked"]


def test_what_was_never_signed_here_can_t_be_revoked(certificates):
    with pytest.raises(NotFound):
        certificates.revoke("CP001", "00")
