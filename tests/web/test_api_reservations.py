"""The resource `reservations`, and its page."""

from dataclasses import replace

import pytest
from cast import ALICE, HOUR_MS, NOON_MS, Line

from csms import clock
from csms.domain.configuration import ConfigurationKey
from csms.domain.reservation import Reservation, ReservationState, Terms

PATH = "/api/v1/charge-points/CP001/reservations"
PAGE = "/charge-points/CP001/reservations"
WANTED = {"connector_id": 1, "id_tag": "ALICE", "expires_in_s": 600}


@pytest.fixture
def keep(stores):
    """Puts a reservation of CP001 into the books; it ends an hour from now."""

    def put(number=5, state=ReservationState.ACCEPTED, until_ms=HOUR_MS, **fields):
        now_ms = clock.now_ms()
        terms = Terms(fields.pop("connector_id", 1), "ALICE", "FAMILY", now_ms + until_ms)
        record = Reservation(
            number, "CP001", terms, state, "olga", now_ms + number, now_ms, **fields
        )
        stores.reservations.change("CP001", number, lambda _: record, now_ms)
        return record

    return put


@pytest.fixture
def hurried(around):
    """Nobody waits for an answer."""
    around.draining = True


def sent(stores):
    """The payload of the command queued last."""
    command = stores.commands.page(None, 1).items[0]
    return command.action, command.payload


# -- reserving


def test_a_reservation_is_asked_for(api, connected, stores):
    before_ms = clock.now_ms()
    answer = api.post(PATH, json=WANTED)

    assert answer.status_code == 202
    body = answer.get_json()
    reservation, command = body["reservation"], body["command"]
    assert (reservation["state"], reservation["id_tag"]) == ("requested", "ALICE")
    assert reservation["wishes"] == [
        {
            "command_id": command["id"],
            "asks_for": "reservation",
            "asked_at": command["created_at"],
            "is_unanswered": False,
        }
    ]
    action, payload = sent(stores)
    assert (action, payload["connectorId"], payload["idTag"]) == ("ReserveNow", 1, "ALICE")
    assert payload["reservationId"] == reservation["id"] > 0
    assert payload["expiryDate"] == reservation["expires_at"]
    assert payload["expiryDate"].endswith(".000Z")
    assert "parentIdTag" not in payload
    until_ms = stores.reservations.get("CP001", reservation["id"]).terms.expires_at_ms
    assert 599_000 <= until_ms - before_ms <= 610_000
    assert api.get(answer.headers["Location"]).get_json()["id"] == reservation["id"]


def test_every_reservation_gets_an_id_of_its_own(api, connected):
    ids = [api.post(PATH, json=WANTED).get_json()["reservation"]["id"] for _ in range(3)]

    assert len(set(ids)) == 3


@pytest.mark.parametrize(
    ("said", "parent"),
    [({}, "FAMILY"), ({"parent_id_tag": "OTHERS"}, "OTHERS"), ({"parent_id_tag": None}, None)],
)
def test_the_group_of_the_id_tag_may_use_it_unless_said_otherwise(
    api, connected, stores, said, parent
):
    stores.id_tags.update("ALICE", parent_id_tag="FAMILY")
    api.post(PATH, json={**WANTED, **said})

    assert sent(stores)[1].get("parentIdTag") == parent


def test_an_instant_and_any_connector_may_be_named(api, connected, stores):
    wanted = {"connector_id": 0, "id_tag": "STRANGER", "expires_at": "2999-01-01T00:00:00+01:00"}
    reservation = api.post(PATH, json=wanted).get_json()["reservation"]

    assert (reservation["connector_id"], reservation["parent_id_tag"]) == (0, None)
    assert sent(stores)[1]["expiryDate"] == "2998-12-31T23:00:00.000Z"


def test_one_that_stands_is_changed_by_its_id(api, connected, keep, stores):
    keep()
    answer = api.post(PATH, json={**WANTED, "connector_id": 2, "reservation_id": 5})

    reservation = answer.get_json()["reservation"]
    assert (reservation["id"], reservation["state"], reservation["connector_id"]) == (
        5,
        "accepted",
        1,
    )
    assert len(reservation["wishes"]) == 1
    assert sent(stores)[1]["connectorId"] == 2


def test_who_waits_in_vain_is_told_how_it_stands(api, connected):
    answer = api.post(f"{PATH}?wait=0.05", json=WANTED)

    assert answer.status_code == 202
    assert answer.get_json()["command"]["state"] == "queued"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"connector_id": -1}, "connector_id"),
        ({"connector_id": 101}, "connector_id"),
        ({"connector_id": "1"}, "connector_id"),
        ({"connector_id": None}, "connector_id"),
        ({"id_tag": ""}, "id_tag"),
        ({"id_tag": "T" * 21}, "id_tag"),
        ({"id_tag": "A\nB"}, "id_tag"),
        ({"parent_id_tag": "T" * 21}, "parent_id_tag"),
        ({"expires_in_s": 0}, "expires_in_s"),
        ({"expires_in_s": None}, "expires_at"),
        ({"expires_at": "2999-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_in_s": None, "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_in_s": None, "expires_at": "2999-01-01"}, "expires_at"),
        ({"reservation_id": 0}, "reservation_id"),
        ({"reservation_id": -1}, "reservation_id"),
        ({"reservation_id": 2**31}, "reservation_id"),
        ({"deadline_s": 0}, "deadline_s"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_sent(api, connected, stores, changes, field):
    answer = api.post(PATH, json={**WANTED, **changes})

    assert answer.status_code == 422
    assert field in [problem["field"] for problem in answer.get_json()["errors"]]
    assert stores.commands.page(None, 10).items == []
    assert stores.reservations.page(None, 10, NOON_MS).items == []


def test_connector_zero_is_refused_where_the_charge_point_has_said_so(api, connected, stores):
    key = ConfigurationKey("ReserveConnectorZeroSupported", "false", readonly=True, at_ms=NOON_MS)
    stores.configurations.record("CP001", [key], is_all=False)
    answer = api.post(PATH, json={**WANTED, "connector_id": 0})

    assert answer.status_code == 422
    [problem] = answer.get_json()["errors"]
    assert problem["field"] == "connector_id"
    assert "ReserveConnectorZeroSupported" in problem["problem"]


def test_one_that_is_not_connected_is_a_409_unless_it_may_wait(api, cast, stores):
    assert api.post(PATH, json=WANTED).status_code == 409
    assert stores.reservations.page(None, 10, NOON_MS).items == []

    waiting = api.post(PATH, json={**WANTED, "deadline_s": 60})
    assert waiting.get_json()["reservation"]["state"] == "requested"


def test_an_unknown_charge_point_is_a_404(api, cast):
    path = PATH.replace("CP001", "CP404")

    assert api.post(path, json=WANTED).status_code == 404
    assert api.get(path).status_code == 404
    assert api.get(f"{path}/5").status_code == 404
    assert api.delete(f"{path}/5").status_code == 404


def test_a_raw_command_lands_in_the_same_books(api, connected):
    payload = {
        "connectorId": 1,
        "expiryDate": "2999-01-01T00:00:00Z",
        "idTag": "ALICE",
        "reservationId": 7,
    }
    api.post(
        "/api/v1/charge-points/CP001/commands", json={"action": "ReserveNow", "payload": payload}
    )

    assert api.get(f"{PATH}/7").get_json()["state"] == "requested"


# -- reading


def test_lists_are_paged_filtered_and_as_they_are_now(api, cast, keep):
    for number, state in enumerate(ReservationState, 1):
        keep(number, state)
    keep(8, until_ms=-1)

    def ids(path, **query):
        answer = api.get(path, query_string=query)
        assert answer.status_code == 200
        return [item["id"] for item in answer.get_json()["items"]]

    assert ids("/api/v1/reservations") == [8, 7, 6, 5, 4, 3, 2, 1]
    assert ids(PATH, limit=2) == [8, 7]
    assert ids("/api/v1/reservations", state="expired", charge_point_id="CP001") == [8, 6]
    assert ids("/api/v1/reservations", charge_point_id="CP404") == []
    assert ids(PATH, state="lost") == [7]
    first = api.get(PATH, query_string={"limit": 3}).get_json()
    assert ids(PATH, cursor=first["next_cursor"]) == [5, 4, 3, 2, 1]
    assert api.get(PATH, query_string={"state": "gone"}).status_code == 422
    assert api.get(PATH, query_string={"cursor": "x"}).status_code == 422


def test_one_is_read_as_it_is_now(api, cast, keep):
    record = keep(until_ms=-1_000)

    answer = api.get(f"{PATH}/5").get_json()
    assert (answer["state"], answer["transaction_id"]) == ("expired", None)
    assert answer["changed_at"] == clock.text_of(record.terms.expires_at_ms)
    assert api.get(f"{PATH}/6").status_code == 404


# -- cancelling


@pytest.mark.parametrize("state", list(ReservationState))
def test_it_can_be_cancelled_in_any_state(api, connected, keep, stores, state):
    """TC_052: the charge point may know better."""
    keep(state=state)
    answer = api.delete(f"{PATH}/5")

    assert answer.status_code == 202
    body = answer.get_json()
    assert body["reservation"]["state"] == state
    assert [wish["asks_for"] for wish in body["reservation"]["wishes"]] == ["cancellation"]
    assert sent(stores) == ("CancelReservation", {"reservationId": 5})


def test_what_is_not_on_record_is_a_404_and_not_connected_a_409(api, cast, keep):
    assert api.delete(f"{PATH}/5").status_code == 404
    keep()
    assert api.delete(f"{PATH}/5").status_code == 409


# -- the page


def test_the_page_shows_what_stands_and_what_came_before(browser, connected, keep):
    keep(5, connector_id=0)
    keep(6, reason="a change was refused: Occupied")
    keep(7, ReservationState.USED, transaction_id=77)
    keep(8, ReservationState.REFUSED, reason="Faulted")
    keep(9, until_ms=-1)
    text = browser.get(PAGE).text

    now, before = text.split("<h2>Before</h2>")
    assert "Any connector" in now
    assert "a change was refused: Occupied" in now
    assert "data-until" in now
    assert f'action="{PAGE}/6/cancel"' in now
    for shown in ("Used", "/transactions/77", "Refused", "Faulted", "Expired"):
        assert shown in before
    assert f"{PAGE}/9/cancel" not in text
    assert 'aria-current="page">Reservations' in text


def test_the_page_says_what_to_do_where_nothing_is_reserved(browser, connected):
    text = browser.get(PAGE).text

    assert "Nothing is reserved now. Reserve a connector below." in text
    assert "None has ended yet." in text


def test_older_ones_are_on_further_pages(browser, cast, keep):
    for number in range(1, 60):
        keep(number, ReservationState.CANCELLED)

    text = browser.get(PAGE).text
    assert "Older reservations" in text
    older = text.split("cursor=")[1].split('"')[0]
    assert ">5</td>" in browser.get(f"{PAGE}?cursor={older}").text


def test_the_form_reserves(browser, connected, stores, hurried):
    form = {"connector_id": "1", "id_tag": " ALICE ", "minutes": "30", "once": "x"}
    answer = browser.post(PAGE, form)

    assert answer.status_code == 303
    action, payload = sent(stores)
    assert (action, payload["idTag"], payload["connectorId"]) == ("ReserveNow", "ALICE", 1)
    shown = browser.get(answer.headers["Location"]).text
    assert f"(reservation {payload['reservationId']}, ALICE, connector 1): Waits to" in shown
    assert "Requested" in shown


def test_a_double_click_reserves_once_and_another_wish_once_more(
    browser, connected, stores, hurried
):
    form = {"connector_id": "1", "id_tag": "ALICE", "minutes": "30", "once": "x"}
    for _ in range(2):
        assert browser.post(PAGE, form).status_code == 303
    assert len(stores.commands.page(None, 10).items) == 1

    browser.post(PAGE, {**form, "minutes": "45"})
    assert len(stores.commands.page(None, 10).items) == 2


def test_the_form_changes_one_that_stands(browser, connected, keep, stores, hurried):
    keep()
    form = {"connector_id": "2", "id_tag": "ALICE", "minutes": "5", "reservation_id": "5"}
    browser.post(PAGE, form)

    assert sent(stores)[1]["reservationId"] == 5
    assert "a change is on its way" in browser.get(PAGE).text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"id_tag": ""}, "id_tag: must have 1 to 20 characters"),
        ({"id_tag": "T" * 21}, "id_tag: must have 1 to 20 characters"),
        ({"minutes": "0"}, "minutes: must be a whole number between 1 and"),
        ({"minutes": "soon"}, "minutes: must be a whole number between 1 and"),
        ({"connector_id": ""}, "connector_id: must be a whole number between 0 and 100"),
        ({"reservation_id": "-1"}, "reservation_id: must be a whole number between 1 and"),
    ],
)
def test_what_is_wrong_is_shown_beside_the_form(browser, connected, stores, changes, said):
    form = {"connector_id": "1", "id_tag": "ALICE", "minutes": "12", **changes}
    answer = browser.post(PAGE, form)

    assert answer.status_code == 422
    assert said in answer.text
    assert stores.commands.page(None, 10).items == []


def test_the_button_cancels(browser, connected, keep, stores, hurried):
    keep()
    answer = browser.post(f"{PAGE}/5/cancel", {"once": "y"})

    assert answer.status_code == 303
    assert sent(stores) == ("CancelReservation", {"reservationId": 5})
    shown = browser.get(answer.headers["Location"]).text
    assert "Cancel a reservation (reservation 5): Waits to be sent" in shown
    assert "the cancellation is on its way" in shown


def test_without_a_connection_both_are_refused_in_words(browser, cast, keep):
    keep()
    form = {"connector_id": "1", "id_tag": "ALICE", "minutes": "30"}
    for path, given in ((PAGE, form), (f"{PAGE}/5/cancel", {})):
        answer = browser.post(path, given)
        assert answer.status_code == 409
        assert "CP001 is not connected." in answer.text


def test_a_connector_says_for_whom_it_is_reserved(browser, connected, keep, stores):
    line = Line(stores)
    line.status("Reserved", now_ms=clock.now_ms())
    keep()

    text = browser.get("/charge-points/CP001").text
    assert "Reserved for <code>ALICE</code>, ends" in text
    assert f'href="{PAGE}"' in text


def test_tags_of_operators_are_no_markup(browser, connected, keep, stores, hurried):
    stores.id_tags.create(replace(ALICE, id_tag="<b>X</b>"))
    browser.post(PAGE, {"connector_id": "1", "id_tag": "<b>X</b>", "minutes": "30"})

    assert "<b>X</b>" not in browser.get(PAGE).text
