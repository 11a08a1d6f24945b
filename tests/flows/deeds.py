"""What the charge point does about a CALL beside answering it: it boots, fetches, installs or
uploads, and tells of it."""

from cast import PEPPER, SECOND_MS

from csms.domain.file_grant import read_token
from csms.errors import CSMSError, FileGrantUsed

UPLOADED = b"what happened"


def granted(location):
    """The grant in an address of ours."""
    return read_token(location.split("/files/")[1].split("/")[0], PEPPER)


def boot(world, _=None):
    world.later(SECOND_MS)
    world.charge_point.boots += 1
    facts = {
        "chargePointVendor": "V",
        "chargePointModel": "M",
        "firmwareVersion": world.charge_point.firmware,
    }
    world.connect("BootNotification", facts)


def update(world, call):
    """Fetches the file it was sent for, and runs it."""
    grant = world.books.file_grants.find(granted(call.payload["location"]))
    assert grant is not None, "it was sent for a file before it may have it"
    assert grant.is_open(world.now_ms)
    world.charge_point.fetched.append(grant.grant_id)
    world.tell("FirmwareStatusNotification", {"status": "Downloading"})
    world.charge_point.firmware = world.storage.open(grant.storage_key).read().decode()
    world.later(SECOND_MS)
    world.tell("FirmwareStatusNotification", {"status": "Installed"})
    boot(world)


def leave_diagnostics(world, call):
    status = _upload(world, granted(call.payload["location"]))
    world.tell("DiagnosticsStatusNotification", {"status": status})


def leave_log(world, call):
    status = _upload(world, granted(call.payload["log"]["remoteLocation"]))
    told = {"status": status, "requestId": call.payload["requestId"]}
    world.tell("LogStatusNotification", told)


def _upload(world, grant_id):
    """It tries until it is told that the file is here; what becomes of it as it tells it."""
    for _ in range(4):
        world.operator(lambda process: _leave(world, process, grant_id))
        if grant_id in world.charge_point.uploaded:
            return "Uploaded"
        world.later(SECOND_MS)
    return "UploadFailure"


def _leave(world, process, grant_id):
    try:
        receiving = process.uploads.begin(grant_id, world.now_ms)
    except FileGrantUsed:  # it was here, but nobody said so
        world.charge_point.uploaded.append(grant_id)
        return
    try:
        receiving.write(UPLOADED)
        receiving.finish("log.txt", "https", "127.0.0.1", world.now_ms)
    except CSMSError:
        # A process that dies does not come to this.
        receiving.abandon()
        raise
    world.charge_point.uploaded.append(grant_id)


DEEDS = {
    "Reset": boot,
    "UpdateFirmware": update,
    "GetDiagnostics": leave_diagnostics,
    "GetLog": leave_log,
}
