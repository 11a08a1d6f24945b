"""What operators and CP001 do, each a story to be cut anywhere, with what must be true at its end.

A story ends well when nothing is cut. Its check is made after every cut, by what the charge point
has heard and done. To have another one cut everywhere, add it to STORIES.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from cast import PEPPER, SECOND_MS
from signing_cast import ROOT, csr
from world import HOUR_MS, MINUTE_MS, World

from csms.commands import local_lists
from csms.commands.charging_profiles import up_to_date
from csms.commands.local_lists import SyncRequest
from csms.commands.transfer_wishes import LogUpload, Wish
from csms.domain.authorization import IdTag, TagStatus, fold
from csms.domain.certificate_authority import pem_chain
from csms.domain.command import CommandState
from csms.domain.credentials import key_matches, read_authorization_key
from csms.domain.transfer import LogKind, Subject


def nothing(_):
    """No such thing."""


@dataclass(frozen=True)
class Story:
    """prepare: what has happened before, uncut. goes_well: what more is true where nothing is
    cut, so that a story that tells nothing is noticed."""

    play: Callable[[World], None]
    check: Callable[[World], None]
    goes_well: Callable[[World], None]
    prepare: Callable[[World], None] = nothing


def last(world, *actions):
    """The last command of an action, None where none was ever kept."""
    return next(reversed(world.commands(*actions)), None)


def is_known(command):
    """Whether we know what the charge point made of it, or that it has never heard of it."""
    if command is None or command.state is CommandState.UNDELIVERABLE:
        return True
    return command.answer is not None or command.late_answer is not None


# -- reservations


def reserve(world, connector_id=1, lasts_ms=HOUR_MS):
    payload = {
        "connectorId": connector_id,
        "expiryDate": world.instant(lasts_ms),
        "idTag": "ALICE",
        "reservationId": 7,
    }
    world.queue("ReserveNow", payload)


def start(world, **fields):
    payload = {
        "connectorId": 1,
        "idTag": "ALICE",
        "meterStart": 0,
        "timestamp": world.instant(0),
        **fields,
    }
    return world.tell("StartTransaction", payload)["transactionId"]


def reservation(world):
    return world.books.reservations.find("CP001", 7)


def transactions(world):
    return world.books.transactions.page(None, 10, charge_point_id="CP001").items


def reserve_and_use(world):
    reserve(world)
    held = world.charge_point.reservations.pop(7, None)
    world.later(MINUTE_MS)
    start(world, **({} if held is None else {"reservationId": 7}))


def check_used(world):
    """By the start that named it; where the charge point had none, who knows."""
    record, command = reservation(world), last(world, "ReserveNow")
    heard = world.charge_point.calls("ReserveNow")
    [transaction] = transactions(world)
    assert len(heard) <= 1
    if transaction.reservation_id is not None:
        assert (record.state, record.transaction_id) == ("used", transaction.transaction_id)
    elif heard:  # it came after the start, and nobody has used it
        assert record.state == "expired"
    elif record is not None:
        assert record.wishes == ()
        assert record.state in ({"refused"} if is_known(command) else {"expired", "used"})


def check_expired(world):
    record, command = reservation(world), last(world, "ReserveNow")
    heard = world.charge_point.calls("ReserveNow")
    assert len(heard) <= 1
    if heard or not is_known(command):
        assert (record.state, record.wishes) == ("expired", ())
    elif record is not None:
        assert (record.state, record.wishes) == ("refused", ())
        assert "never" in record.reason


def reserve_and_wait(world):
    reserve(world, lasts_ms=2 * MINUTE_MS)
    world.later(3 * MINUTE_MS)
    world.sweep()


def reserve_slowly(world):
    world.is_slow = True
    reserve(world)
    world.answer_late()


def check_answered_late(world):
    """It stands from the late answer on, and is over at its time, whoever hears of it."""
    check_expired(world)
    command = last(world, "ReserveNow")
    if command is not None and command.status == "Accepted":
        assert reservation(world).accepted_at_ms is not None


def check_late_well(world):
    assert last(world, "ReserveNow").late_answer == {"status": "Accepted"}


def cancel(world):
    world.queue("CancelReservation", {"reservationId": 7})


def check_cancelled(world):
    record, command = reservation(world), last(world, "CancelReservation")
    heard = world.charge_point.calls("CancelReservation")
    assert (len(heard), record.wishes) == (1 if 7 not in world.charge_point.reservations else 0, ())
    if command is not None and command.status == "Accepted":
        assert record.state == "cancelled"
    else:
        assert record.state == "expired"


def change(world):
    reserve(world, connector_id=2, lasts_ms=2 * HOUR_MS)


def check_changed(world):
    record, command = reservation(world), last(world, "ReserveNow")
    [kept] = world.charge_point.reservations.values()
    assert (record.state, record.wishes) == ("expired", ())
    assert len(world.charge_point.calls("ReserveNow")) <= 2
    if is_known(command):
        assert record.terms.connector_id == kept["connectorId"]


# -- local lists


def assign_a_list(world, **settings):
    for number in range(5):
        world.books.id_tags.create(IdTag(f"TAG-{number}", TagStatus.ACCEPTED))
    world.books.charge_points.update("CP001", local_list="all", **settings)
    world.queue("GetConfiguration", {})


def sync(world, full=False):
    request = SyncRequest("CP001", "operator", full=full)
    world.operator(
        lambda process: local_lists.start(process.stores, process.desk, request, world.now_ms)
    )


def check_list_is_true(world):
    """What we believe is acknowledged is there, and no version was sent twice but after asking."""
    lists, has = world.books.local_lists, world.charge_point
    record = lists.find("CP001")
    assert record.sync is None
    known = lists.acknowledged(record)
    if known.entries is not None and not known.doubtful:
        assert known.version == has.list_version
        assert shown(known.entries) == {fold(tag): s for tag, s in has.local_list.items()}
    sent = Counter()
    for heard in has.calls("GetLocalListVersion", "SendLocalList"):
        if heard.action == "GetLocalListVersion":
            sent.clear()
        else:
            sent[heard.payload["listVersion"]] += 1
            assert sent[heard.payload["listVersion"]] == 1


def sync_slowly(world):
    """Its first answer comes late; the operator tries again."""
    world.is_slow = True
    sync(world)
    world.answer_late()
    world.is_slow = True
    sync(world)
    world.answer_late()


def shown(entries):
    return {folded: str(entry.info.status) for folded, entry in entries.items()}


def check_in_step(world):
    check_list_is_true(world)
    lists = world.books.local_lists
    wanted = lists.wanted("all", world.now_ms)
    assert shown(wanted.entries) == {
        fold(tag): status for tag, status in world.charge_point.local_list.items()
    }
    assert lists.find("CP001").digest == wanted.digest


def check_synced_again(world):
    """However it was cut, the next sync puts it right."""
    check_list_is_true(world)
    sync(world)
    check_in_step(world)


def block_alice(world):
    world.operator(lambda p: p.stores.id_tags.update("ALICE", status=TagStatus.BLOCKED))
    for _ in range(3):
        world.later(MINUTE_MS)
        world.sweep()


def check_alice_is_blocked(world):
    assert world.charge_point.local_list["ALICE"] == "Blocked"


def keep_in_step(world):
    assign_a_list(world, local_list_auto_sync=True)
    world.books.local_lists.watch("CP001", 0)
    sync(world)


# -- charging profiles


def profile(number, purpose="TxDefaultProfile"):
    return {
        "chargingProfileId": number,
        "stackLevel": 0,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Relative",
        "chargingSchedule": {
            "chargingRateUnit": "A",
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16}],
        },
    }


def install(world, number=1):
    payload = {"connectorId": 1, "csChargingProfiles": profile(number)}
    world.queue("SetChargingProfile", payload)
    world.later(MINUTE_MS)


def profiles(world):
    """As they are read, by id."""
    records = up_to_date(world.books, "CP001", world.now_ms)
    assert len({record.profile.charging_profile_id for record in records}) == len(records)
    return {record.profile.charging_profile_id: record.state for record in records}


def check_profiles(world):
    """Installed are those that it has; those of which nobody knows may be there."""
    has = world.charge_point.profiles
    for number, state in profiles(world).items():
        possible = {"installed", "uncertain"} if number in has else _GONE | {"uncertain"}
        assert state in possible, number
        if is_known(last(world, "SetChargingProfile", "ClearChargingProfile")):
            assert state != "uncertain"
    sent = [
        heard.payload["csChargingProfiles"]["chargingProfileId"]
        for heard in world.charge_point.calls("SetChargingProfile")
    ]
    assert len(set(sent)) == len(sent)


_GONE = {"cleared", "refused", "replaced", "ended"}


def install_another(world):
    install(world, 2)


def install_slowly(world):
    world.is_slow = True
    world.queue("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": profile(1)})
    world.answer_late()


def clear(world):
    world.queue("ClearChargingProfile", {"id": 1})


def charge_remotely(world):
    payload = {
        "connectorId": 1,
        "idTag": "ALICE",
        "chargingProfile": profile(1, "TxProfile"),
    }
    world.queue("RemoteStartTransaction", payload)
    if world.charge_point.calls("RemoteStartTransaction"):
        world.later(MINUTE_MS)
        transaction_id = start(world)
        stop = {"transactionId": transaction_id, "meterStop": 9, "timestamp": world.instant(0)}
        world.tell("StopTransaction", stop)


def check_remote_profile(world):
    """A remote start that nothing followed is over after an hour, too."""
    assert len(world.charge_point.calls("RemoteStartTransaction")) <= 1
    assert set(profiles(world).values()) <= {"ended", "refused"}


def check_remote_well(world):
    assert profiles(world) == {1: "ended"}


def ask_for_schedule(world):
    for unit in ("A", "W"):
        payload = {"connectorId": 1, "duration": 60, "chargingRateUnit": unit}
        world.queue("GetCompositeSchedule", payload)
        world.later(SECOND_MS)


def check_schedule(world):
    """The last that was told."""
    known = world.books.charging_profiles.answer("CP001", 1)
    told = [command for command in world.commands() if command.status is not None]
    assert (known and known.command_id) == (told[-1].command_id if told else None)


def check_schedule_well(world):
    assert world.books.charging_profiles.answer("CP001", 1) is not None


# -- firmware and logs


def update_firmware(world):
    payload = {"location": "http://files.example/nw-5", "retrieveDate": world.instant(0)}
    world.queue("UpdateFirmware", payload)
    if world.charge_point.calls("UpdateFirmware"):
        for status in ("Downloading", "Downloaded", "Installing"):
            world.later(MINUTE_MS)
            world.tell("FirmwareStatusNotification", {"status": status})
        boot = {"chargePointVendor": "V", "chargePointModel": "M", "firmwareVersion": "5"}
        world.tell("BootNotification", boot)
        world.tell("FirmwareStatusNotification", {"status": "Installed"})


def upload_diagnostics(world):
    world.queue("GetDiagnostics", {"location": "ftp://files.example/in"})
    if world.charge_point.calls("GetDiagnostics"):
        for status in ("Uploading", "Uploaded"):
            world.tell("DiagnosticsStatusNotification", {"status": status})


def upload_logs(world):
    """Two, one after the other."""
    upload = LogUpload("ftp://files.example/in", LogKind.SECURITY_LOG)
    for _ in range(2):
        world.operator(
            lambda process: process.transfers.upload_log(
                Wish("CP001", "operator"), upload, world.now_ms
            )
        )
        for heard in world.charge_point.calls("GetLog")[-1:]:
            request_id = heard.payload["requestId"]
            for status in ("Uploading", "Uploaded"):
                world.later(MINUTE_MS)
                told = {"status": status, "requestId": request_id}
                world.tell("LogStatusNotification", told)


def transfers(world):
    return [
        transfer
        for subject in Subject
        for transfer in world.books.transfers.page("CP001", subject, None, 50).items
    ]


def check_transfers(world):
    """What was told to its end is done; what was never sent is not waited for."""
    heard = world.charge_point.calls("UpdateFirmware", "GetDiagnostics", "GetLog")
    found = transfers(world)
    of_commands = {command.command_id: command for command in world.commands()}
    by_unique_id = {command.unique_id: command.command_id for command in world.commands()}
    begun = {by_unique_id[call.unique_id] for call in heard}
    for transfer in found:
        command = of_commands.get(transfer.transfer_id)
        if transfer.transfer_id in begun:
            assert transfer.state == "done"
        elif is_known(command):
            assert transfer.state == "unsent"
        else:
            assert transfer.state in {"unconfirmed", "superseded"}
    assert begun <= {transfer.transfer_id for transfer in found}
    request_ids = [call.payload["requestId"] for call in heard if "requestId" in call.payload]
    assert len(set(request_ids)) == len(request_ids)


def check_transfers_well(world):
    assert {transfer.state for transfer in transfers(world)} == {"done"}


# -- certificates


CSR = csr()


def ask_for_certificate(world):
    assert world.tell("SignCertificate", {"csr": CSR}) == {"status": "Accepted"}


def check_certificate(world):
    """One for one request, and the operators are told where it did not arrive."""
    signed = world.charge_point.calls("CertificateSigned")
    requests = world.books.certificate_requests.page(None, 10).items
    events = world.books.security_events.page(None, 50).items
    certificates = world.books.certificates.of("CP001")
    assert len(signed) <= 1
    assert len(world.commands("CertificateSigned")) == len(requests) == len(certificates) == 1
    if is_known(last(world, "CertificateSigned")):
        assert (requests[0].state, certificates[0].state) == ("accepted", "pending")
    else:
        assert (requests[0].state, certificates[0].state) == ("failed", "issued")
        assert "CertificateNotDelivered" in {kept.event.event_type for kept in events}


def check_certificate_well(world):
    assert world.books.certificate_requests.page(None, 10).items[0].state == "accepted"


def leave_a_request(world):
    """It was answered, and its process died before it could sign."""
    epoch = world.books.presences.find("CP001").epoch
    world.books.certificate_requests.receive(
        "CP001", epoch, CSR, world.now_ms, key="EC", common_name="CP001"
    )


def sign_by_sweep(world):
    world.later(20 * SECOND_MS)
    world.sweep()
    world.later(2 * MINUTE_MS)
    world.sweep()


def install_root(world):
    kind = "ManufacturerRootCertificate"
    payload = {"certificateType": kind, "certificate": pem_chain(ROOT.chain[:1])}
    world.queue("InstallCertificate", payload)
    world.queue("GetInstalledCertificateIds", {"certificateType": kind})
    world.later(SECOND_MS)
    if world.charge_point.roots:
        world.queue("DeleteCertificate", {"certificateHashData": world.charge_point.hash_data})


def check_roots(world):
    told = world.books.installed_certificates
    for command in world.commands("InstallCertificate"):
        if command.answer is not None:
            [kept] = told.installations("CP001")
            assert kept.status == command.status
    listed, deleted = last(world, "GetInstalledCertificateIds"), last(world, "DeleteCertificate")
    if listed is not None and listed.status == "Accepted":
        [roots] = told.lists("CP001")
        is_gone = deleted is not None and deleted.status == "Accepted"
        assert len(roots.certificates) == (0 if is_gone else 1)


def check_roots_well(world):
    assert [len(roots.certificates) for roots in world.books.installed_certificates.lists("CP001")]


# -- configuration


NEW_KEY = "11" * 16


def configure(world):
    for value in ("77", "88"):
        world.queue("ChangeConfiguration", {"key": "HeartbeatInterval", "value": value})
        world.later(SECOND_MS)
    world.queue("GetConfiguration", {"key": ["HeartbeatInterval", "SendLocalListMaxLength"]})


def check_configuration(world):
    told = world.books.configurations.find("CP001")
    has = world.charge_point.configuration["HeartbeatInterval"]
    if any(command.status for command in world.commands()) and is_known(last(world)):
        assert told.text("HeartbeatInterval") == has


def check_configuration_well(world):
    assert world.books.configurations.find("CP001").integer("SendLocalListMaxLength") == 2


def raise_profile(world):
    world.queue("ChangeConfiguration", {"key": "SecurityProfile", "value": "1"})


def check_profile_raised(world):
    """Who may have changed it must be let in as it is then."""
    record, command = world.books.charge_points.get("CP001"), last(world)
    assert record.security_profile == 0
    if world.charge_point.configuration.get("SecurityProfile") == "1" or not is_known(command):
        assert record.pending_security_profile == 1
    else:
        assert record.pending_security_profile is None


def check_profile_well(world):
    assert world.books.charge_points.get("CP001").pending_security_profile == 1


def change_key(world):
    world.queue("ChangeConfiguration", {"key": "AuthorizationKey", "value": NEW_KEY})


def check_key(world):
    """It is let in with the key it has."""
    record = world.books.charge_points.get("CP001")
    admitted = [record.key_hash, *record.pending_key_hashes]
    has = world.charge_point.configuration.get("AuthorizationKey")
    if has is not None:
        key = read_authorization_key(has)
        assert any(kept and key_matches(key, kept, PEPPER.encode()) for kept in admitted)


def check_key_well(world):
    record = world.books.charge_points.get("CP001")
    assert record.pending_key_hashes == ()
    assert record.key_hash


# -- what is asked twice


def insist(world):
    """Until it is told that its wish is taken; the key says that it is one wish."""
    wishes = (
        ("UpdateFirmware", {"location": "http://f.example/5", "retrieveDate": world.instant(0)}),
        ("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": profile(1)}),
    )
    for action, payload in wishes:
        for _ in range(3):
            if world.queue(action, payload, idempotency_key=action, deadline_s=600):
                break
        else:
            raise AssertionError("nobody takes it")


def check_insisted(world):
    for action in ("UpdateFirmware", "SetChargingProfile"):
        [command] = world.commands(action)
        assert len(world.charge_point.calls(action)) <= 1
        assert len(world.charge_point.calls(action)) == 1 or not is_known(command)
    assert {transfer.state for transfer in transfers(world)} <= {"taken", "unsent", "unconfirmed"}
    assert [t.state for t in transfers(world)].count("unsent") == len(transfers(world)) - 1
    states = {r.state for r in up_to_date(world.books, "CP001", world.now_ms)}
    assert states <= {"installed", "refused", "uncertain"}


def check_insisted_well(world):
    assert len(transfers(world)) == 1


STORIES = {
    "a reservation that is used": Story(
        reserve_and_use, check_used, lambda w: check_state(w, "used")
    ),
    "a reservation that expires": Story(
        reserve_and_wait, check_expired, lambda w: check_state(w, "expired")
    ),
    "a reservation that is answered late": Story(
        reserve_slowly, check_answered_late, check_late_well
    ),
    "a reservation that is cancelled": Story(
        cancel, check_cancelled, lambda w: check_state(w, "cancelled"), reserve
    ),
    "a reservation that is changed": Story(
        change, check_changed, lambda w: check_state(w, "expired"), reserve
    ),
    "a local list that is synced": Story(sync, check_synced_again, check_in_step, assign_a_list),
    "a local list that is answered late": Story(
        sync_slowly, check_synced_again, check_list_is_true, keep_in_step
    ),
    "a local list that is replaced": Story(
        lambda w: sync(w, full=True), check_synced_again, check_in_step, keep_in_step
    ),
    "a local list that is kept in step": Story(
        block_alice, check_in_step, check_alice_is_blocked, keep_in_step
    ),
    "a charging profile that is installed": Story(
        install, check_profiles, lambda w: check_states(w, {1: "installed"})
    ),
    "a charging profile that is answered late": Story(
        install_slowly, check_profiles, lambda w: check_states(w, {1: "installed"})
    ),
    "a charging profile that replaces another": Story(
        install_another,
        check_profiles,
        lambda w: check_states(w, {1: "replaced", 2: "installed"}),
        install,
    ),
    "a charging profile that is cleared": Story(
        clear, check_profiles, lambda w: check_states(w, {1: "cleared"}), install
    ),
    "a charging profile of a remote start": Story(
        charge_remotely, check_remote_profile, check_remote_well
    ),
    "a composite schedule": Story(ask_for_schedule, check_schedule, check_schedule_well),
    "a firmware update": Story(update_firmware, check_transfers, check_transfers_well),
    "diagnostics": Story(upload_diagnostics, check_transfers, check_transfers_well),
    "two logs": Story(upload_logs, check_transfers, check_transfers_well),
    "a certificate": Story(ask_for_certificate, check_certificate, check_certificate_well),
    "a certificate that the sweep signs": Story(
        sign_by_sweep, check_certificate, check_certificate_well, leave_a_request
    ),
    "a root certificate": Story(install_root, check_roots, check_roots_well),
    "a configuration": Story(configure, check_configuration, check_configuration_well),
    "a security profile": Story(raise_profile, check_profile_raised, check_profile_well),
    "an authorization key": Story(change_key, check_key, check_key_well),
    "a wish that is repeated": Story(insist, check_insisted, check_insisted_well),
}


def check_state(world, state):
    assert reservation(world).state == state


def check_states(world, states):
    assert profiles(world) == states
