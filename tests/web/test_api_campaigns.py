"""The resource `campaigns`."""

import csv
import io
from dataclasses import replace

import pytest
from campaign_cast import DONE, FAILED, IMAGE, UNCLEAR, UNDER_WAY, WISH, started
from cast import CP001, SETTINGS

from csms.commands.campaigns import CampaignDesk
from csms.domain.campaign import CampaignState, Selection, TargetState
from csms.web import csv_export, targets_csv
from csms.web.parts import EXTENSION

URL = "/api/v1/campaigns"
WORK = {
    "firmware": {"firmware_id": IMAGE.image_id},
    "logs": {"kind": "security-log"},
    "configuration": {"key": "HeartbeatInterval", "value": "300"},
    "reset": {"type": "Soft"},
    "local_list": {"full": True},
}


def body(kind="configuration", **changes):
    name = kind.replace("-", "_")
    return {
        "name": "Some",
        "kind": kind,
        **({name: WORK[name]} if name in WORK else {}),
        "selection": {"all": True},
        **changes,
    }


@pytest.fixture
def library(stores):
    stores.firmware_images.create(IMAGE, 1_000)


@pytest.fixture
def app(built, stores, parts_around):
    """One that keeps files."""
    around = parts_around(stores, FILES_URL="https://files.example")
    built.extensions[EXTENSION] = around.parts
    built.extensions["around"] = around
    return built


@pytest.fixture
def desk(around):
    return around.parts.campaigns


@pytest.fixture
def fleet(stores):
    """A, B and C; the first two in the harbour."""
    for charge_point_id, site in (("A", "Harbour"), ("B", "harbour"), ("C", "")):
        stores.charge_points.create(replace(CP001, charge_point_id=charge_point_id, site=site))


@pytest.mark.parametrize("kind", ["firmware", "logs", "configuration", "reset", "local-list"])
def test_each_kind_is_created_and_read(api, library, kind):
    created = api.post(URL, json=body(kind))

    assert created.status_code == 201
    assert created.headers["Location"] == f"{URL}/{created.json['id']}"
    read = api.get(created.headers["Location"]).json
    name = kind.replace("-", "_")
    assert read["kind"] == kind
    assert read["state"] == "scheduled"
    assert read["created_by"] == "api:bootstrap"
    assert {k: v for k, v in read[name].items() if k in WORK[name]} == WORK[name]
    assert not set(WORK) - {name} & set(read)


def test_version_to_check_is_that_of_the_file_unless_another_is_given(api, library):
    def version(**work):
        wish = body("firmware", firmware={**WORK["firmware"], **work})
        return api.post(URL, json=wish).json["firmware"]["version"]

    assert version() == "2.0"
    assert version(version="2.0-b") == "2.0-b"
    assert version(version="") == ""


def test_every_rule_is_kept_and_shown(api):
    rules = {
        "canary_percent": 5,
        "canary_pauses": True,
        "max_parallel": 7,
        "only_idle": False,
        "window": {"begins": "22:00", "ends": "05:30", "zone": "Europe/Berlin"},
        "retries": 3,
        "retry_pause_s": 60,
        "abort_percent": 10,
        "start_at": "2030-01-01T00:00:00.000Z",
        "end_at": "2030-02-01T00:00:00.000Z",
        "download_limit_s": 11,
        "install_limit_s": 12,
        "verify_limit_s": 13,
        "upload_limit_s": 14,
        "boot_limit_s": 15,
        "sync_limit_s": 16,
    }
    created = api.post(URL, json=body(rules=rules, selection={"vendor": "Acme", "tag": "pilot"}))

    read = api.get(created.headers["Location"]).json
    assert read["rules"] == rules
    assert read["selection"] == {
        **dict.fromkeys(("vendor", "model", "firmware", "site", "tag"), ""),
        **{"vendor": "Acme", "tag": "pilot", "all": False, "by_ids": False},
    }


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"name": ""}, {"name"}),
        ({"name": "two\nlines"}, {"name"}),
        ({"kind": "dancing"}, {"kind"}),
        ({"configuration": None}, {"configuration"}),
        ({"configuration": {}}, {"configuration.key", "configuration.value"}),
        ({"configuration": {"key": "AuthorizationKey", "value": "x"}}, {"configuration.key"}),
        ({"logs": {}}, {"logs"}),
        ({"nonsense": 1}, {"nonsense"}),
        ({"selection": {}}, {"selection"}),
        ({"selection": {"all": True, "tag": "x"}}, {"selection"}),
        ({"selection": {"all": "yes"}}, {"selection.all"}),
        ({"selection": {"charge_point_ids": ["A", "A"]}}, {"selection.charge_point_ids"}),
        ({"selection": {"charge_point_ids": [1]}}, {"selection.charge_point_ids.0"}),
        ({"selection": {"colour": "red"}}, {"selection.colour"}),
        (
            {"rules": {"retries": -1, "max_parallel": 0, "abort_percent": 101, "x": 1}},
            {"rules.retries", "rules.max_parallel", "rules.abort_percent", "rules.x"},
        ),
        ({"rules": {"window": {"begins": "22:00"}}}, {"rules.window.ends"}),
        ({"rules": {"window": {"begins": "25:00", "ends": "1:00"}}}, {"rules.window.begins"}),
        (
            {"rules": {"window": {"begins": "22:00", "ends": "05:00", "zone": "Mars/North"}}},
            {"rules.window.zone"},
        ),
        (
            {"rules": {"window": {"begins": "22:00", "ends": "05:00", "zone": "../x"}}},
            {"rules.window.zone"},
        ),
        ({"rules": {"start_at": "tomorrow"}}, {"rules.start_at"}),
        ({"rules": {"end_at": "2020-01-01T00:00:00Z"}}, {"rules.end_at"}),
    ],
)
@pytest.mark.parametrize("path", [URL, f"{URL}/dry-run"])
def test_every_bad_field_is_named(api, stores, path, changes, fields):
    refused = api.post(path, json=body(**changes))

    assert refused.status_code == 422
    assert {error["field"] for error in refused.json["errors"]} == fields
    assert stores.campaigns.page(None, 1).items == []


@pytest.mark.parametrize(
    ("kind", "work", "field"),
    [
        ("firmware", {"firmware_id": "0" * 32}, "firmware.firmware_id"),
        ("firmware", {**WORK["firmware"], "signed": "maybe"}, "firmware.signed"),
        ("firmware", {**WORK["firmware"], "signed": True}, "firmware.signing_key"),
        ("firmware", {**WORK["firmware"], "signing_key": "none"}, "firmware.signing_key"),
        ("reset", {"type": "soft"}, "reset.type"),
        ("logs", {"kind": "gossip"}, "logs.kind"),
        (
            "logs",
            {"oldest_at": "2026-02-01T00:00:00Z", "latest_at": "2026-01-01T00:00:00Z"},
            "logs.latest_at",
        ),
    ],
)
def test_work_that_makes_no_sense_is_named(api, library, kind, work, field):
    refused = api.post(URL, json=body(kind, **{kind: work}))

    assert [error["field"] for error in refused.json["errors"]] == [field]


@pytest.mark.parametrize("kind", ["logs", "local-list"])
def test_some_kinds_need_not_a_word_more(api, kind):
    wish = body(kind)
    del wish[kind.replace("-", "_")]

    assert api.post(URL, json=wish).status_code == 201


def test_dry_run_says_what_would_happen_to_whom_and_keeps_nothing(api, fleet, stores):
    tried = api.post(
        f"{URL}/dry-run",
        json=body(
            selection={"charge_point_ids": ["A", "B", "X"]},
            rules={"canary_percent": 10, "canary_pauses": True},
        ),
    ).json

    assert tried["target_count"] == 3
    assert tried["canary_count"] == 1
    assert tried["counts"] == {"begins": 0, "waits": 2, "skipped": 1, "fails": 0}
    assert tried["window_is_open"] is True
    assert tried["targets"] == [
        {"charge_point_id": "A", "outcome": "waits", "reason": "it is not connected"},
        {"charge_point_id": "B", "outcome": "waits", "reason": "it is not connected"},
        {"charge_point_id": "X", "outcome": "skipped", "reason": "there is no such charge point"},
    ]
    assert stores.campaigns.page(None, 1).items == []


@pytest.mark.parametrize("path", [URL, f"{URL}/dry-run"])
def test_campaign_with_files_needs_a_place_for_them(around, api, stores, path):
    around.parts = replace(around.parts, campaigns=CampaignDesk(stores, SETTINGS))
    api.application.extensions[EXTENSION] = around.parts

    refused = api.post(path, json=body("logs"))

    assert refused.status_code == 409
    assert "set FILES_URL or FILES_FTP_URL" in refused.json["detail"]


def test_same_request_with_its_key_is_one_campaign(api, stores):
    def ask(key, name="Some"):
        return api.post(URL, json=body(name=name), headers={"Idempotency-Key": key}).json["id"]

    first, again = ask("k"), ask("k")
    others = {ask("k", "Other"), ask("l")}

    assert first == again
    assert len({first, *others}) == 3
    assert len(stores.campaigns.page(None, 10).items) == 3
    assert len(stores.campaigns.trail(first, None, 10).items) == 1


def test_dry_run_tells_of_as_many_as_are_asked_for(api, fleet):
    wish = body(selection={"site": "HARBOUR"})

    assert [
        len(api.post(f"{URL}/dry-run?shown={shown}", json=wish).json["targets"])
        for shown in (0, 1, 9)
    ] == [0, 1, 2]
    assert api.post(f"{URL}/dry-run?shown=1001", json=wish).status_code == 422


def test_campaigns_are_listed_newest_first_a_page_at_a_time(api):
    for name in ("first", "second", "third"):
        api.post(URL, json=body(name=name))

    page = api.get(URL, query_string={"limit": 2}).json
    rest = api.get(URL, query_string={"limit": 2, "cursor": page["next_cursor"]}).json

    assert [c["name"] for c in [*page["items"], *rest["items"]]] == ["third", "second", "first"]
    assert rest["next_cursor"] is None


@pytest.fixture
def campaign(desk, stores, fleet):
    """A is done, B has failed, C is under way, D waits."""
    return started(desk, stores, {"A": DONE, "B": FAILED, "C": UNDER_WAY, "D": {}})


def test_progress_is_told_as_counts_and_an_end_by_the_pace(api, campaign):
    read = api.get(f"{URL}/{campaign}").json

    assert read["target_count"] == 4
    assert read["counts"] == {
        "waiting": 1,
        "under-way": 1,
        "done": 1,
        "failed": 1,
        "unclear": 0,
        "skipped": 0,
        "cancelled": 0,
    }
    assert read["estimated_end_at"] > read["started_at"]


def test_targets_are_listed_by_state_and_by_pages(api, campaign):
    def ids(**query):
        page = api.get(f"{URL}/{campaign}/targets", query_string=query).json
        return [target["charge_point_id"] for target in page["items"]], page["next_cursor"]

    assert ids() == (["A", "B", "C", "D"], None)
    assert ids(limit=3) == (["A", "B", "C"], "C")
    assert ids(limit=3, cursor="C") == (["D"], None)
    assert ids(state="failed") == (["B"], None)
    assert ids(state="unclear") == ([], None)


def test_target_tells_its_step_and_its_history(api, campaign):
    failed = api.get(f"{URL}/{campaign}/targets/B").json
    busy = api.get(f"{URL}/{campaign}/targets/C").json

    assert failed["state"] == "failed"
    assert failed["reason"] == "it answered Rejected"
    assert [event["attempt"] for event in failed["history"]] == [1, 2]
    assert busy["step"] == "ask"
    assert busy["ended_at"] is None
    assert api.get(f"{URL}/{campaign}/targets/D").json["step_at"] is None


def test_targets_are_exported_whole_and_safe(api, desk, stores):
    targets = {f"CP{number:03}": DONE for number in range(csv_export.PAGE + 3)}
    targets["X"] = {**FAILED, "reason": "=cmd|' /C calc'!A0"}
    campaign = started(desk, stores, targets)

    answer = api.get(f"{URL}/{campaign}/targets.csv")

    rows = list(csv.reader(io.StringIO(answer.text)))
    assert answer.content_type == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == (
        f'attachment; filename="campaign-{campaign}.csv"'
    )
    assert tuple(rows[0]) == tuple(targets_csv.COLUMNS)
    assert len(rows) == 1 + len(targets)
    assert rows[-1][:3] == ["X", "failed", "'=cmd|' /C calc'!A0"]
    only = api.get(f"{URL}/{campaign}/targets.csv?state=failed").text
    assert len(only.splitlines()) == 2


@pytest.mark.parametrize(
    ("action", "before", "after"),
    [
        ("pause", CampaignState.RUNNING, "paused"),
        ("resume", CampaignState.PAUSED, "running"),
        ("abort", CampaignState.RUNNING, "aborting"),
        ("abort", CampaignState.PAUSED, "aborting"),
        ("retry", CampaignState.ENDED, "running"),
        ("retry", CampaignState.PAUSED, "paused"),
    ],
)
def test_operators_steer_a_campaign_and_the_trail_says_who(
    api, desk, stores, action, before, after
):
    campaign = started(desk, stores, {"A": FAILED}, state=before)

    steered = api.post(f"{URL}/{campaign}/{action}")

    assert steered.status_code == 200
    assert steered.json["state"] == after
    newest, oldest = api.get(f"{URL}/{campaign}/trail").json["items"]
    assert newest["who"] == "api:bootstrap"
    assert oldest["what"] == "created"
    assert f"campaign:{campaign}" in stores.changed.take()


@pytest.mark.parametrize(
    ("action", "state", "target"),
    [
        ("pause", CampaignState.ENDED, DONE),
        ("resume", CampaignState.RUNNING, UNDER_WAY),
        ("abort", CampaignState.ABORTED, UNCLEAR),
        ("retry", CampaignState.ABORTING, UNCLEAR),
        ("retry", CampaignState.ENDED, DONE),
    ],
)
def test_what_does_not_fit_its_state_is_a_conflict(api, desk, stores, action, state, target):
    campaign = started(desk, stores, {"A": target}, state=state)

    refused = api.post(f"{URL}/{campaign}/{action}")

    assert refused.status_code == 409
    assert refused.json["type"] == "urn:csms:campaign-closed"
    assert stores.campaigns.get(campaign).state is state


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        *(("POST", f"/{action}") for action in ("pause", "resume", "abort", "retry")),
        *(("GET", f"/{part}") for part in ("targets", "targets/A", "targets.csv", "trail")),
    ],
)
def test_unknown_campaign_is_404(api, method, path):
    assert api.open(f"{URL}/{'0' * 32}{path}", method=method).status_code == 404


def test_unknown_target_and_state_are_told(api, campaign):
    assert api.get(f"{URL}/{campaign}/targets/E").status_code == 404
    assert api.get(f"{URL}/{campaign}/targets?state=lost").status_code == 422
    assert api.get(f"{URL}/{campaign}/targets.csv?state=lost").status_code == 422
    assert {state.value for state in TargetState} == set(
        api.get(f"{URL}/{campaign}").json["counts"]
    )


def test_selection_by_ids_is_told_as_such(api, desk, stores):
    wish = replace(WISH, selection=Selection(charge_point_ids=("A", "B")))
    campaign = started(desk, stores, {"A": {}, "B": {}}, wish)

    assert api.get(f"{URL}/{campaign}").json["selection"]["by_ids"] is True
