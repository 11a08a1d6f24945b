"""Raw commands and messages land in the books of charging profiles, whatever the answer."""

import pytest
from cast import DAY_MS, HOUR_MS, NOON_MS, SECOND_MS, instant
from memory_storage import NO_FILES

from csms.commands import charging_profiles
from csms.commands.after_answers import AFTER_ANSWERS
from csms.commands.composite_schedules import reckon
from csms.commands.sequel import Sequel
from csms.domain.charging_books import ProfileState
from csms.domain.charging_profile import RateUnit
from csms.domain.configuration import ConfigurationKey
from csms.errors import FieldError

ACCEPTED = {"status": "Accepted"}


def profile(number=1, purpose="TxDefaultProfile", level=0, **fields):
    return {
        "chargingProfileId": number,
        "stackLevel": level,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Relative",
        "chargingSchedule": {
            "chargingRateUnit": "A",
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16}],
        },
        **fields,
    }


@pytest.fixture
def around(desk, socket):
    return Around(desk, socket)


class Around:
    """CP001 with its commands and its books; every command is a second after the one before."""

    def __init__(self, desk, socket):
        self.desk = desk
        self.socket = socket
        self.now_ms = NOON_MS

    def ask(self, action, payload, **fields):
        """Queue a command and send it: its CALL."""
        self.now_ms += SECOND_MS
        self.desk.queue(action, payload, now_ms=self.now_ms, **fields)
        return self.socket.next(self.now_ms)

    def tell(self, action, payload, answer=ACCEPTED):
        self.socket.answer(self.ask(action, payload), answer, self.now_ms)

    def set(self, connector_id=1, answer=ACCEPTED, **fields):
        self.tell(
            "SetChargingProfile",
            {"connectorId": connector_id, "csChargingProfiles": profile(**fields)},
            answer,
        )

    def remote_start(self, connector_id=1, answer=ACCEPTED, **fields):
        of_connector = {} if connector_id is None else {"connectorId": connector_id}
        self.tell(
            "RemoteStartTransaction",
            {
                "idTag": "ALICE",
                **of_connector,
                "chargingProfile": profile(purpose="TxProfile", **fields),
            },
            answer,
        )

    def start(self, **fields):
        """A transaction and what follows our answer: its id."""
        self.now_ms += SECOND_MS
        transaction_id = self.socket.line.start(self.now_ms, **fields)["transactionId"]
        self.follow("StartTransaction")
        return transaction_id

    def stop(self, transaction_id):
        self.now_ms += SECOND_MS
        self.socket.line.stop(transaction_id, self.now_ms)
        self.follow("StopTransaction")

    def follow(self, action):
        sequel = Sequel(self.desk.stores, self.desk.requests, None, NO_FILES, self.now_ms)
        for after in AFTER_ANSWERS[action]:
            after("CP001", {}, {}, sequel)

    def records(self, *, up_to_date=False):
        stores = self.desk.stores
        if up_to_date:
            return charging_profiles.up_to_date(stores, "CP001", self.now_ms)
        return stores.charging_profiles.all_of("CP001")

    def states(self, **how):
        return {
            record.profile.charging_profile_id: str(record.state) for record in self.records(**how)
        }


def test_a_profile_is_in_the_books_before_it_is_answered(around):
    around.ask("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": profile()})

    (record,) = around.records()
    assert record.state is ProfileState.REQUESTED
    assert record.connector_id == 1
    assert record.requested_by == "operator"


def test_an_accepted_profile_is_installed(around):
    around.set()

    (record,) = around.records()
    assert record.state is ProfileState.INSTALLED
    assert record.sent_at_ms == around.now_ms


@pytest.mark.parametrize("status", ["Rejected", "NotSupported"])
def test_a_refused_profile_says_why_and_replaces_nothing(around, status):
    around.set(number=1)
    around.set(number=2, answer={"status": status})

    assert around.states() == {1: "installed", 2: "refused"}
    assert around.records()[1].reason == f"the charge point answered {status}"


@pytest.mark.parametrize("code", ["NotSupported", "PropertyConstraintViolation", "InternalError"])
def test_a_call_error_is_a_refusal(around, code):
    """Errata 3.24, 3.38, 3.39."""
    call = around.ask("SetChargingProfile", {"connectorId": 9, "csChargingProfiles": profile()})
    around.socket.refuse(call, code, "no such connector")

    assert around.states() == {1: "refused"}
    assert around.records()[0].reason == f"{code}: no such connector"


def test_an_answer_that_makes_no_sense_is_a_refusal(around):
    around.set(answer={"status": "Maybe"})

    assert around.states() == {1: "refused"}


def test_silence_leaves_it_open_until_a_late_answer(around):
    call = around.ask("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": profile()})
    around.socket.expire(around.now_ms + HOUR_MS)
    assert around.states() == {1: "uncertain"}

    around.socket.answer(call, ACCEPTED, around.now_ms + HOUR_MS + 1)

    assert around.states() == {1: "installed"}


def test_a_late_refusal_is_one(around):
    call = around.ask("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": profile()})
    around.socket.expire(around.now_ms + HOUR_MS)

    around.socket.refuse(call, "NotSupported", now_ms=around.now_ms + HOUR_MS + 1)

    assert around.states() == {1: "refused"}
    assert around.records()[0].reason == "NotSupported"


def test_what_was_never_sent_is_not_installed(around):
    around.desk.queue(
        "SetChargingProfile",
        {"connectorId": 1, "csChargingProfiles": profile()},
        now_ms=NOON_MS,
        deadline_s=1,
    )
    assert around.socket.next(NOON_MS + HOUR_MS) is None

    assert around.states() == {1: "refused"}


def test_a_note_whose_command_never_came_to_be_is_settled_by_its_age(around):
    around.ask("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": profile()})
    stores = around.desk.stores
    stores.link.call("DEL", *stores.link.call("KEYS", "csms:{CP001}:command:*"))

    assert around.states(up_to_date=True) == {1: "requested"}
    around.now_ms += charging_profiles.NOT_QUEUED_MS + 1
    assert around.states(up_to_date=True) == {1: "refused"}


def test_a_like_profile_replaces_another(around):
    around.set(number=1)
    around.set(number=2)
    around.set(number=3, level=1)
    around.set(number=3, connector_id=2, level=1)

    assert [str(r.state) for r in around.records()] == [
        "replaced",
        "installed",
        "replaced",
        "installed",
    ]


def test_a_follow_up_done_again_changes_nothing(around):
    around.set(number=1)
    around.set(number=2)
    first, second = around.records()
    sequel = Sequel(around.desk.stores, around.desk.requests, None, NO_FILES, NOON_MS + DAY_MS)

    for record in (first, second):
        command = around.desk.stores.commands.get(record.command_id)
        charging_profiles.after_bringing(command, sequel)

    assert around.records() == [first, second]


# -- clearing


def prepared(around):
    """The profiles of TC_067: of the charge point, of a connector, and of its transaction."""
    transaction_id = around.start()
    start = {"startSchedule": "2026-11-22T12:00:00Z"}
    around.set(
        0,
        number=1,
        purpose="ChargePointMaxProfile",
        chargingProfileKind="Absolute",
        chargingSchedule={**profile()["chargingSchedule"], **start},
    )
    around.set(1, number=2)
    around.set(1, number=3, purpose="TxProfile", transactionId=transaction_id)
    assert around.states() == {1: "installed", 2: "installed", 3: "installed"}


def test_profiles_are_cleared_by_id_by_criteria_and_all(around):
    prepared(around)

    around.tell("ClearChargingProfile", {"id": 1})
    assert around.states() == {1: "cleared", 2: "installed", 3: "installed"}
    criteria = {"connectorId": 1, "chargingProfilePurpose": "TxDefaultProfile", "stackLevel": 0}
    around.tell("ClearChargingProfile", criteria)
    assert around.states() == {1: "cleared", 2: "cleared", 3: "installed"}
    around.tell("ClearChargingProfile", {})
    assert set(around.states().values()) == {"cleared"}


def test_what_the_charge_point_does_not_know_leaves_the_books(around):
    prepared(around)

    around.tell("ClearChargingProfile", {"id": 2}, {"status": "Unknown"})

    assert around.states()[2] == "cleared"
    assert "did not know" in around.records()[1].reason


def test_a_clear_that_failed_clears_nothing(around):
    prepared(around)
    before = around.states()

    around.socket.refuse(around.ask("ClearChargingProfile", {}), "NotSupported")

    assert around.states() == before


def test_what_a_clear_without_an_answer_meant_is_uncertain_until_one_comes(around):
    around.set(number=1)
    call = around.ask("ClearChargingProfile", {})
    around.socket.expire(around.now_ms + HOUR_MS)
    assert around.states() == {1: "uncertain"}

    around.socket.answer(call, ACCEPTED, around.now_ms + HOUR_MS)
    assert around.states() == {1: "cleared"}


def test_a_clear_done_again_spares_what_came_later(around):
    around.set(number=1)
    around.tell("ClearChargingProfile", {})
    around.set(number=2)
    stores = around.desk.stores
    (clear,) = [
        c for c in stores.commands.page(None, 9).items if c.action == "ClearChargingProfile"
    ]

    charging_profiles.after_clearing(
        clear, Sequel(stores, around.desk.requests, None, NO_FILES, around.now_ms)
    )

    assert around.states() == {1: "cleared", 2: "installed"}


def test_a_clear_takes_what_was_sent_before_it_and_not_followed_up(around):
    """The process died between a profile's answer and what follows from it."""
    around.ask("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": profile()})
    around.desk.queue("ClearChargingProfile", {}, now_ms=around.now_ms + SECOND_MS)
    stores = around.desk.stores
    (clear,) = [
        c for c in stores.commands.page(None, 9).items if c.action == "ClearChargingProfile"
    ]
    key = f"csms:{{CP001}}:command:{clear.command_id}"
    later = around.now_ms + SECOND_MS
    stores.link.call(
        *("HSET", key, "state", "answered", "sent_at_ms", later, "answer", '{"status":"Accepted"}')
    )

    charging_profiles.after_clearing(
        stores.commands.get(clear.command_id),
        Sequel(stores, around.desk.requests, None, NO_FILES, later),
    )

    assert around.states() == {1: "cleared"}


# -- transactions


def test_the_profile_of_a_remote_start_learns_its_transaction(around):
    around.remote_start()
    assert around.records()[0].transaction_id is None

    transaction_id = around.start()

    (record,) = around.records()
    assert record.state is ProfileState.INSTALLED
    assert record.transaction_id == transaction_id
    assert record.connector_id == 1


def test_a_remote_start_without_a_connector_learns_that_too(around):
    around.remote_start(connector_id=None)
    around.start(connectorId=2)

    assert around.records()[0].connector_id == 2


def test_a_remote_start_without_a_profile_is_not_in_the_books(around):
    around.tell("RemoteStartTransaction", {"idTag": "ALICE", "connectorId": 1})

    assert around.records() == []


def test_a_refused_remote_start_brings_no_profile(around):
    around.remote_start(answer={"status": "Rejected"})
    around.start()

    assert around.states() == {1: "refused"}


def test_a_profile_of_the_transaction_replaces_that_of_the_remote_start(around):
    """Errata 3.42: the same level replaces, another stacks."""
    around.remote_start(number=1)
    transaction_id = around.start()
    around.set(1, number=2, purpose="TxProfile", transactionId=transaction_id)
    around.set(1, number=3, level=1, purpose="TxProfile", transactionId=transaction_id)

    assert around.states() == {1: "replaced", 2: "installed", 3: "installed"}


def test_profiles_of_a_transaction_end_with_it(around):
    around.remote_start(number=1)
    transaction_id = around.start()
    around.set(1, number=2, level=1, purpose="TxProfile", transactionId=transaction_id)
    around.set(1, number=3)

    around.stop(transaction_id)

    assert around.states() == {1: "ended", 2: "ended", 3: "installed"}


def test_an_end_that_was_not_followed_up_is_seen_when_the_books_are_read(around):
    around.remote_start()
    transaction_id = around.start()
    around.socket.line.stop(transaction_id, around.now_ms)
    assert around.states() == {1: "installed"}

    assert around.states(up_to_date=True) == {1: "ended"}
    assert around.states() == {1: "ended"}


def test_a_profile_of_a_transaction_we_do_not_know_stays(around):
    around.set(1, purpose="TxProfile", transactionId=4_711)

    assert around.states(up_to_date=True) == {1: "installed"}


# -- room


def known(stores, **values):
    stores.configurations.record(
        "CP001",
        [ConfigurationKey(name, value, readonly=True, at_ms=0) for name, value in values.items()],
        is_all=False,
    )


def test_a_full_charge_point_is_sent_no_more(around):
    known(around.desk.stores, MaxChargingProfilesInstalled="1")
    around.set(number=1)
    around.set(number=2)  # replaces the first

    with pytest.raises(FieldError, match="MaxChargingProfilesInstalled") as refusal:
        around.set(number=3, level=1)

    assert refusal.value.field == "payload.csChargingProfiles"
    assert around.states() == {1: "replaced", 2: "installed"}
    around.tell("ClearChargingProfile", {"id": 2})
    around.set(number=3, level=1)
    assert around.states()[3] == "installed"


def test_the_books_have_an_end(around, monkeypatch):
    monkeypatch.setattr(charging_profiles, "OPEN_MAX", 1)
    around.set(number=1)

    with pytest.raises(FieldError, match="clear some first"):
        around.remote_start(number=2)


# -- composite schedules


def test_what_the_charge_point_answers_is_kept(around):
    answer = {"status": "Accepted", "connectorId": 1}
    around.tell(
        "GetCompositeSchedule",
        {"connectorId": 1, "duration": 60, "chargingRateUnit": "A"},
        answer,
    )

    kept = around.desk.stores.charging_profiles.answer("CP001", 1)

    assert kept.payload == answer
    assert (kept.duration_s, kept.unit) == (60, "A")
    assert kept.asked_at_ms == kept.answered_at_ms == around.now_ms


def test_a_late_answer_is_kept_and_an_error_is_not(around):
    payload = {"connectorId": 1, "duration": 60}
    around.socket.refuse(around.ask("GetCompositeSchedule", payload), "NotSupported")
    call = around.ask("GetCompositeSchedule", payload)
    around.socket.expire(around.now_ms + HOUR_MS)
    assert around.desk.stores.charging_profiles.answer("CP001", 1) is None

    around.socket.answer(call, {"status": "Rejected"}, around.now_ms + 2 * HOUR_MS)

    kept = around.desk.stores.charging_profiles.answer("CP001", 1)
    assert kept.payload == {"status": "Rejected"}
    assert kept.answered_at_ms == around.now_ms + 2 * HOUR_MS


def limits_of(around, connector_id):
    schedule = reckon(
        around.desk.stores, "CP001", connector_id, 600, RateUnit.A, 230, around.now_ms
    )
    return [period.rate and period.rate.limit for period in schedule.periods]


def test_our_reckoning_is_of_what_is_installed(around):
    around.socket.line.status(connector_id=1)
    around.socket.line.status(connector_id=0)
    known(around.desk.stores, NumberOfConnectors="2")
    assert limits_of(around, 1) == [None]
    around.set(0, number=1)
    around.remote_start(number=2, chargingSchedule=schedule_of(10))

    assert limits_of(around, 1) == [16]
    assert limits_of(around, 0) == [32]
    transaction_id = around.start()
    assert limits_of(around, 1) == [10]
    assert limits_of(around, 0) == [26]
    around.stop(transaction_id)
    assert limits_of(around, 1) == [16]


def test_a_transaction_that_runs_has_begun_whatever_its_clock_says(around):
    transaction_id = around.start(timestamp=instant(HOUR_MS))
    around.set(1, purpose="TxProfile", transactionId=transaction_id)

    assert limits_of(around, 1) == [16]


def schedule_of(limit):
    return {
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}],
    }
