"""What real charge points send against the specification, and what becomes of it.

One row for each entry of the central-system rules' §15 that shows in our answers or records; the
number is that entry's. 9, 21-24 and 31 show at the door and on the socket too, and are tested
there; 5, 14, 19, 30, 34 and 40 concern what we ask.
"""

import json
from dataclasses import dataclass, field

import pytest
from cast import CP001, HOUR_MS, NOON, NOON_MS, PEPPER, Line, instant
from structlog.testing import capture_logs

from csms.domain.charge_point import read_charge_point_id
from csms.domain.credentials import hash_key, key_matches
from csms.protocol.frames import UnknownMessageType
from csms.state.transactions import TransactionIds


@dataclass
class Scene:
    """CP001 on the line. started: the transaction that runs on connector 1, of 1,000 Wh."""

    line: Line
    started: int = 0
    answers: list = field(default_factory=list)

    def say(self, text):
        """Send a frame's text; `<started>` stands for the running transaction's id."""
        frame = self.line.say(text.replace("<started>", str(self.started)))
        self.answers.append(frame)
        assert frame[0] == 3, frame
        return frame[2]

    @property
    def transaction(self):
        return self.line.transaction(self.started)

    @property
    def values(self):
        return [sample["value"] for sample in self.line.values_of(self.started)]

    @property
    def loose(self):
        return [sample["value"] for sample in self.line.loose_values()]


@pytest.fixture
def scene(line):
    return Scene(line, line.start()["transactionId"])


def meter(samples='[{"value":"2000"}]', head='"connectorId":1,"transactionId":<started>'):
    return (
        f'[2,"q","MeterValues",{{{head},"meterValue":'
        f'[{{"timestamp":"{NOON}","sampledValue":{samples}}}]}}]'
    )


def stop(head):
    return f'[2,"q","StopTransaction",{{{head},"meterStop":5000,"timestamp":"{NOON}"}}]'


def start(fields, unique_id="q"):
    return (
        f'[2,"{unique_id}","StartTransaction",{{"connectorId":2,"idTag":"ALICE",'
        f'"meterStart":7,{fields}}}]'
    )


def status(fields, connector_id=1):
    return f'[2,"q","StatusNotification",{{"connectorId":{connector_id},{fields}}}]'


BOOT = '[2,"q","BootNotification",{"chargePointVendor":"V","chargePointModel":"M"%s}]'


# -- each quirk as a function of the scene: what is sent, and what must be true then


def values_outside_a_session_name_transaction_0(scene):
    scene.say(meter(head='"connectorId":2,"transactionId":0'))
    assert scene.loose == ["2000"]


def values_of_transaction_0_in_a_session_belong_to_it(scene):
    scene.say(meter(head='"connectorId":1,"transactionId":0'))
    assert scene.values == ["2000"]


def a_stop_of(none):
    def check(scene):
        assert scene.say(stop(f'"transactionId":{none}')) == {}
        assert scene.transaction.state == "stopped"

    return check


def a_stop_of_none_with_nothing_open_is_kept(scene):
    scene.line.stop(scene.started)
    scene.say(stop('"transactionId":-1'))
    assert len(scene.line.stores.transactions.orphans("CP001")) == 1


def a_reservation_of(none):
    def check(scene):
        confirmation = scene.say(start(f'"timestamp":"{NOON}","reservationId":{none}'))
        transaction = scene.line.transaction(confirmation["transactionId"])
        assert transaction.reservation_id is None

    return check


def a_timestamp(text, at_ms, *flags):
    def check(scene):
        confirmation = scene.say(start(f'"timestamp":"{text}"'))
        transaction = scene.line.transaction(confirmation["transactionId"])
        assert transaction.started_at_ms == at_ms
        assert transaction.start_timestamp == text
        assert transaction.flags == flags

    return check


def samples(text, *values):
    def check(scene):
        assert scene.say(meter(text)) == {}
        assert scene.values == list(values)

    return check


def a_meter_value_that_is_no_list(scene):
    scene.say(
        '[2,"q","MeterValues",{"connectorId":1,"meterValue":'
        f'{{"timestamp":"{NOON}","sampledValue":{{"value":7}}}}}}]'
    )
    assert scene.values == ["7"]


def over_long_texts_in_a_boot(scene):
    long = "S" * 200
    scene.say(BOOT % f',"chargePointSerialNumber":"{long}","chargeBoxSerialNumber":"{long}"')
    facts = scene.line.stores.charge_points.get("CP001").facts
    assert facts["chargePointSerialNumber"] == facts["chargeBoxSerialNumber"] == long


def an_unknown_error_code(scene):
    scene.say(status('"errorCode":"Error","status":"Faulted"'))
    connector = scene.line.connector()
    assert (connector.error_code, connector.raw_error_code) == ("OtherError", "Error")
    assert connector.status == "Faulted"


def a_null_payload(scene):
    assert set(scene.say('[2,"q","Heartbeat",null]')) == {"currentTime"}


def a_missing_value_in_the_text(scene):
    scene.say(
        f'[2,"q","StopTransaction",{{"transactionId":,"meterStop":5000,"timestamp":"{NOON}"}}]'
    )
    assert scene.transaction.meter_stop_wh == 5_000


def values_after_the_stop(scene):
    scene.line.stop(scene.started, meterStop=5_000)
    scene.say(meter('[{"value":"9999"}]'))
    assert scene.values == ["9999"]
    assert scene.transaction.energy_wh == 4_000


def values_of_a_transaction_nobody_knows(scene):
    scene.say(meter(head='"connectorId":1,"transactionId":78450704'))
    assert scene.values + scene.loose == ["2000"]


def a_stop_without_a_start(scene):
    for _ in range(3):
        assert scene.say(stop('"transactionId":12345,"idTag":"FREE"')) == {
            "idTagInfo": {"status": "Invalid"}
        }
    assert len(scene.line.stores.transactions.orphans("CP001")) == 1
    assert scene.transaction.state == "open"


def a_start_sent_twice(second_id):
    def check(scene):
        first = scene.say(start(f'"timestamp":"{NOON}"', "q"))
        assert scene.say(start(f'"timestamp":"{NOON}"', second_id)) == first
        assert len(scene.line.stores.transactions.page(None, 10).items) == 2

    return check


def ids_that_are_no_clock(scene):
    ids = TransactionIds(scene.line.stores.link)
    taken = [ids.take(NOON_MS) for _ in range(200)]
    assert len({*taken, scene.started}) == 201


def a_stop_one_watt_hour_below_the_start(scene):
    scene.say(
        f'[2,"q","StopTransaction",{{"transactionId":<started>,"meterStop":999,'
        f'"timestamp":"{NOON}"}}]'
    )
    assert scene.transaction.energy_wh == 0
    assert scene.transaction.flags == ("meter ran backwards",)


def a_key_in_either_form(_):
    key = bytes(range(100, 120))
    stored = hash_key(key, bytes(16), PEPPER.encode())
    for presented in (key, key.hex().encode(), key.hex().upper().encode()):
        assert key_matches(presented, stored, PEPPER.encode())


def odd_paths(_):
    for path in ("///charger", "/ocpp//charger", "/ocpp/x/charger/", "/ocpp/%63harger"):
        assert read_charge_point_id(path, "/ocpp" if "ocpp" in path else "/") == "charger"


def another_case_of_the_id(scene):
    assert scene.line.stores.charge_points.find_ignoring_case("cp001").charge_point_id == "CP001"


def a_flood_of_queued_values(scene):
    for second in (5, 3, 1, 4, 2):
        scene.line.meter(
            timestamp=instant(second * 1000),
            samples=[{"value": str(1_000 + second), "context": "Trigger"}],
        )
    assert scene.values == ["1001", "1002", "1003", "1004", "1005"]
    assert scene.transaction.energy_wh == 5


def values_without_an_id_in_a_session(scene):
    scene.say(meter(head='"connectorId":1'))
    assert scene.values == ["2000"]


def a_refused_start_names_its_reservation(scene):
    confirmation = scene.say(
        start(f'"timestamp":"{NOON}","reservationId":9').replace("ALICE", "MALLORY")
    )
    transaction = scene.line.transaction(confirmation["transactionId"])
    assert (transaction.authorization, transaction.reservation_id) == ("Invalid", 9)


def message_type_1(scene):
    with pytest.raises(UnknownMessageType):
        scene.line.say('[1,"q","Heartbeat",{}]')


def no_boot_after_a_reconnect(scene):
    again = Line(scene.line.stores, scene.line.stores.charge_points.get("CP001"))
    again.call("Heartbeat", {})
    again.stop(scene.started)
    assert scene.transaction.state == "stopped"


def the_same_message_ids_after_every_reboot(scene):
    first = scene.say(start(f'"timestamp":"{NOON}"', "1"))
    again = Line(scene.line.stores)
    second = again.say(start(f'"timestamp":"{instant(HOUR_MS)}"', "1"))[2]
    assert first["transactionId"] != second["transactionId"]


def an_action_of_no_specification(action):
    def check(scene):
        frame = scene.line.say(f'[2,"q","{action}",{{"idTag":{{"id":"x"}}}}]')
        assert frame[:3] == [4, "q", "NotImplemented"]
        scene.say('[2,"q","Heartbeat",{}]')

    return check


def empty_texts_in_a_boot(scene):
    confirmation = scene.say(
        '[2,"q","BootNotification",{"chargePointVendor":"","chargePointModel":"ACChargePoint",'
        '"iccid":"","imsi":"","meterSerialNumber":""}]'
    )
    assert confirmation["status"] == "Accepted"
    assert scene.line.stores.charge_points.get("CP001").facts["iccid"] == ""


def an_id_of_63_bits(scene):
    scene.say(meter(head='"connectorId":1,"transactionId":9223372036854775807'))
    assert scene.values == ["2000"]


def a_context_nobody_knows(scene):
    scene.say(meter('[{"value":"16.000","context":"CurrentMax","unit":"A"}]'))
    assert scene.line.values_of(scene.started)[0]["context"] == "CurrentMax"


def an_info_of(text):
    def check(scene):
        scene.say(status(f'"errorCode":"NoError","status":"Finishing","info":{json.dumps(text)}'))
        assert scene.line.connector().info == text

    return check


def kilo_units(scene):
    scene.say(
        meter(
            '[{"value":"3.5","unit":"kWh"},'
            '{"value":"7.4","measurand":"Power.Active.Import","unit":"kW"}]'
        )
    )
    reading = scene.line.stores.meter_values.readings_of("CP001")[1]
    assert (reading.energy_wh, reading.power_w) == (3_500, 7_400)
    assert scene.transaction.energy_wh == 2_500


def a_line_break_inside_a_frame(scene):
    scene.say(meter('[{"value":"5","measurand":"Energy.Active.Import.Register\n"}]'))
    assert scene.line.values_of(scene.started)[0]["measurand"] == "Energy.Active.Import.Register"


def blanks_before_commas(scene):
    scene.say('[2, "q" , "Heartbeat" ,{}]')


def a_truncated_result(scene):
    frame = scene.line.stores.messages  # kept as it was: nothing can be made of it
    frame.received("CP001", '[3,"q",{"configurationKey":[{"ke', NOON_MS)
    [message] = frame.page("CP001", None, 10).items
    assert message.frame.endswith('{"ke')


def a_status_that_is_hours_old(scene):
    scene.say(
        status(
            f'"errorCode":"OtherError","status":"Faulted","timestamp":"{instant(-9 * HOUR_MS)}"', 0
        )
    )
    connector = scene.line.connector(0)
    assert (connector.status, connector.at_ms) == ("Faulted", NOON_MS - 9 * HOUR_MS)


def a_start_without_authorize(scene):
    assert scene.say(start(f'"timestamp":"{NOON}"'))["idTagInfo"]["status"] == "Accepted"


def a_burst_of_statuses(scene):
    for number in range(20):
        scene.say(
            status(
                '"errorCode":"NoError","status":"%s"' % ("Charging" if number % 2 else "Preparing"),
                number % 4,
            )
        )
    assert len(scene.line.stores.charge_points.connectors("CP001")) == 4


QUIRKS = {
    "1 MeterValues with transactionId 0 outside a session": (
        values_outside_a_session_name_transaction_0
    ),
    "1 MeterValues with transactionId 0 in a session": (
        values_of_transaction_0_in_a_session_belong_to_it
    ),
    "2 StopTransaction with transactionId 0": a_stop_of(0),
    "2 StopTransaction with transactionId -1": a_stop_of(-1),
    "2 StopTransaction with transactionId null": a_stop_of("null"),
    "2 StopTransaction with -1 and nothing open": a_stop_of_none_with_nothing_open_is_kept,
    "3 reservationId 0": a_reservation_of(0),
    "3 reservationId -1": a_reservation_of(-1),
    "4 no offset": a_timestamp("2026-11-22T11:00:00", NOON_MS - HOUR_MS),
    "4 offset of hours only": a_timestamp("2026-11-22T13:00:00+02", NOON_MS - HOUR_MS),
    "4 year 1970": a_timestamp("1970-01-01T00:00:09Z", NOON_MS, "clock wrong"),
    "4 not a date": a_timestamp("0000-00-00T00:00:00Z", NOON_MS, "clock wrong"),
    "6 value as number": samples('[{"value":230.5}]', "230.5"),
    "6 empty sampledValue": samples("[]"),
    "6 unit Hz": samples('[{"value":"50","measurand":"Frequency","unit":"Hz"}]', "50"),
    "6 unit Hertz": samples('[{"value":"50","measurand":"Frequency","unit":"Hertz"}]', "50"),
    "6 newline in measurand": samples('[{"value":"1","measurand":"SoC\\n"}]', "1"),
    "6 bad sample beside a good one": samples('[{"unit":"A"},{"value":"2"}]', "2"),
    "6 meterValue as object": a_meter_value_that_is_no_list,
    "7 over-long serial numbers": over_long_texts_in_a_boot,
    "8 unknown errorCode": an_unknown_error_code,
    "10 null payload": a_null_payload,
    "11 value left out": a_missing_value_in_the_text,
    "12 no boot after reconnect": no_boot_after_a_reconnect,
    "15 old transactionId after the stop": values_after_the_stop,
    "15 unknown transactionId": values_of_a_transaction_nobody_knows,
    "16 StopTransaction without Start": a_stop_without_a_start,
    "17 StartTransaction twice, same message id": a_start_sent_twice("q"),
    "17 StartTransaction twice, new message id": a_start_sent_twice("r"),
    "18 transaction ids never collide": ids_that_are_no_clock,
    "20 meterStop one below meterStart": a_stop_one_watt_hour_below_the_start,
    "23 password as hex text or bytes": a_key_in_either_form,
    "24 odd paths": odd_paths,
    "24 identity in another case": another_case_of_the_id,
    "25 flood of queued values": a_flood_of_queued_values,
    "26 MeterValues without transactionId": values_without_an_id_in_a_session,
    "27 burst of StatusNotifications": a_burst_of_statuses,
    "28 refused start with a reservation": a_refused_start_names_its_reservation,
    "29 message type 1": message_type_1,
    "31 accepted state outlives the link": no_boot_after_a_reconnect,
    "32 same message ids after a reboot": the_same_message_ids_after_every_reboot,
    "33 CustomOperation": an_action_of_no_specification("CustomOperation"),
    "33 TransactionStarted": an_action_of_no_specification("TransactionStarted"),
    "33 HeartBeat": an_action_of_no_specification("HeartBeat"),
    "35 key as bytes or hex": a_key_in_either_form,
    "38 empty texts in a boot": empty_texts_in_a_boot,
    "39 transactionId 2^63-1": an_id_of_63_bits,
    "39 context CurrentMax": a_context_nobody_knows,
    "39 info over 50 characters": an_info_of("The vehicle was not unplugged. " * 4),
    "39 JSON in info": an_info_of('{"reason":"plugInGun","cpv":0}'),
    "39 nanoseconds": a_timestamp("2026-11-22T11:00:00.425767854Z", NOON_MS - HOUR_MS + 426),
    "39 offset zero": a_timestamp("2026-11-22T11:00:00.659+00:00", NOON_MS - HOUR_MS + 659),
    "39 kWh and kW": kilo_units,
    "39 newline inside a frame": a_line_break_inside_a_frame,
    "39 blanks before commas": blanks_before_commas,
    "39 truncated CALLRESULT": a_truncated_result,
    "39 status hours old": a_status_that_is_hours_old,
    "39 Start without Authorize": a_start_without_authorize,
    "39 path ///charger": odd_paths,
}


@pytest.mark.parametrize("quirk", QUIRKS.values(), ids=QUIRKS)
def test_a_quirk_is_answered_and_nothing_usable_is_lost(scene, quirk):
    with capture_logs() as logged:
        quirk(scene)

    assert [entry for entry in logged if entry["log_level"] == "error"] == []
    assert scene.line.stores.charge_points.get(CP001.charge_point_id)


REQUIRED = {1, 2, 3, 4, 6, 7, 8, 10, 11, 15, 16, 17, 18, 20, 23, 24, 25, 26, 28, 29, 32, 33, 35}


def test_the_table_has_a_row_for_every_quirk_that_shows_here():
    assert {int(name.split()[0]) for name in QUIRKS} >= REQUIRED | {38, 39}
