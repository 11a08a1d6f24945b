"""Local authorization lists in the API and on the page."""

import threading
import time

import pytest
from visitors import PROCESS_ID

from csms import clock
from csms.commands.sequels import Sequels
from csms.domain.authorization import IdTag, TagStatus
from csms.domain.command import CommandState
from csms.domain.configuration import ConfigurationKey
from csms.state import keys

LIST = "/api/v1/charge-points/CP001/local-list"
SYNC = f"{LIST}/sync"
PAGE = "/charge-points/CP001/local-list"


class Owner(threading.Thread):
    """The process that holds CP001's socket, and the charge point behind it, for some commands."""

    def __init__(self, around, epoch, *answers):
        super().__init__()
        self.parts, self.epoch, self.answers = around.parts, epoch, answers
        self.seen = []

    def run(self):
        stores = self.parts.stores
        sequels = Sequels(stores, self.parts.desk, self.parts.settings, self.parts.storage)
        deadline = time.monotonic() + 30
        for answer in self.answers:
            taken = None
            while taken is None and time.monotonic() < deadline:
                taken, _ = stores.commands.take("CP001", self.epoch, "u1", clock.now_ms())
            self.seen.append((taken.action, taken.payload))
            stores.commands.settle(
                "CP001", taken.command_id, CommandState.ANSWERED, clock.now_ms(), answer=answer
            )
            sync = stores.local_lists.find("CP001").sync
            sequels.after_command("CP001", taken.command_id, taken.action, clock.now_ms())
            self.parts.waiting.wake(sync.sync_id)  # what the inbox of the process would do


@pytest.fixture
def assigned(api, connected):
    """CP001 is connected and should have all three id tags."""
    assert api.patch("/api/v1/charge-points/CP001", json={"local_list": "all"}).status_code == 200
    return connected


def synced(api, around, epoch, *answers, **body):
    owner = Owner(around, epoch, *answers)
    owner.start()
    answer = api.post(f"{SYNC}?wait=30", json=body)
    owner.join()
    return answer, owner.seen


# -- the API


def test_nothing_is_assigned_unless_said(api, cast):
    shown = api.get(LIST).json

    assert (shown["state"], shown["source"], shown["auto_sync"]) == ("none", "none", False)
    assert (shown["acknowledged_version"], shown["acknowledged_entries"]) == (0, None)
    assert (shown["differences"], shown["next_update_type"], shown["sync"]) == (None, None, None)
    assert api.get(f"{LIST}/entries").json == {"items": [], "next_cursor": None}


@pytest.mark.parametrize("source", ["all", "none", "group:staff", "group:Staff"])
def test_what_is_assigned_is_a_setting(api, cast, source):
    changed = api.patch(
        "/api/v1/charge-points/CP001", json={"local_list": source, "local_list_auto_sync": True}
    )

    assert changed.json["local_list"] == source.lower()
    assert changed.json["local_list_auto_sync"] is True
    assert api.get(LIST).json["source"] == source.lower()


@pytest.mark.parametrize("source", ["staff", "group:", "group:a b", "", None, 5])
def test_what_can_not_be_assigned_is_named(api, cast, source):
    refused = api.patch("/api/v1/charge-points/CP001", json={"local_list": source})

    assert refused.status_code == 422
    assert refused.json["errors"][0]["field"] == "local_list"
    assert api.get(LIST).json["source"] == "none"


def test_who_is_to_be_kept_in_step_is_watched_from_the_beginning(api, stores):
    body = {"id": "CP9", "local_list": "all", "local_list_auto_sync": True}
    assert api.post("/api/v1/charge-points", json=body).status_code == 201
    api.post("/api/v1/charge-points", json={"id": "CP8"})

    assert stores.link.call("ZRANGE", keys.LOCAL_LISTS_WATCHED, 0, -1) == ["CP9"]


def test_what_a_sync_would_send_is_told_before(api, assigned):
    shown = api.get(LIST).json

    assert (shown["state"], shown["wanted_entries"]) == ("out_of_step", 3)
    assert (shown["next_update_type"], shown["next_messages"]) == ("Full", 1)
    assert shown["differences"] is None
    assert shown["limits"] == {
        "per_message": 20,
        "per_message_known": False,
        "in_total": 10_000,
        "in_total_known": False,
    }
    assert shown["enabled"] is None


def test_who_waits_gets_the_list_as_it_is_at_the_end(api, around, assigned, stores):
    answer, seen = synced(api, around, assigned, {"listVersion": 0}, {"status": "Accepted"})

    assert answer.status_code == 200
    assert [action for action, _ in seen] == ["GetLocalListVersion", "SendLocalList"]
    shown = answer.json
    assert (shown["state"], shown["acknowledged_version"]) == ("in_step", 1)
    assert (shown["acknowledged_entries"], shown["reported_version"]) == (3, 0)
    assert (shown["sync"], shown["last_error"]) == (None, "")
    assert shown["differences"] == {"added": 0, "changed": 0, "removed": 0}
    assert (shown["next_update_type"], shown["next_messages"]) == (None, 0)
    entries = api.get(f"{LIST}/entries?limit=2").json
    assert [e["id_tag"] for e in entries["items"]] == ["ALICE", "BOB"]
    rest = api.get(f"{LIST}/entries?limit=2&cursor={entries['next_cursor']}").json
    assert [(e["id_tag"], e["status"]) for e in rest["items"]] == [("CAROL", "Expired")]
    assert rest["next_cursor"] is None

    stores.id_tags.update("BOB", status=TagStatus.ACCEPTED)
    stores.id_tags.delete("CAROL")
    stores.id_tags.create(IdTag("DAVE", TagStatus.ACCEPTED))
    shown = api.get(LIST).json
    assert (shown["state"], shown["next_update_type"]) == ("out_of_step", "Differential")
    assert shown["differences"] == {"added": 1, "changed": 1, "removed": 1}
    assert shown["next_messages"] == 1


def test_a_full_sync_is_asked_for(api, around, assigned):
    synced(api, around, assigned, {"listVersion": 0}, {"status": "Accepted"})
    _, seen = synced(api, around, assigned, {"listVersion": 1}, {"status": "Accepted"}, full=True)

    assert seen[1][1]["updateType"] == "Full"
    assert seen[1][1]["listVersion"] == 2


def test_a_failure_is_told_in_words(api, around, assigned):
    answer, _ = synced(api, around, assigned, {"listVersion": 0}, {"status": "Failed"})

    assert (answer.status_code, answer.json["state"]) == (200, "failed")
    assert "Full update to version 1 with Failed" in answer.json["last_error"]
    assert answer.json["explanation"] == answer.json["last_error"]


def test_a_list_that_is_too_long_is_told_with_both_numbers(api, assigned, stores):
    told = ConfigurationKey("LocalAuthListMaxLength", "2", readonly=True, at_ms=1)
    stores.configurations.record("CP001", [told], is_all=False)

    shown = api.get(LIST).json
    assert "3 entries" in shown["problem"]
    assert (shown["limits"]["in_total"], shown["limits"]["in_total_known"]) == (2, True)
    answer = api.post(SYNC, json={})
    assert (answer.status_code, answer.json["state"]) == (200, "failed")
    assert "3 entries" in answer.json["last_error"]


def test_a_sync_begins_at_once_and_one_at_a_time(api, assigned):
    begun = api.post(SYNC)

    assert (begun.status_code, begun.json["state"]) == (202, "syncing")
    assert begun.json["sync"]["requested_by"] == "api:bootstrap"
    assert begun.json["sync"]["command_id"]
    again = api.post(SYNC, json={"full": True})
    assert (again.status_code, again.json["type"]) == (409, "urn:csms:local-list-sync-running")


def test_who_waits_in_vain_gets_what_is_known(api, assigned):
    assert api.post(f"{SYNC}?wait=0.1", json={}).status_code == 202


@pytest.mark.parametrize("why", ["nothing assigned", "not connected", "unknown"])
def test_what_can_not_be_synced_is_refused(api, cast, why):
    url = SYNC
    if why == "not connected":
        api.patch("/api/v1/charge-points/CP001", json={"local_list": "all"})
    if why == "unknown":
        url = SYNC.replace("CP001", "CP404")

    refused = api.post(url, json={})

    assert refused.status_code == (404 if why == "unknown" else 409)
    assert {"nothing assigned": "assigned", "not connected": "not connected"}.get(
        why, "no charge point"
    ) in refused.json["detail"]


@pytest.mark.parametrize(
    ("query", "body", "field"),
    [
        ("", {"full": "yes"}, "full"),
        ("", {"all": True}, "all"),
        ("?wait=121", {}, "wait"),
        ("?wait=x", {}, "wait"),
    ],
)
def test_a_wrong_field_is_named(api, assigned, query, body, field):
    refused = api.post(f"{SYNC}{query}", json=body)

    assert refused.status_code == 422
    assert refused.json["errors"][0]["field"] == field
    assert api.get(LIST).json["state"] == "out_of_step"


@pytest.mark.parametrize("path", ["", "/entries"])
def test_the_list_of_an_unknown_charge_point_is_not_found(api, cast, path):
    assert api.get(f"/api/v1/charge-points/CP404/local-list{path}").status_code == 404


# -- the page


def text_of(response):
    assert response.status_code == 200
    return " ".join(response.text.split())


def test_the_page_leads_to_the_settings_while_nothing_is_assigned(browser, cast):
    page = text_of(browser.get(PAGE))

    assert "None assigned" in page
    assert "/charge-points/CP001/settings" in page
    assert "<button" not in page.split('data-part="sync"')[1].split("</section>")[0]


def test_what_is_assigned_is_chosen_in_the_settings(browser, cast, stores):
    stores.id_tags.update("ALICE", tag_groups=("staff",))
    settings = text_of(browser.get("/charge-points/CP001/settings"))
    assert '<option value="none" selected>none</option>' in settings
    assert '<option value="group:staff">tag group staff</option>' in settings

    form = {
        "admission": "accepted",
        "description": "",
        "local_list": "group:staff",
        "local_list_auto_sync": "yes",
    }
    browser.post("/charge-points/CP001/settings", form)

    record = stores.charge_points.get("CP001")
    assert (record.local_list, record.local_list_auto_sync) == ("group:staff", True)
    stores.id_tags.update("ALICE", tag_groups=())
    stores.link.call("DEL", keys.TAG_VERSIONS)
    settings = text_of(browser.get("/charge-points/CP001/settings"))
    assert '<option value="group:staff" selected>tag group staff</option>' in settings
    refused = browser.post("/charge-points/CP001/settings", {**form, "local_list": "x"})
    assert refused.status_code == 422
    assert "local_list: must be none, all or group:" in refused.text


def test_the_page_says_what_would_be_sent_and_syncs(browser, around, assigned):
    page = text_of(browser.get(PAGE))
    assert "Out of step" in page
    assert "1 message: the whole list" in page
    assert "20 a message (not told)" in page

    owner = Owner(around, assigned, {"listVersion": 0}, {"status": "Accepted"})
    owner.start()
    answer = browser.post(f"{PAGE}/sync")
    owner.join()

    assert (answer.status_code, answer.headers["Location"]) == (303, PAGE)
    page = text_of(browser.get(PAGE))
    assert "The sync is over." in page
    assert "In step" in page
    assert "nothing, if it still has version 1" in page
    assert "<code>CAROL</code>" in page


def test_the_whole_list_is_sent_on_demand(browser, around, assigned):
    owner = Owner(around, assigned, {"listVersion": 7}, {"status": "NotSupported"})
    owner.start()
    browser.post(f"{PAGE}/sync", {"full": "yes"})
    owner.join()

    assert owner.seen[1][1]["listVersion"] == 8
    assert "Not supported" in text_of(browser.get(PAGE))


def test_what_can_not_be_done_is_said_beside_the_button(browser, api, assigned, stores):
    api.post(SYNC)
    again = browser.post(f"{PAGE}/sync")

    assert again.status_code == 409
    assert "is being synced already" in again.text
    page = text_of(browser.get(PAGE))
    assert "asking for the version" in page
    stores.presences.disconnect("CP001", PROCESS_ID, assigned, clock.now_ms(), "")
    assert "It is not connected" in text_of(browser.get(PAGE))


def test_an_empty_list_and_one_that_is_disabled_say_so(browser, around, assigned, stores):
    told = ConfigurationKey("LocalAuthListEnabled", "false", readonly=False, at_ms=1)
    stores.configurations.record("CP001", [told], is_all=False)
    stores.charge_points.update("CP001", local_list="group:nobody")
    owner = Owner(around, assigned, {"listVersion": 3}, {"status": "Accepted"})
    owner.start()
    browser.post(f"{PAGE}/sync")
    owner.join()

    page = text_of(browser.get(PAGE))
    assert "LocalAuthListEnabled is false" in page
    assert "Its list is empty." in page
    assert owner.seen[1][1]["localAuthorizationList"] == []


def test_long_lists_have_pages(browser, around, assigned, stores):
    for number in range(60):
        stores.id_tags.create(IdTag(f"TAG{number:02}", TagStatus.ACCEPTED))
    told = ConfigurationKey("SendLocalListMaxLength", "100", readonly=True, at_ms=1)
    stores.configurations.record("CP001", [told], is_all=False)
    owner = Owner(around, assigned, {"listVersion": 0}, {"status": "Accepted"})
    owner.start()
    browser.post(f"{PAGE}/sync")
    owner.join()

    first = text_of(browser.get(PAGE))
    assert "<code>TAG59</code>" not in first
    address = first.split('class="more"><a class="button" href="')[1].split('"')[0]
    second = text_of(browser.get(address))
    assert "<code>TAG59</code>" in second
    assert "<code>ALICE</code>" not in second


def test_tag_groups_are_entered_changed_and_looked_for_on_the_page(browser, cast, stores):
    browser.post("/id-tags", {"id_tag": "DAVE", "tag_groups": "Staff, night staff"})
    assert stores.id_tags.get("DAVE").tag_groups == ("night", "staff")
    browser.post("/id-tags/groups", {"id_tag": "ALICE", "tag_groups": "staff"})
    page = text_of(browser.get("/id-tags?tag_group=staff"))
    assert "<code>ALICE</code>" in page
    assert "<code>DAVE</code>" in page
    assert "<code>BOB</code>" not in page

    browser.post("/id-tags/groups", {"id_tag": "DAVE", "tag_groups": " "})
    assert stores.id_tags.get("DAVE").tag_groups == ()
    for path in ("/id-tags/groups", "/id-tags"):
        refused = browser.post(path, {"id_tag": "EVE", "tag_groups": "fine, -x"})
        assert refused.status_code == 422
        assert "tag_groups: must have 1 to 40 letters" in refused.text
    browser.post("/id-tags/groups", {"id_tag": "EVE", "tag_groups": "staff"})
    assert "There is no id tag EVE." in text_of(browser.get("/id-tags"))
