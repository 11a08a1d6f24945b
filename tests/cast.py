"""The fixed cast of the tests: who is known, who may charge, and what time it is.

CP001 is known and CP404 is not; ALICE is accepted, BOB blocked and CAROL expired; it is NOON.
FIRMWARE is what may be in the library.
"""

import itertools
from dataclasses import replace

import orjson

from csms.clock import text_of
from csms.config import Settings
from csms.domain.authorization import IdTag, TagStatus
from csms.domain.charge_point import ChargePoint, RegistrationStatus
from csms.domain.hosted_file import FirmwareImage
from csms.handlers.context import CallContext, OwnedChargePoint
from csms.handlers.dispatch import answer
from csms.protocol.call_errors import CODES
from csms.protocol.frames import Call, CallResult, decode, encode
from csms.protocol.schemas import CONFIRMATIONS_SENT

NOON = "2026-11-22T12:00:00Z"
NOON_MS = 1_795_348_800_000
SECOND_MS = 1_000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

CP001 = ChargePoint(
    "CP001", security_profile=0, registration=RegistrationStatus.ACCEPTED, created_at_ms=NOON_MS
)
CP002 = replace(CP001, charge_point_id="CP002")
CP404 = replace(CP001, charge_point_id="CP404")

ALICE = IdTag("ALICE", TagStatus.ACCEPTED)
BOB = IdTag("BOB", TagStatus.BLOCKED)
CAROL = IdTag("CAROL", TagStatus.ACCEPTED, expires_at_ms=NOON_MS - DAY_MS)

FIRMWARE = FirmwareImage(
    image_id="1" * 32,
    storage_key="2" * 32,
    file_name="nw-5.bin",
    size_bytes=9,
    sha256="ab" * 32,
    vendor="Nordwerk",
    model="NW-22",
    version="5.0",
    description="",
    signature="",
    signing_certificate="",
    warnings=(),
    uploaded_by="user:olga",
    created_at_ms=NOON_MS,
)

PEPPER = "pepper-of-the-tests-" + "0" * 20
ENVIRONMENT = {
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "SECRET_KEY": "secret-of-the-tests-" + "0" * 20,
    "CREDENTIAL_PEPPER": PEPPER,
}
SETTINGS = Settings.from_env(ENVIRONMENT)


def instant(ms: int) -> str:
    """NOON shifted by ms, as a charge point writes it."""
    return text_of(NOON_MS + ms)


class Line:
    """What one charge point says and is answered, without a socket.

    Every answer is checked against the strict schema: no test can see us break it unnoticed.
    """

    def __init__(self, stores, record=CP001, process_id="process-1", now_ms=NOON_MS):
        self.stores = stores
        self.record = record
        self.settings = SETTINGS
        connected = stores.presences.connect(
            record.charge_point_id, process_id, now_ms, "127.0.0.1", secure=False
        )
        self.connected = connected
        connectors = stores.charge_points.connectors(record.charge_point_id)
        self.owned = OwnedChargePoint(
            record,
            connected.epoch,
            record.registration,
            {connector.connector_id: connector for connector in connectors},
        )
        self._unique_ids = itertools.count(1)

    @property
    def epoch(self):
        return self.owned.epoch

    def say(self, text, now_ms=NOON_MS):
        """The answer to a frame's text, as the charge point reads it."""
        call = decode(text)
        assert isinstance(call, Call)
        return self.answer(call, now_ms)

    def answer(self, call, now_ms=NOON_MS):
        reply = answer(call, CallContext(self.owned, self.stores, self.settings, now_ms))
        self.stores.charge_points.write_moves()  # what the process does a few times a second
        frame = orjson.loads(encode(reply))
        assert frame[1] == call.unique_id
        if isinstance(reply, CallResult):
            assert list(CONFIRMATIONS_SENT[call.action].violations(frame[2])) == []
        else:
            assert frame[2] in CODES
            assert isinstance(frame[3], str)
            assert isinstance(frame[4], dict)
        return frame

    def call(self, action, payload, now_ms=NOON_MS, unique_id=None):
        """The confirmation of a request, which must not be refused."""
        unique_id = unique_id or f"u{next(self._unique_ids)}"
        frame = self.say(orjson.dumps([2, unique_id, action, payload]).decode(), now_ms)
        assert frame[0] == 3, frame
        return frame[2]

    def refused(self, action, payload, now_ms=NOON_MS):
        """The error code of a request, which must be refused."""
        frame = self.say(orjson.dumps([2, "refused", action, payload]).decode(), now_ms)
        assert frame[0] == 4, frame
        return frame[2]

    def start(self, now_ms=NOON_MS, unique_id=None, **fields):
        """The confirmation of a StartTransaction, of ALICE on connector 1 unless told otherwise."""
        return self.call("StartTransaction", start_payload(**fields), now_ms, unique_id)

    def stop(self, transaction_id, now_ms=NOON_MS, unique_id=None, **fields):
        payload = {
            "transactionId": transaction_id,
            "meterStop": 5_000,
            "timestamp": instant(HOUR_MS),
            **fields,
        }
        return self.call("StopTransaction", payload, now_ms, unique_id)

    def meter(self, connector_id=1, now_ms=NOON_MS, samples=None, timestamp=None, **fields):
        """Meter values: 2,000 Wh at NOON unless told otherwise."""
        samples = samples if samples is not None else [{"value": "2000"}]
        meter_value = {"timestamp": timestamp or NOON, "sampledValue": samples}
        payload = {"connectorId": connector_id, "meterValue": [meter_value], **fields}
        return self.call("MeterValues", payload, now_ms)

    def status(self, status="Available", connector_id=1, now_ms=NOON_MS, **fields):
        payload = {
            "connectorId": connector_id,
            "status": status,
            "errorCode": "NoError",
            "timestamp": instant(now_ms - NOON_MS),
            **fields,
        }
        return self.call("StatusNotification", payload, now_ms)

    def transaction(self, transaction_id):
        return self.stores.transactions.get(self.record.charge_point_id, transaction_id)

    def values_of(self, transaction_id):
        """The sampled values stored for a transaction, in order."""
        stored = self.stores.meter_values.of(self.record.charge_point_id, transaction_id)
        return [sample for value in stored for sample in value["sampled_value"]]

    def loose_values(self):
        """The sampled values stored outside any transaction, newest first."""
        stored = self.stores.meter_values.loose(self.record.charge_point_id)
        return [sample for value in stored for sample in value["sampled_value"]]

    def energy_today_wh(self):
        """The fleet's, once what has been gathered is written."""
        self.stores.overviews.write_energy()
        return self.stores.overviews.read(NOON_MS).energy_today_wh

    def connector(self, connector_id=1):
        found = {
            connector.connector_id: connector
            for connector in self.stores.charge_points.connectors(self.record.charge_point_id)
        }
        return found.get(connector_id)


def start_payload(**fields):
    return {
        "connectorId": 1,
        "idTag": "ALICE",
        "meterStart": 1_000,
        "timestamp": NOON,
        **fields,
    }


def enter_the_cast(stores):
    """CP001 and the three idTags, as an operator enters them."""
    stores.charge_points.create(CP001)
    for tag in (ALICE, BOB, CAROL):
        stores.id_tags.create(tag)
