"""Grants and uploads in the store: used once, counted exactly, gone with their charge point."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from cast import CP001, CP002, DAY_MS, HOUR_MS, NOON_MS

from csms.domain.file_grant import FileGrant, GrantKind, GrantState
from csms.domain.hosted_file import UploadedFile
from csms.errors import FieldError, NotFound
from csms.state import keys
from csms.state.commands import BARRED_S
from csms.state.file_grants import KEPT_S
from csms.state.uploaded_files import Receipt

TOTAL_MAX = 10_000


def grant_of(number=1, charge_point_id="CP001", **changes):
    grant = FileGrant(
        grant_id=f"{number:032x}",
        charge_point_id=charge_point_id,
        kind=GrantKind.UPLOAD,
        created_at_ms=NOON_MS,
        expires_at_ms=NOON_MS + HOUR_MS,
        max_bytes=5_000,
    )
    return replace(grant, **changes)


def file_of(number=1, charge_point_id="CP001", **changes):
    uploaded = UploadedFile(
        upload_id=f"{number:032x}",
        charge_point_id=charge_point_id,
        storage_key=f"{0xF000 + number:032x}",
        file_name="diagnostics.log",
        size_bytes=1_000,
        sha256="5" * 64,
        protocol="https",
        remote_address="203.0.113.5",
        received_at_ms=NOON_MS + number,
    )
    return replace(uploaded, **changes)


def receive(stores, uploaded, now_ms=NOON_MS + 1, total_max=TOTAL_MAX):
    return stores.uploaded_files.receive(uploaded.upload_id, uploaded, now_ms, total_max)


def take(stores, number=1, charge_point_id="CP001", **changes):
    """An upload that was granted and has arrived."""
    stores.file_grants.grant(grant_of(number, charge_point_id))
    uploaded = file_of(number, charge_point_id, **changes)
    stores.unclaimed_files.note(uploaded.storage_key, NOON_MS)
    assert receive(stores, uploaded) is Receipt.RECEIVED
    return uploaded


def unclaimed(stores):
    return stores.unclaimed_files.older_than(NOON_MS + DAY_MS, 100)


def test_a_grant_is_found_as_it_was_made(stores):
    download = grant_of(
        kind=GrantKind.DOWNLOAD,
        storage_key="a" * 32,
        file_name="firmware ä.bin",
        size_bytes=7,
        sha256="b" * 64,
    )
    stores.file_grants.grant(download)

    assert stores.file_grants.find(download.grant_id) == download
    assert stores.file_grants.find("0" * 32) is None


def test_granting_again_changes_nothing(stores):
    take(stores)
    stores.file_grants.grant(grant_of(expires_at_ms=NOON_MS + DAY_MS))

    found = stores.file_grants.find(grant_of().grant_id)
    assert found.state is GrantState.USED
    assert found.expires_at_ms == NOON_MS + HOUR_MS


def test_a_grant_is_still_known_for_days_after_its_expiry_and_then_leaves(stores):
    stores.file_grants.grant(grant_of())

    for key in (keys.file_grant(grant_of().grant_id), keys.file_grants_of("CP001")):
        assert KEPT_S < stores.link.call("TTL", key) <= 3_600 + KEPT_S


def test_the_list_of_a_charge_points_grants_loses_those_that_have_left(stores):
    stores.file_grants.grant(grant_of(1))
    later_ms = NOON_MS + HOUR_MS + KEPT_S * 1000 + 1
    stores.file_grants.grant(
        grant_of(2, created_at_ms=later_ms, expires_at_ms=later_ms + 30 * DAY_MS)
    )
    stores.file_grants.grant(grant_of(3, created_at_ms=later_ms, expires_at_ms=later_ms + 1))

    index = keys.file_grants_of("CP001")
    assert stores.link.call("ZCARD", index) == 2
    assert stores.link.call("TTL", index) > 30 * 86_400  # as long as the longest


def test_a_withdrawn_grant_takes_no_upload(stores):
    stores.file_grants.grant(grant_of())
    stores.file_grants.withdraw(grant_of().grant_id)

    assert stores.file_grants.find(grant_of().grant_id).state is GrantState.WITHDRAWN
    assert receive(stores, file_of()) is Receipt.WITHDRAWN


def test_withdrawing_what_was_used_or_never_was_changes_nothing(stores):
    uploaded = take(stores)
    stores.file_grants.withdraw(uploaded.upload_id)
    stores.file_grants.withdraw("0" * 32)

    assert stores.file_grants.find(uploaded.upload_id).state is GrantState.USED
    assert stores.file_grants.find("0" * 32) is None


def test_a_grant_that_was_withdrawn_before_it_was_made_is_never_made(stores):
    """Whoever was to make it stood still, and its transfer was given up meanwhile."""
    stores.file_grants.withdraw(grant_of().grant_id)

    stores.file_grants.grant(grant_of())

    assert stores.file_grants.find(grant_of().grant_id) is None
    assert 0 < stores.link.call("TTL", keys.file_grant(grant_of().grant_id)) <= BARRED_S
    assert receive(stores, file_of()) is Receipt.UNKNOWN


def test_an_upload_uses_its_grant_up_and_claims_its_file(stores):
    uploaded = take(stores)

    grant = stores.file_grants.find(uploaded.upload_id)
    assert (grant.state, grant.storage_key) == (GrantState.USED, uploaded.storage_key)
    assert (grant.size_bytes, grant.sha256) == (uploaded.size_bytes, uploaded.sha256)
    assert stores.uploaded_files.get(uploaded.upload_id) == uploaded
    assert stores.uploaded_files.find("CP001", uploaded.upload_id) == uploaded
    assert stores.uploaded_files.find("CP002", uploaded.upload_id) is None
    assert stores.uploaded_files.total_bytes() == 1_000
    assert unclaimed(stores) == []


def test_the_same_upload_told_twice_is_counted_once(stores):
    uploaded = take(stores)

    assert receive(stores, uploaded) is Receipt.RECEIVED
    assert stores.uploaded_files.total_bytes() == 1_000


def test_a_second_file_for_the_same_grant_is_not_taken(stores):
    first = take(stores)
    second = file_of(storage_key="e" * 32)

    assert receive(stores, second) is Receipt.USED
    assert stores.uploaded_files.get(first.upload_id) == first


def test_of_many_files_at_once_for_one_grant_one_is_taken(stores):
    stores.file_grants.grant(grant_of())
    files = [file_of(storage_key=f"{number:032x}") for number in range(20)]

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda uploaded: receive(stores, uploaded), files))

    assert sorted(outcomes) == sorted([Receipt.RECEIVED] + 19 * [Receipt.USED])
    assert stores.uploaded_files.total_bytes() == 1_000


@pytest.mark.parametrize(
    ("grant", "outcome"),
    [
        (grant_of(expires_at_ms=NOON_MS + 1), Receipt.EXPIRED),
        (grant_of(kind=GrantKind.DOWNLOAD), Receipt.UNKNOWN),
        (grant_of(2), Receipt.UNKNOWN),
    ],
)
def test_what_was_not_granted_is_not_taken(stores, grant, outcome):
    stores.file_grants.grant(grant)

    assert receive(stores, file_of()) is outcome
    assert stores.uploaded_files.total_bytes() == 0
    with pytest.raises(NotFound):
        stores.uploaded_files.get(file_of().upload_id)


def test_uploads_stop_at_their_total_and_go_on_when_one_is_deleted(stores):
    first = take(stores)
    stores.file_grants.grant(grant_of(2))

    assert receive(stores, file_of(2), total_max=1_999) is Receipt.FULL
    assert stores.file_grants.find(grant_of(2).grant_id).state is GrantState.OPEN

    stores.uploaded_files.delete(first.upload_id)
    assert receive(stores, file_of(2), total_max=1_000) is Receipt.RECEIVED
    assert stores.uploaded_files.total_bytes() == 1_000


def test_a_deleted_upload_hands_its_file_to_the_sweep_and_is_subtracted_once(stores):
    uploaded = take(stores)
    take(stores, 2)

    stores.uploaded_files.delete(uploaded.upload_id)
    stores.uploaded_files.delete(uploaded.upload_id)

    assert stores.uploaded_files.total_bytes() == 1_000
    assert stores.unclaimed_files.older_than(1, 10) == [uploaded.storage_key]
    assert [one.upload_id for one in stores.uploaded_files.page(None, 10).items] == [
        file_of(2).upload_id
    ]


def test_what_is_late_after_a_deletion_brings_nothing_back(stores):
    uploaded = take(stores)
    stores.uploaded_files.delete(uploaded.upload_id)

    assert receive(stores, uploaded) is Receipt.USED
    assert stores.uploaded_files.total_bytes() == 0


def test_uploads_are_listed_newest_first_in_all_and_of_a_charge_point(stores):
    for number, charge_point_id in enumerate(("CP001", "CP002", "CP001"), start=1):
        take(stores, number, charge_point_id)

    def ids(cursor=None, limit=10, **query):
        found = stores.uploaded_files.page(cursor, limit, **query)
        return [int(one.upload_id, 16) for one in found.items], found.next_cursor

    assert ids() == ([3, 2, 1], None)
    assert ids(charge_point_id="CP001") == ([3, 1], None)
    first, cursor = ids(limit=2)
    assert first == [3, 2]
    assert ids(cursor) == ([1], None)
    with pytest.raises(FieldError):
        stores.uploaded_files.page("nonsense", 10)


def test_which_of_many_transfers_have_their_file_here(stores):
    uploaded = take(stores)

    found = stores.uploaded_files.here([uploaded.upload_id, "0" * 32])

    assert found == {uploaded.upload_id: uploaded}
    assert stores.uploaded_files.here([]) == {}


def test_old_uploads_are_found_oldest_first_and_so_many_at_most(stores):
    for number in (3, 1, 2):
        take(stores, number)

    def old(before_ms, limit):
        return [int(one, 16) for one in stores.uploaded_files.older_than(before_ms, limit)]

    assert old(NOON_MS + 3, 10) == [1, 2]
    assert old(NOON_MS + 4, 2) == [1, 2]


def test_an_unclaimed_file_is_found_by_its_age_until_it_is_claimed(stores):
    stores.unclaimed_files.note("a" * 32, NOON_MS)
    stores.unclaimed_files.note("b" * 32, NOON_MS - 1)

    assert stores.unclaimed_files.older_than(NOON_MS, 10) == ["b" * 32]
    stores.unclaimed_files.claimed("b" * 32)
    stores.unclaimed_files.claimed("b" * 32)
    assert stores.unclaimed_files.older_than(NOON_MS + 1, 10) == ["a" * 32]


def test_a_deleted_charge_point_takes_its_grants_and_uploads_along(stores, monkeypatch):
    monkeypatch.setattr("csms.state.uploaded_files._FORGOTTEN_AT_A_TIME", 2)
    for record in (CP001, CP002):
        stores.charge_points.create(record)
    gone = [take(stores, number) for number in range(1, 6)]
    stays = take(stores, 6, "CP002")
    stores.file_grants.grant(grant_of(7))

    stores.charge_points.delete("CP001")

    assert sorted(unclaimed(stores)) == sorted(one.storage_key for one in gone)
    assert stores.uploaded_files.total_bytes() == stays.size_bytes
    assert list(stores.uploaded_files.page(None, 10).items) == [stays]
    assert stores.file_grants.find(grant_of(7).grant_id) is None
    assert receive(stores, file_of(7)) is Receipt.UNKNOWN
    left = [key for key in stores.link.call("KEYS", "*{files}*") if "CP001" in key]
    assert left == []
