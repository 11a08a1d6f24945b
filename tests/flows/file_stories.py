"""Stories of files that are kept here: firmware that is fetched, and logs that are left."""

from dataclasses import replace

from cast import FIRMWARE, SECOND_MS
from deeds import DEEDS, UPLOADED, granted
from stories import Story, check_transfers, check_transfers_well, transfers

from csms.commands.transfer_wishes import FirmwareUpdate, LogUpload, Wish
from csms.domain.file_grant import GrantState
from csms.domain.transfer import LogKind
from csms.state import keys

IMAGE = replace(FIRMWARE, size_bytes=3, vendor="V", model="M", version="2.0")


def keep_firmware(world):
    """In the library; what is in the file is the version that it makes of a charge point."""
    world.deeds = DEEDS
    world.storage.keep(IMAGE.storage_key, IMAGE.version.encode())
    world.books.firmware_images.create(IMAGE, 1_000)


def update_from_library(world):
    wish, update = Wish("CP001", "operator"), FirmwareUpdate(image_id=IMAGE.image_id)
    world.operator(lambda p: p.transfers.update_firmware(wish, update, world.now_ms))
    world.act()


def grants(world):
    link, store = world.books.link, world.books.file_grants
    return store.find_all(link.call("ZRANGE", keys.file_grants_of("CP001"), 0, -1))


def check_grants(world):
    """There is none but for a transfer; and it is not open where that was never sent."""
    known = {transfer.transfer_id: transfer for transfer in transfers(world)}
    for grant_id, grant in grants(world).items():
        assert grant_id in known
        if known[grant_id].state in {"unsent", "refused"}:
            assert grant.state is GrantState.WITHDRAWN


def check_fetched(world):
    check_transfers(world)
    check_grants(world)
    calls = world.charge_point.calls("UpdateFirmware")
    assert len(calls) <= 1
    assert [granted(call.payload["location"]) for call in calls] == world.charge_point.fetched


def check_fetched_well(world):
    check_transfers_well(world)
    assert world.charge_point.firmware == "2.0"


def leave_files(world):
    world.deeds = DEEDS


def ask_for_log(world, kind=LogKind.SECURITY_LOG):
    wish, upload = Wish("CP001", "operator"), LogUpload(kind=kind)
    world.operator(lambda p: p.transfers.upload_log(wish, upload, world.now_ms))
    world.later(SECOND_MS)
    world.act()


def check_files(world):
    """A grant has let in one file, which is counted; and there are no others."""
    kept = world.books.uploaded_files.page(None, 10).items
    assert {one.upload_id for one in kept} == set(world.charge_point.uploaded)
    assert [one.size_bytes for one in kept] == [len(UPLOADED)] * len(kept)
    assert world.books.uploaded_files.total_bytes() == len(UPLOADED) * len(kept)
    firmware = {image.storage_key for image in world.books.firmware_images.page(None, 10).items}
    assert world.storage.files.keys() == {one.storage_key for one in kept} | firmware
    used = {one for one, grant in grants(world).items() if grant.state is GrantState.USED}
    assert used == {one.upload_id for one in kept}


def check_left(world):
    check_transfers(world)
    check_grants(world)
    check_files(world)
    calls = world.charge_point.calls("GetLog")
    asked = [granted(call.payload["log"]["remoteLocation"]) for call in calls]
    assert len(asked) <= 1
    assert asked == world.charge_point.uploaded


def check_left_well(world):
    check_transfers_well(world)
    [kept] = world.books.uploaded_files.page(None, 10).items
    assert world.storage.files[kept.storage_key] == UPLOADED


FILE_STORIES = {
    "firmware of the library": Story(
        update_from_library, check_fetched, check_fetched_well, keep_firmware
    ),
    "a log that is left here": Story(ask_for_log, check_left, check_left_well, leave_files),
}
