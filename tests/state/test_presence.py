"""Which process holds which charge point, and which processes live."""

import pytest
from cast import CP001, NOON_MS

from csms.errors import StaleEpoch
from csms.state import keys
from csms.state.fence import check, write_fenced


def connect(stores, process_id="process-1", now_ms=NOON_MS, charge_point_id="CP001"):
    return stores.presences.connect(charge_point_id, process_id, now_ms, "192.0.2.7", secure=True)


def lapse(stores, process_id):
    """The lease of a process ran out a while ago."""
    stores.link.call("ZADD", keys.PROCESSES, 1, process_id)


def test_a_connection_says_where_and_since_when(stores):
    connected = connect(stores)

    presence = stores.presences.find("CP001")
    assert connected.process_before == ""
    assert connected.command_in_flight == ""
    assert presence.process_id == "process-1"
    assert (presence.remote_address, presence.secure) == ("192.0.2.7", True)
    assert (presence.connected_at_ms, presence.last_seen_ms) == (NOON_MS, NOON_MS)
    assert presence.epoch == connected.epoch


def test_who_never_connected_is_nowhere(stores):
    presence = stores.presences.find("CP404")

    assert (presence.process_id, presence.connected_at_ms, presence.epoch) == ("", None, 0)
    assert not presence.is_connected({"process-1"})
    assert stores.presences.owner("CP404") == ""


@pytest.mark.parametrize("later_ms", [0, 1, -10_000])
def test_epochs_rise_with_every_connection_whatever_the_clock(stores, later_ms):
    first = connect(stores)
    second = connect(stores, "process-2", NOON_MS + later_ms)

    assert second.epoch > first.epoch
    assert second.process_before == "process-1"


def test_epochs_rise_over_a_store_that_lost_its_data(stores):
    """They begin at the time: an old socket can't have a higher one."""
    first = connect(stores)
    stores.link.call("FLUSHDB")

    assert connect(stores, now_ms=NOON_MS + 1).epoch > first.epoch


def test_the_owner_is_a_living_process(stores):
    connect(stores)
    assert stores.presences.owner("CP001") == ""

    stores.presences.renew("process-1")
    assert stores.presences.owner("CP001") == "process-1"
    assert stores.presences.alive() == {"process-1"}
    assert stores.presences.find("CP001").is_connected(stores.presences.alive())
    assert stores.presences.connected_count() == 1

    lapse(stores, "process-1")
    assert stores.presences.owner("CP001") == ""
    assert stores.presences.alive() == frozenset()
    assert stores.presences.connected_count() == 0


def test_a_disconnection_says_when_and_why(stores):
    epoch = connect(stores).epoch

    assert stores.presences.disconnect("CP001", "process-1", epoch, NOON_MS + 5, "x" * 500)

    presence = stores.presences.find("CP001")
    assert (presence.process_id, presence.disconnected_at_ms) == ("", NOON_MS + 5)
    assert presence.reason == "x" * 200
    assert stores.presences.connected_count() == 0


def test_an_old_connection_s_end_does_not_end_the_newer_one(stores):
    old = connect(stores).epoch
    connect(stores, "process-2")
    stores.presences.renew("process-2")

    assert not stores.presences.disconnect("CP001", "process-1", old, NOON_MS, "late")

    assert stores.presences.owner("CP001") == "process-2"
    assert stores.presences.connected_count() == 1


def test_a_charge_point_moves_with_its_newest_connection(stores):
    connect(stores)
    connect(stores, "process-2")
    for process_id in ("process-1", "process-2"):
        stores.presences.renew(process_id)

    assert stores.presences.owner("CP001") == "process-2"
    assert stores.presences.connected_count() == 1


def test_the_dead_let_go_of_what_they_held(stores):
    stores.presences.renew("process-2")
    for number in range(3):
        connect(stores, "process-1", charge_point_id=f"CP{number}")
    connect(stores, "process-2", charge_point_id="CP9")
    lapse(stores, "process-1")

    orphaned = stores.presences.bury_the_dead(NOON_MS + 9)

    assert sorted(orphaned) == ["CP0", "CP1", "CP2"]
    assert stores.presences.find("CP0").process_id == ""
    assert stores.presences.find("CP0").disconnected_at_ms == NOON_MS + 9
    assert "died" in stores.presences.find("CP0").reason
    assert stores.presences.owner("CP9") == "process-2"
    assert stores.presences.bury_the_dead(NOON_MS) == []


def test_a_charge_point_taken_over_is_not_let_go_with_the_dead(stores):
    connect(stores, "process-1")
    connect(stores, "process-2")
    stores.presences.renew("process-2")
    stores.link.call("SADD", keys.charge_points_of("process-1"), "CP001")
    lapse(stores, "process-1")

    stores.presences.bury_the_dead(NOON_MS)

    assert stores.presences.owner("CP001") == "process-2"


def test_a_process_thought_dead_takes_back_what_nobody_took(stores):
    epoch = connect(stores).epoch
    lapse(stores, "process-1")
    stores.presences.bury_the_dead(NOON_MS)
    stores.presences.renew("process-1")

    assert stores.presences.reclaim("CP001", "process-1", epoch)
    assert stores.presences.owner("CP001") == "process-1"
    assert stores.presences.connected_count() == 1

    connect(stores, "process-2")
    assert not stores.presences.reclaim("CP001", "process-1", epoch)
    assert stores.presences.find("CP001").process_id == "process-2"


def test_a_process_that_ends_in_good_order_leaves_nothing(stores):
    connect(stores)
    stores.presences.renew("process-1")
    stores.presences.retire("process-1")

    assert stores.presences.alive() == frozenset()
    assert stores.link.call("EXISTS", keys.charge_points_of("process-1")) == 0


def test_signs_of_life_are_written_together(stores):
    connect(stores)
    connect(stores, charge_point_id="CP002")
    stores.presences.record_seen({"CP001": NOON_MS + 5, "CP002": NOON_MS + 6})

    seen = [p.last_seen_ms for p in stores.presences.find_many(["CP001", "CP002", "CP404"])]
    assert seen == [NOON_MS + 5, NOON_MS + 6, None]
    assert stores.presences.find_many([]) == []


def test_one_process_sweeps_at_a_time(stores):
    assert stores.presences.take_sweeper_lease("process-1", 60_000)
    assert not stores.presences.take_sweeper_lease("process-2", 60_000)
    assert stores.presences.take_sweeper_lease("process-1", 60_000)

    stores.link.call("DEL", keys.SWEEPER)
    assert stores.presences.take_sweeper_lease("process-2", 60_000)


# -- the fence


def test_fenced_writes_are_made_all_or_none(stores):
    stores.charge_points.create(CP001)
    stale = connect(stores).epoch
    newer = connect(stores).epoch
    writes = [
        ("HSET", keys.connectors("CP001"), "1", "a"),
        ("HSET", keys.readings("CP001"), "2", "b c", "3", "d"),
    ]

    with pytest.raises(StaleEpoch):
        write_fenced(stores.link, "CP001", stale, writes)
    assert stores.link.call("EXISTS", keys.connectors("CP001"), keys.readings("CP001")) == 0

    write_fenced(stores.link, "CP001", newer, writes)
    assert stores.link.call("HGETALL", keys.readings("CP001")) == ["2", "b c", "3", "d"]
    assert stores.link.call("HGET", keys.connectors("CP001"), "1") == "a"


def test_an_epoch_of_nobody_is_stale(stores):
    with pytest.raises(StaleEpoch):
        write_fenced(stores.link, "CP404", 5, [("SET", keys.outbox("CP404"), "x")])


@pytest.mark.parametrize("reply", ["OK", ["NEW", "1"], [], None, 0])
def test_only_the_word_stale_is_stale(reply):
    check(reply, "CP001")
