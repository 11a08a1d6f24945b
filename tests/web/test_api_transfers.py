"""Firmware updates, log uploads and signing keys through the API."""

import hashlib
import threading
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from cast import NOON, PEPPER
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from csms import clock
from csms.commands.sealing import Sealer
from csms.commands.sequel import Sequel
from csms.commands.transfers import after_command
from csms.domain.certificate_authority import SignatureAlgorithm
from csms.domain.command import CommandError, CommandState
from csms.domain.firmware_signature import certify, signed_with
from csms.domain.transfer import TransferKind
from csms.state.transfers import Report

UPDATES = "/api/v1/charge-points/CP001/firmware-updates"
UPLOADS = "/api/v1/charge-points/CP001/log-uploads"
KEYS = "/api/v1/signing-keys"
LOCATION = "https://user:secret@files.example/nw-5.bin"
MASKED = "https://user:****@files.example/nw-5.bin"
FILE = b"firmware" * 300_000
SHA256 = hashlib.sha256(FILE).hexdigest()
PAIR = certify(
    rsa.generate_private_key(65537, 2048),
    "Nordwerk firmware",
    "Nordwerk",
    7,
    SignatureAlgorithm.RSA_PSS,
    clock.now_ms(),
    30,
)
SIGNATURE = PAIR.sign(bytes.fromhex(SHA256))


def asked(stores):
    """The one command that was queued, as it will be on the wire."""
    [command] = stores.commands.page(None, 10).items
    sealed = stores.link.call("HGET", f"csms:{{CP001}}:command:{command.command_id}", "sealed")
    return command.action, Sealer(PEPPER).unseal(sealed) if sealed else dict(command.payload)


def update(api, status=202, **fields):
    answer = api.post(UPDATES, json={"location": LOCATION, **fields})
    assert answer.status_code == status, answer.json
    return answer.json


def upload(api, status=202, **fields):
    answer = api.post(UPLOADS, json={"location": LOCATION, **fields})
    assert answer.status_code == status, answer.json
    return answer.json


def settle(stores, transfer_id, answer=None, error=None):
    """As the process does that holds the socket."""
    state = CommandState.ANSWERED if error is None else CommandState.REFUSED
    stores.link.call("HSET", f"csms:{{CP001}}:command:{transfer_id}", "state", "sent")
    stores.commands.settle("CP001", transfer_id, state, clock.now_ms(), answer=answer, error=error)
    stores.commands.no_longer_due(transfer_id)


@pytest.fixture
def refused(stores, around):
    """Has the charge point refuse an update as unsupported."""

    def refuse(transfer_id):
        settle(stores, transfer_id, error=CommandError("NotSupported", "", {}))
        parts = around.parts
        sequel = Sequel(stores, parts.desk, parts.settings, parts.storage, clock.now_ms())
        after_command(stores.commands.get(transfer_id), sequel)

    return refuse


# -- firmware updates


def test_an_update_is_sent_as_it_was_wished(api, connected, stores):
    made = update(api, retrieve_at=NOON, retries=3, retry_interval_s=60)

    assert asked(stores) == (
        "UpdateFirmware",
        {
            "location": LOCATION,
            "retrieveDate": "2026-11-22T12:00:00.000Z",
            "retries": 3,
            "retryInterval": 60,
        },
    )
    assert made["state"] == "requested"
    assert made["kind"] == "firmware"
    assert made["location"] == MASKED
    assert made["requested_by"] == "api:bootstrap"
    assert made["retrieve_at"] == "2026-11-22T12:00:00.000Z"
    assert api.get(f"{UPDATES}/{made['id']}").json == made
    assert api.get(UPDATES).json["items"] == [made]
    assert api.get(UPLOADS).json["items"] == []
    assert api.get(f"/api/v1/commands/{made['id']}").json["action"] == "UpdateFirmware"


def test_without_a_wish_it_is_retrieved_at_once(api, connected, stores):
    before = datetime.now(UTC) - timedelta(seconds=1)
    update(api)

    at = datetime.fromisoformat(asked(stores)[1]["retrieveDate"])
    assert before <= at <= datetime.now(UTC)


def test_a_signature_from_elsewhere_makes_it_a_signed_update(api, connected, stores):
    made = update(
        api,
        retrieve_at=NOON,
        install_at="2026-11-22T13:00:00+01:00",
        signature=SIGNATURE,
        signing_certificate=PAIR.certificate_pem,
        sha256=SHA256.upper(),
    )

    action, payload = asked(stores)
    assert action == "SignedUpdateFirmware"
    assert payload == {
        "requestId": made["request_id"],
        "firmware": {
            "location": LOCATION,
            "retrieveDateTime": "2026-11-22T12:00:00.000Z",
            "installDateTime": "2026-11-22T12:00:00.000Z",
            "signature": SIGNATURE,
            "signingCertificate": PAIR.certificate_pem,
        },
    }
    assert made["request_id"] > 0
    assert made["sha256"] == SHA256
    assert made["warnings"] == []


def test_a_signature_of_another_file_is_warned_of_and_sent(api, connected, stores):
    """TC_081."""
    made = update(
        api,
        signature=SIGNATURE,
        signing_certificate=PAIR.certificate_pem,
        sha256="0" * 64,
    )

    assert made["warnings"] == ["the signature is not of this file and certificate"]
    assert asked(stores)[0] == "SignedUpdateFirmware"


def test_any_text_may_be_a_signature(api, connected, stores):
    made = update(api, signature="not one", signing_certificate="neither")

    assert len(made["warnings"]) == 2
    assert asked(stores)[1]["firmware"]["signature"] == "not one"


def test_a_key_of_ours_signs_what_it_is_told_of(api, connected, stores):
    api.post(KEYS, json={"name": "nordwerk", "algorithm": "ecdsa"})

    made = update(api, signing_key="nordwerk", sha256=SHA256)

    firmware = asked(stores)[1]["firmware"]
    certificate = x509.load_pem_x509_certificate(firmware["signingCertificate"].encode())
    assert signed_with(certificate, bytes.fromhex(SHA256), firmware["signature"]) == "ecdsa"
    assert (made["signing_key"], made["sha256"]) == ("nordwerk", SHA256)
    assert made["warnings"] == []


def test_one_that_does_not_know_signed_updates_gets_a_plain_one(api, connected, stores, refused):
    signature = {"signature": SIGNATURE, "signing_certificate": PAIR.certificate_pem}
    first = update(api, **signature)
    refused(first["id"])
    assert "UpdateFirmware" in api.get(f"{UPDATES}/{first['id']}").json["hint"]

    assert update(api, **signature)["kind"] == "firmware"
    assert update(api, signed=True, **signature)["kind"] == "signed-firmware"


def test_one_that_wants_signed_updates_is_not_sent_a_plain_one(api, connected, refused):
    """White paper, L01.FR.20."""
    first = update(api)
    refused(first["id"])

    problem = update(api, 422)["errors"][0]
    assert problem["field"] == "signature"
    assert "NotSupported" in problem["problem"]
    assert update(api, signed="false")["kind"] == "firmware"


@pytest.mark.parametrize("signed", [False, "false"])
def test_unsigned_it_may_be_sent_with_a_signature_at_hand(api, connected, signed):
    made = update(api, signed=signed, signature=SIGNATURE, signing_certificate=PAIR.certificate_pem)

    assert made["kind"] == "firmware"


WRONG_UPDATES = [
    ({"location": "file:///fw.bin"}, "location"),
    ({"location": "files.example/fw.bin"}, "location"),
    ({"location": ""}, "location"),
    ({"location": None}, "location"),
    (
        {"location": f"https://h/{'x' * 503}", "signature": "s", "signing_certificate": "c"},
        "location",
    ),
    ({"retrieve_at": "tomorrow"}, "retrieve_at"),
    ({"retrieve_at": "2026-11-22T12:00:00"}, "retrieve_at"),
    ({"install_at": NOON}, "install_at"),
    ({"retries": -1}, "retries"),
    ({"retries": 1.5}, "retries"),
    ({"retry_interval_s": -1}, "retry_interval_s"),
    ({"signed": "perhaps"}, "signed"),
    ({"signed": True}, "signature"),
    ({"signature": "s"}, "signing_certificate"),
    ({"signing_certificate": "c"}, "signature"),
    ({"signature": "s" * 801, "signing_certificate": "c"}, "signature"),
    ({"signature": "s", "signing_certificate": "c" * 5501}, "signing_certificate"),
    ({"signing_key": "nordwerk"}, "sha256"),
    ({"signing_key": "nordwerk", "sha256": SHA256, "signature": "s"}, "signing_key"),
    ({"sha256": "00"}, "sha256"),
    ({"deadline_s": 0}, "deadline_s"),
    ({"when": "now"}, "when"),
]


@pytest.mark.parametrize(("fields", "named"), WRONG_UPDATES)
def test_a_wrong_field_of_an_update_is_named_and_nothing_is_sent(
    api, connected, stores, fields, named
):
    problem = update(api, 422, **fields)

    assert [error["field"] for error in problem["errors"]] == [named]
    assert stores.commands.page(None, 10).items == []
    assert api.get(UPDATES).json["items"] == []


def test_an_unknown_signing_key_is_told(api, connected, stores):
    assert "nobody" in update(api, 404, signing_key="nobody", sha256=SHA256)["detail"]
    assert stores.commands.page(None, 10).items == []


# -- log uploads


@pytest.mark.parametrize(
    ("kind", "action", "log_type"),
    [
        ("diagnostics", "GetDiagnostics", ""),
        ("diagnostics-log", "GetLog", "DiagnosticsLog"),
        ("security-log", "GetLog", "SecurityLog"),
    ],
)
def test_a_log_is_asked_for_as_it_was_wished(api, connected, stores, kind, action, log_type):
    made = upload(
        api,
        kind=kind,
        oldest_at="2026-11-21T12:00:00Z",
        latest_at=NOON,
        retries=1,
        retry_interval_s=5,
    )

    sent, payload = asked(stores)
    oldest, latest = "2026-11-21T12:00:00.000Z", "2026-11-22T12:00:00.000Z"
    again = {"retries": 1, "retryInterval": 5}
    assert sent == action
    if action == "GetDiagnostics":
        assert payload == {"location": LOCATION, "startTime": oldest, "stopTime": latest, **again}
        assert made["request_id"] is None
    else:
        assert payload == {
            "requestId": made["request_id"],
            "logType": log_type,
            "log": {
                "remoteLocation": LOCATION,
                "oldestTimestamp": oldest,
                "latestTimestamp": latest,
            },
            **again,
        }
    assert made["location"] == MASKED
    assert made["log_type"] == log_type
    assert (made["oldest_at"], made["latest_at"]) == (oldest, latest)
    assert api.get(f"{UPLOADS}/{made['id']}").json == made
    assert api.get(f"{UPDATES}/{made['id']}").status_code == 404


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"kind": "log"}, "kind"),
        ({"location": "tftp://host/"}, "location"),
        ({"location": f"ftp://h/{'x' * 505}", "kind": "security-log"}, "location"),
        ({"oldest_at": NOON, "latest_at": "2026-11-22T11:59:59Z"}, "latest_at"),
        ({"oldest_at": "now"}, "oldest_at"),
        ({"retries": -1}, "retries"),
    ],
)
def test_a_wrong_field_of_an_upload_is_named_and_nothing_is_sent(
    api, connected, stores, fields, named
):
    problem = upload(api, 422, **fields)

    assert [error["field"] for error in problem["errors"]] == [named]
    assert stores.commands.page(None, 10).items == []


# -- what both have in common


def test_what_was_reported_is_read_with_its_remarks(api, connected, stores):
    made = update(api)
    for status in ("Installing", "Downloading"):
        report = Report(TransferKind.FIRMWARE, status, None, "firmware")
        stores.transfers.report("CP001", connected, report, clock.now_ms())

    read = api.get(f"{UPDATES}/{made['id']}").json
    assert [(e["status"], e["remark"]) for e in read["history"]] == [
        ("Installing", None),
        ("Downloading", "step back"),
    ]
    assert read["state"] == "running"
    assert read["reported"] == "Downloading"
    assert read["reported_at"] == read["history"][-1]["at"]


def test_lists_are_paged(api, connected, stores):
    made = [update(api)["id"] for _ in range(3)]

    first = api.get(f"{UPDATES}?limit=2").json
    second = api.get(f"{UPDATES}?limit=2&cursor={first['next_cursor']}").json
    ids = [item["id"] for item in (*first["items"], *second["items"])]

    assert sorted(ids) == sorted(made)
    assert second["next_cursor"] is None


@pytest.mark.parametrize("path", [UPDATES, UPLOADS])
def test_one_that_is_away_is_told_or_waited_for(api, cast, stores, path):
    refusal = api.post(path, json={"location": LOCATION})
    assert refusal.status_code == 409
    assert stores.commands.page(None, 10).items == []

    assert api.post(path, json={"location": LOCATION, "deadline_s": 60}).status_code == 202


@pytest.mark.parametrize("resource", ["firmware-updates", "log-uploads"])
def test_an_unknown_charge_point_is_told(api, cast, resource):
    path = f"/api/v1/charge-points/CP404/{resource}"

    assert api.get(path).status_code == 404
    assert api.get(f"{path}/t1").status_code == 404
    for kind in ({}, {"kind": "security-log"} if resource == "log-uploads" else {}):
        body = {"location": LOCATION, "deadline_s": 5, **kind}
        assert api.post(path, json=body).status_code == 404


@pytest.mark.parametrize("kind", ["diagnostics", "security-log"])
def test_the_same_wish_with_the_same_key_is_one_request(api, connected, stores, kind):
    """The request id and the present instant are of our own making."""
    headers = {"Idempotency-Key": "once"}
    body = {"location": LOCATION, "kind": kind}

    first = api.post(UPLOADS, json=body, headers=headers).json
    second = api.post(UPLOADS, json=body, headers=headers).json
    other = api.post(UPLOADS, json={**body, "retries": 9}, headers=headers)

    assert first == second
    assert len(api.get(UPLOADS).json["items"]) == 1
    assert other.status_code == 422


def test_it_can_be_waited_for(api, connected, stores, around):
    """The answer is an end of the command, not of the update."""

    def answer():
        while not (found := stores.commands.page(None, 1).items):
            pass
        settle(stores, found[0].command_id, answer={})
        around.parts.waiting.wake(found[0].command_id)

    thread = threading.Thread(target=answer)
    thread.start()
    made = api.post(f"{UPDATES}?wait=20", json={"location": LOCATION})
    thread.join()

    assert made.status_code == 200
    assert made.headers["Location"].endswith(made.json["id"])


# -- signing keys


def private_pem(key):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def given(**fields):
    return {
        "name": "nordwerk",
        "private_key": PAIR.private_pem(),
        "certificate": PAIR.certificate_pem,
        **fields,
    }


def test_a_key_is_entered_and_its_private_part_never_shown(api, cast, stores):
    answer = api.post(KEYS, json=given())

    assert answer.status_code == 201
    made = answer.json
    assert made["algorithm"] == "rsa-pss"
    assert made["certificate"] == PAIR.certificate_pem
    assert (made["common_name"], made["organisation"]) == ("Nordwerk firmware", "Nordwerk")
    assert made["created_by"] == "api:bootstrap"
    assert api.get(KEYS).json == {"items": [made], "next_cursor": None}
    everything = [
        answer.text,
        api.get(KEYS).text,
        str(stores.link.call("HGETALL", "csms:signing-keys")),
    ]
    secret = PAIR.private_pem().splitlines()[1]
    assert not any(secret in text or "PRIVATE KEY" in text for text in everything)


@pytest.mark.parametrize("algorithm", [None, *SignatureAlgorithm])
def test_a_key_is_made(api, cast, algorithm):
    wanted = {} if algorithm is None else {"algorithm": algorithm}
    body = {"name": "nordwerk", "organisation": "Nordwerk", "valid_days": 10, **wanted}
    made = api.post(KEYS, json=body).json

    assert made["algorithm"] == (algorithm or "rsa-pss")
    assert (made["common_name"], made["organisation"]) == ("nordwerk", "Nordwerk")
    ends = datetime.fromisoformat(made["not_after"]) - datetime.now(UTC)
    assert timedelta(days=9) < ends <= timedelta(days=10)
    certificate = x509.load_pem_x509_certificate(made["certificate"].encode())
    certificate.verify_directly_issued_by(certificate)


OTHER = rsa.generate_private_key(65537, 2048)


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "name"),
        (given(name=""), "name"),
        (given(name="a/b"), "name"),
        (given(name="-x"), "name"),
        (given(name="n" * 65), "name"),
        (given(private_key="nonsense"), "private_key"),
        (given(private_key=private_pem(OTHER)), "certificate"),
        (given(private_key=private_pem(ec.generate_private_key(ec.SECP192R1()))), "private_key"),
        (given(certificate="nonsense"), "certificate"),
        (given(certificate=None), "certificate"),
        (given(private_key=None), "private_key"),
        (given(algorithm="ecdsa"), "algorithm"),
        (given(algorithm="md5"), "algorithm"),
        ({"name": "nordwerk", "valid_days": 0}, "valid_days"),
        ({"name": "nordwerk", "organisation": "o" * 65}, "organisation"),
    ],
)
def test_a_wrong_field_of_a_key_is_named(api, cast, body, named):
    answer = api.post(KEYS, json=body)

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json["errors"]] == [named]
    assert api.get(KEYS).json["items"] == []


def test_a_name_is_taken_once_and_free_again_after_its_deletion(api, cast, stores):
    body = {"name": "nordwerk", "algorithm": "ecdsa"}
    assert api.post(KEYS, json=body).status_code == 201
    assert api.post(KEYS, json=body).status_code == 409

    assert api.delete(f"{KEYS}/nordwerk").status_code == 204
    assert api.delete(f"{KEYS}/nordwerk").status_code == 404
    assert api.post(KEYS, json=body).status_code == 201
    events = [kept.event.event_type for kept in stores.security_events.page(None, 10).items]
    assert set(events) == {"SigningKeyEntered", "SigningKeyDeleted"}


def test_there_are_not_too_many_keys(api, cast, stores):
    stores.link.call("HSET", "csms:signing-keys", *[word for n in range(100) for word in (n, "x")])

    refusal = api.post(KEYS, json={"name": "nordwerk", "algorithm": "ecdsa"})

    assert refusal.status_code == 503
    assert "100" in refusal.json["detail"]


# -- signatures

SIGNATURES = f"{KEYS}/nordwerk/signatures"


@pytest.fixture
def key(api, cast):
    api.post(KEYS, json=given())


def verified(answer, sha256=SHA256):
    made = answer.json
    assert answer.status_code == 200, made
    certificate = x509.load_pem_x509_certificate(made["signing_certificate"].encode())
    assert made["sha256"] == sha256
    return signed_with(certificate, bytes.fromhex(sha256), made["signature"]) == made["algorithm"]


def test_a_file_is_signed_as_it_arrives(api, key):
    """It is larger than what the other routes take."""
    answer = api.post(SIGNATURES, data=FILE, content_type="application/octet-stream")

    assert len(FILE) > 2_000_000
    assert verified(answer)


def test_an_empty_file_has_a_signature_too(api, key):
    answer = api.post(SIGNATURES, data=b"", content_type="application/octet-stream")

    assert verified(answer, hashlib.sha256(b"").hexdigest())


def test_a_digest_is_signed(api, key):
    assert verified(api.post(SIGNATURES, json={"sha256": SHA256.upper()}))


def test_a_file_that_is_too_large_is_refused(api, key):
    answer = api.post(
        SIGNATURES,
        data=b"the first of them",
        content_type="application/octet-stream",
        environ_overrides={"CONTENT_LENGTH": str(513 * 1_048_576)},
    )

    assert answer.status_code == 413
    assert "512 MiB" in answer.json["detail"]


@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        (b"{}", "application/json", 422),
        (b'{"sha256": "00"}', "application/json", 422),
        (b'{"sha256": 5}', "application/json", 422),
        (orjson.dumps({"sha256": SHA256, "name": "x"}), "application/json", 422),
        (b"nonsense", "application/json", 400),
        (b"text", "text/plain", 415),
        (b"", None, 415),
    ],
)
def test_what_is_neither_a_file_nor_a_digest_is_refused(api, key, content, content_type, status):
    answer = api.post(SIGNATURES, data=content, content_type=content_type)

    assert answer.status_code == status
    assert answer.content_type == "application/problem+json"


def test_an_unknown_key_signs_nothing(api, cast):
    answer = api.post(
        f"{KEYS}/nobody/signatures", data=FILE, content_type="application/octet-stream"
    )

    assert answer.status_code == 404


def test_a_key_sealed_with_another_pepper_is_told(api, key, stores):
    sealed = orjson.loads(stores.link.call("HGET", "csms:signing-keys", "nordwerk"))
    sealed["sealed"] = Sealer("another pepper").seal({"private_key": "x"})
    stores.link.call("HSET", "csms:signing-keys", "nordwerk", orjson.dumps(sealed))

    answer = api.post(SIGNATURES, json={"sha256": SHA256})

    assert answer.status_code == 422
    assert "CREDENTIAL_PEPPER" in answer.json["detail"]
