"""Campaigns on pages: entered with plain forms, tried before they start, watched and steered."""

import re
from dataclasses import replace

import pytest
from campaign_cast import DONE, FAILED, IMAGE, UNCLEAR, UNDER_WAY, WISH, started
from cast import CP001, NOON_MS, SETTINGS

from csms.commands.campaigns import CampaignDesk
from csms.commands.dispatch import CommandRequest
from csms.domain.campaign import (
    CampaignKind,
    CampaignState,
    ConfigurationWork,
    FirmwareWork,
    LocalListWork,
    LogsWork,
    ResetWork,
    Rules,
    Selection,
    Step,
    TargetState,
    Window,
    command_id_of,
)
from csms.domain.transfer import LogKind
from csms.web.pages import campaign_form, campaign_words
from csms.web.parts import EXTENSION

LIST = "/campaigns"
NEW = "/campaigns/new"
NASTY = "'\"><img src=x onerror=alert(1)>"


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
    for charge_point_id, site in (("A", "Harbour"), ("B", "Harbour"), ("C", "")):
        stores.charge_points.create(replace(CP001, charge_point_id=charge_point_id, site=site))


def form(kind="configuration", **changes):
    """What a browser sends of the form as it is shown, filled in."""
    work = {
        "firmware": {"firmware_id": IMAGE.image_id, "signed": "auto"},
        "logs": {"log_kind": "auto"},
        "configuration": {"key": "HeartbeatInterval", "value": "300"},
        "reset": {"type": "Soft"},
        "local-list": {},
    }[kind]
    shown = {**campaign_form.DEFAULTS, "kind": kind, "name": "Some", "site": "Harbour", **work}
    return {**shown, **changes}


def words(answer):
    return " ".join(re.sub(r"<[^>]+>", " ", answer.text).split())


def created(stores):
    [campaign] = stores.campaigns.page(None, 10).items
    return campaign


def test_menu_leads_to_a_list_that_says_what_to_expect(browser):
    assert 'href="/campaigns" aria-current="page">Campaigns' in browser.get(LIST).text
    assert "No campaign yet" in browser.get(LIST).text


def test_kind_is_chosen_before_its_form(browser):
    chosen = browser.get(NEW).text

    for kind in CampaignKind:
        assert f'href="/campaigns/new?kind={kind}"' in chosen
        assert f'name="kind" value="{kind}"' in browser.get(f"{NEW}?kind={kind}").text
    assert "What is to be done" in browser.get(f"{NEW}?kind=dance").text


def test_form_says_where_the_library_is_empty_and_offers_its_files(browser, stores):
    assert "firmware library is empty" in words(browser.get(f"{NEW}?kind=firmware"))

    stores.firmware_images.create(IMAGE, 1_000)

    offered = browser.get(f"{NEW}?kind=firmware&firmware_id={IMAGE.image_id}").text
    assert f'<option value="{IMAGE.image_id}" selected>Acme · Duo · 2.0 · duo.bin' in offered


@pytest.mark.parametrize(
    ("kind", "work"),
    [
        ("firmware", FirmwareWork(IMAGE.image_id, "2.0", vendor="Acme", model="Duo")),
        ("logs", LogsWork()),
        ("configuration", ConfigurationWork("HeartbeatInterval", "300")),
        ("reset", ResetWork("Soft")),
        ("local-list", LocalListWork()),
    ],
)
def test_form_of_each_kind_starts_a_campaign(browser, fleet, stores, kind, work):
    stores.firmware_images.create(IMAGE, 1_000)

    answer = browser.post(NEW, form(kind, do="start", typed_count="2"))

    campaign = created(stores)
    assert answer.status_code == 303
    assert answer.headers["Location"] == f"{LIST}/{campaign.campaign_id}"
    assert campaign.work == work
    assert campaign.selection == Selection(site="Harbour")
    assert campaign.created_by == "user:olga"
    assert campaign.rules == Rules(canary_percent=5, abort_percent=10)


def test_every_rule_can_be_entered(browser, stores):
    answer = browser.post(
        NEW,
        form(
            "logs",
            do="start",
            log_kind="security-log",
            oldest_at="2026-01-01T00:00",
            latest_at="2026-01-02T00:00",
            work_retries="2",
            work_retry_interval_s="30",
            canary_percent="50",
            canary_pauses="yes",
            only_idle="",
            max_parallel="7",
            retries="0",
            retry_pause_min="1",
            abort_percent="",
            window_begins="22:00",
            window_ends="05:30",
            window_zone="Europe/Berlin",
            start_at="2030-01-01T00:00",
            end_at="2030-01-02T00:00",
            upload_limit_min="5",
        ),
    )

    campaign = created(stores)
    assert answer.status_code == 303
    assert campaign.work == LogsWork(
        LogKind.SECURITY_LOG, 1_767_225_600_000, 1_767_312_000_000, 2, 30
    )
    assert campaign.rules == Rules(
        canary_percent=50,
        canary_pauses=True,
        max_parallel=7,
        only_idle=False,
        window=Window("22:00", "05:30", "Europe/Berlin"),
        retries=0,
        retry_pause_s=60,
        abort_percent=None,
        start_at_ms=1_893_456_000_000,
        end_at_ms=1_893_542_400_000,
        upload_limit_s=300,
    )


def test_double_click_starts_one_campaign(browser, stores):
    clicked = [browser.post(NEW, form(do="start", once="1f2e")) for _ in range(2)]

    assert clicked[0].headers["Location"] == clicked[1].headers["Location"]
    assert created(stores).name == "Some"


def test_ids_are_listed_one_a_line_or_between_commas(browser, stores):
    browser.post(NEW, form(do="start", meant="list", charge_point_ids=" A \r\n\r\nRDAM 12, C"))

    assert stores.campaigns.listed(created(stores).campaign_id) == ["A", "RDAM 12", "C"]


def test_dry_run_shows_what_would_happen_and_keeps_what_was_entered(browser, fleet, stores):
    tried = browser.post(NEW, form(do="dry-run", name="Harbour & more", canary_percent="60"))

    assert tried.status_code == 200
    assert 'formaction="/campaigns/new#dry-run"' in tried.text
    assert "2 charge points, 2 of them first" in words(tried)
    assert "2 would wait" in words(tried)
    assert "it is not connected" in words(tried)
    assert 'value="Harbour &amp; more"' in tried.text
    assert 'name="site" id="field-site" value="Harbour"' in tried.text
    assert 'value="60"' in tried.text
    assert 'name="typed_count"' not in tried.text
    assert stores.campaigns.page(None, 1).items == []


def test_dry_run_says_that_it_is_not_the_time(browser, fleet):
    never = {"window_begins": "00:00", "window_ends": "00:01", "window_zone": "UTC"}
    other = {"window_begins": "12:00", "window_ends": "12:01", "window_zone": "UTC"}
    tried = [words(browser.post(NEW, form(do="dry-run", **window))) for window in (never, other)]

    assert any("At this time of day nothing is begun: all wait until" in text for text in tried)


@pytest.mark.parametrize("change", [{"kind": "reset", "type": "Hard"}, {"meant": "all"}])
def test_grave_ones_start_when_their_number_was_typed(browser, fleet, stores, change):
    entered = {**form(), **change}
    count = "3" if change.get("meant") == "all" else "2"
    tried = browser.post(NEW, {**entered, "do": "dry-run"})
    refused = [
        browser.post(NEW, {**entered, "do": "start", **typed})
        for typed in ({}, {"typed_count": "1"}, {"typed_count": ""})
    ]

    assert 'name="typed_count"' in tried.text
    for answer in refused:
        assert answer.status_code == 422
        assert f"type {count}, the number of charge points, to start it" in answer.text
    assert stores.campaigns.page(None, 1).items == []
    assert browser.post(NEW, {**entered, "do": "start", "typed_count": count}).status_code == 303


@pytest.mark.parametrize(
    ("change", "complaints"),
    [
        ({"name": ""}, ["Name must have 1 to 100 characters"]),
        ({"key": ""}, ["Key is required"]),
        ({"key": "AuthorizationKey"}, ["Key must be set for each charge point alone"]),
        ({"site": ""}, ["Which charge points must be said: fill in at least one field"]),
        ({"meant": "list", "charge_point_ids": "x" * 49}, ["Ids must have 1 to 48 characters"]),
        (
            {"max_parallel": "0", "retries": "many", "abort_percent": "101"},
            [
                "At once must be between 1 and 1000",
                "Further tries must be a whole number",
                "Abort must be between 0 and 100",
            ],
        ),
        ({"window_begins": "22:00"}, ["Daily until is required"]),
        (
            {"window_begins": "22:00", "window_ends": "05:00", "window_zone": "Mars"},
            ["Time zone must be a zone"],
        ),
        ({"start_at": "soon"}, ["Start must be an instant"]),
        ({"boot_limit_min": "0"}, ["Minutes for the restart must be between 1 and 43200"]),
    ],
)
def test_all_that_is_wrong_is_said_by_its_label_and_kept(browser, stores, change, complaints):
    refused = browser.post(NEW, form(do="start", **{"name": "Harbour", **change}))

    assert refused.status_code == 422
    for complaint in complaints:
        assert complaint in words(refused)
    assert 'value="Harbour"' in refused.text or "name" in change
    assert 'role="alert"' in refused.text
    assert stores.campaigns.page(None, 1).items == []


def test_what_is_wrong_is_said_beside_its_field_and_led_to(browser):
    wrong = form("logs", do="dry-run", canary_percent="7", abort_percent="", upload_limit_min="x")
    refused = browser.post(NEW, wrong).text
    doubtful = browser.post(NEW, {**wrong, "upload_limit_min": "5"})

    assert 'name="upload_limit_min" id="field-upload_limit_min" aria-invalid="true"' in refused
    assert re.search(r'<details class="span" open>\s*<summary>Limits', refused)
    assert '<a href="#field-upload_limit_min">Minutes for the upload</a>' in refused
    assert len(re.findall('aria-invalid="true"', refused)) == 1
    assert "Canaries needs “Abort” or “Pause after the canaries”" in words(doubtful)
    assert "Needs “Abort” or “Pause after the canaries”" in words(doubtful)


def test_dry_run_leads_to_what_came_of_it(browser, fleet):
    tried = browser.post(NEW, form(do="dry-run")).text
    refused = browser.post(NEW, form(do="dry-run", name="")).text

    assert '<section class="panel" id="dry-run"' in tried
    assert '<div class="notice bad" role="alert" id="dry-run"' in refused
    assert refused.count('id="dry-run"') == 1


def test_dry_run_for_nobody_says_so(browser, fleet):
    assert "No charge point matches" in words(browser.post(NEW, form(do="dry-run", site="Moon")))


def test_form_says_that_files_have_no_place(browser, around, stores):
    around.parts = replace(around.parts, campaigns=CampaignDesk(stores, SETTINGS))
    browser.client.application.extensions[EXTENSION] = around.parts

    refused = browser.post(NEW, form("logs", do="dry-run"))

    assert refused.status_code == 422
    assert "set FILES_URL or FILES_FTP_URL" in words(refused)


def test_form_without_a_kind_is_refused(browser):
    assert browser.post(NEW, {"kind": "dance"}).status_code == 422


@pytest.fixture
def campaign(desk, stores, fleet):
    targets = {"A": DONE, "B": FAILED, "C": UNDER_WAY, "D": {"reason": "it is not connected"}}
    return started(desk, stores, targets)


def test_list_shows_how_far_each_is(browser, campaign):
    listed = browser.get(LIST)

    assert f'data-campaign="{campaign}"' in listed.text
    assert 'aria-label="1 done, 1 failed, 1 under way, 1 waiting"' in listed.text
    assert "2 of 4 have an outcome" in words(listed)
    assert "Configuration change · site Harbour" in words(listed)


def test_page_is_live_and_shows_counts_rules_targets_and_trail(browser, campaign):
    page = browser.get(f"{LIST}/{campaign}")

    assert f'data-watch="campaign:{campaign}"' in page.text
    parts = re.findall(r'data-part="([^"]+)"', page.text)
    assert sorted(parts) == sorted(set(parts))
    assert {"state", "progress", "actions", "targets", "trail"} <= set(parts)
    text = words(page)
    assert "2 of 4" in text
    assert "at this pace" in text
    assert "HeartbeatInterval" in text
    assert "20 at most" in text
    assert "it answered Rejected" in text
    assert "is asked" in text
    assert "created by user:olga" in text


def test_pages_say_that_nobody_works_while_something_is_to_be_done(browser, stores, campaign):
    shown = [words(browser.get(address)) for address in (LIST, f"{LIST}/{campaign}")]
    stores.campaigns.change(campaign, (CampaignState.RUNNING,), state=CampaignState.ENDED)

    assert all("No worker is alive" in text for text in shown)
    assert "No worker is alive" not in words(browser.get(f"{LIST}/{campaign}"))


def test_targets_are_shown_by_state(browser, campaign):
    failed = words(browser.get(f"{LIST}/{campaign}?state=failed"))

    assert "it answered Rejected" in failed
    assert "it is not connected" not in failed
    assert "No charge point is in this state now." in words(
        browser.get(f"{LIST}/{campaign}?state=unclear")
    )


def test_targets_are_paged(browser, desk, stores, monkeypatch):
    campaign = started(desk, stores, {f"CP{number:02}": {} for number in range(30)})

    first = browser.get(f"{LIST}/{campaign}").text
    [address] = re.findall(r'href="([^"]+)">Next page', first)
    second = browser.get(address.replace("&amp;", "&")).text

    assert "CP24" in first
    assert "CP25" not in first
    assert "CP29" in second


def test_one_that_waits_for_its_start_says_when(browser, desk, stores):
    wish = replace(WISH, rules=Rules(start_at_ms=1_893_456_000_000))
    campaign = desk.create(wish, "user:olga", NOON_MS).campaign_id

    page = browser.get(f"{LIST}/{campaign}")

    assert "Starts 2030-01-01 00:00:00 UTC" in words(page)
    assert "Which ones is settled when it starts." in words(page)
    assert "starts 2030-01-01" in words(browser.get(LIST))


@pytest.mark.parametrize(
    ("action", "before", "after"),
    [
        ("pause", CampaignState.RUNNING, CampaignState.PAUSED),
        ("resume", CampaignState.PAUSED, CampaignState.RUNNING),
        ("retry", CampaignState.ENDED, CampaignState.RUNNING),
    ],
)
def test_buttons_steer_it(browser, desk, stores, action, before, after):
    campaign = started(desk, stores, {"A": FAILED}, state=before)
    assert f'action="/campaigns/{campaign}/{action}"' in browser.get(f"{LIST}/{campaign}").text

    answer = browser.post(f"{LIST}/{campaign}/{action}")

    assert answer.headers["Location"] == f"{LIST}/{campaign}"
    assert stores.campaigns.get(campaign).state is after


@pytest.mark.parametrize(
    ("state", "target", "actions"),
    [
        (CampaignState.RUNNING, {}, {"pause", "abort"}),
        (CampaignState.PAUSED, UNCLEAR, {"resume", "abort", "retry"}),
        (CampaignState.ABORTING, FAILED, set()),
        (CampaignState.ABORTED, FAILED, {"retry"}),
        (CampaignState.ENDED, DONE, set()),
    ],
)
def test_only_what_is_possible_is_offered(browser, desk, stores, state, target, actions):
    campaign = started(desk, stores, {"A": target}, state=state)

    offered = re.findall(
        rf'action="/campaigns/{campaign}/(\w+)"', browser.get(f"{LIST}/{campaign}").text
    )

    assert set(offered) == actions


def test_what_is_too_late_is_said(browser, desk, stores):
    campaign = started(desk, stores, {"A": DONE}, state=CampaignState.ENDED)

    answer = browser.post(f"{LIST}/{campaign}/pause", follow_redirects=True)

    assert "The campaign can&#39;t be paused: it is ended." in answer.text


def test_abort_wants_the_name_typed(browser, campaign, stores):
    refused = browser.post(f"{LIST}/{campaign}/abort", {"typed_name": "heartbeats"})

    assert refused.status_code == 422
    assert "This is not its name." in words(refused)
    assert re.search(r'<details data-key="abort" open>', refused.text)
    assert stores.campaigns.get(campaign).state is CampaignState.RUNNING

    browser.post(f"{LIST}/{campaign}/abort", {"typed_name": " Heartbeats, harbour "})

    assert stores.campaigns.get(campaign).state is CampaignState.ABORTING


def test_result_is_downloaded_as_csv(browser, campaign):
    answer = browser.get(f"{LIST}/{campaign}/targets.csv?state=failed")

    assert answer.content_type == "text/csv; charset=utf-8"
    assert answer.text.splitlines()[1].startswith("B,failed,it answered Rejected")


def test_steps_of_a_target_lead_to_its_commands(browser, campaign, around, stores):
    command_id = command_id_of(campaign, "B", 2, Step.ASK)
    around.parts.desk.queue(
        CommandRequest(
            *("B", "ChangeConfiguration", {"key": "HeartbeatInterval", "value": "300"}, "x"),
            deadline_s=60,
            command_id=command_id,
        ),
        NOON_MS,
    )

    page = browser.get(f"{LIST}/{campaign}/targets/B")

    assert f'href="/charge-points/B/commands/{command_id}"' in page.text
    assert 'href="/charge-points/B"' in page.text
    assert "it answered Rejected" in words(page)
    assert 'aria-current="page">Campaigns' in page.text
    assert browser.get(f"{LIST}/{campaign}/targets/E").status_code == 404


@pytest.mark.parametrize(
    ("kind", "work", "link"),
    [
        (CampaignKind.LOGS, LogsWork(), "/charge-points/A/firmware-and-logs"),
        (CampaignKind.LOCAL_LIST, LocalListWork(), "/charge-points/A/local-list"),
    ],
)
def test_target_leads_to_where_the_rest_stands(browser, desk, stores, fleet, kind, work, link):
    campaign = started(desk, stores, {"A": {}}, replace(WISH, kind=kind, work=work))

    page = browser.get(f"{LIST}/{campaign}/targets/A").text

    assert f'href="{link}"' in page
    assert "Nothing was begun with it yet." in page
    assert "For its turn, for its condition or for another try." in page


def test_file_that_has_left_the_library_is_said_to_be(browser, desk, stores):
    stores.firmware_images.create(IMAGE, 1_000)
    wish = replace(WISH, kind=CampaignKind.FIRMWARE, work=FirmwareWork(IMAGE.image_id))
    campaign = started(desk, stores, {"A": {}}, wish)
    assert "Acme · Duo · 2.0 · duo.bin" in browser.get(f"{LIST}/{campaign}").text

    stores.firmware_images.delete(IMAGE.image_id)

    assert "no longer in the library" in browser.get(f"{LIST}/{campaign}").text


def test_whatever_is_in_it_is_shown_as_text(browser, desk, stores):
    work = ConfigurationWork("HeartbeatInterval", NASTY)
    wish = replace(WISH, name=NASTY, work=work, selection=Selection(tag=NASTY))
    campaign = started(desk, stores, {"A": {**FAILED, "reason": NASTY}}, wish)

    for path in (LIST, f"{LIST}/{campaign}", f"{LIST}/{campaign}/targets/A"):
        assert "<img" not in browser.get(path).text
    assert "<img" not in browser.post(NEW, form(name=NASTY, key=NASTY, tag=NASTY)).text


def test_unknown_campaign_is_a_page_that_says_so(browser):
    assert browser.get(f"{LIST}/{'0' * 32}").status_code == 404
    assert browser.get(f"{LIST}/{'0' * 32}/targets.csv").status_code == 404
    assert browser.post(f"{LIST}/{'0' * 32}/pause").status_code == 404


@pytest.mark.parametrize(
    ("work", "told"),
    [
        (
            FirmwareWork("f", "", "true", "nordwerk", 2, 30),
            "Version not checked Signed yes: SignedUpdateFirmware Signed with nordwerk "
            "The charge point's own tries 2 more, 30 s apart",
        ),
        (
            LogsWork(LogKind.DIAGNOSTICS, NOON_MS, NOON_MS, 1),
            "What diagnostics, by GetDiagnostics From 2026-11-22 12:00:00 UTC "
            "To 2026-11-22 12:00:00 UTC The charge point's own tries 1 more",
        ),
        (ResetWork("Hard"), "Type Hard"),
        (LocalListWork(full=True), "Sent the whole list, whatever was acknowledged"),
        (LocalListWork(), "Sent what differs"),
    ],
)
def test_work_is_told_in_words(work, told):
    assert " ".join(f"{label} {text}" for label, text in campaign_words.work_facts(work)) == told


def test_rules_are_told_in_words(desk, stores):
    rules = Rules(
        canary_percent=10,
        canary_pauses=True,
        window=Window("22:00", "05:30", "Europe/Berlin"),
        only_idle=False,
        retries=2,
        abort_percent=5,
        end_at_ms=1_893_456_000_000,
    )
    campaign = stores.campaigns.get(
        started(desk, stores, {str(number): {} for number in range(11)}, replace(WISH, rules=rules))
    )

    assert dict(campaign_words.rule_words(campaign)) == {
        "First": "10 % (2) as canaries; then it pauses",
        "At once": "20 at most",
        "Begins": "between 22:00 and 05:30, Europe/Berlin, whatever runs",
        "Tries": "2 times more where it fails, 10 min later",
        "Aborts": "when more than 5 % have failed or are unclear",
        "Begins nothing after": "2030-01-01 00:00:00 UTC",
        "Limits": "that of a command",
    }


def test_every_state_has_a_word_a_shape_and_a_place_in_the_bar():
    assert set(campaign_words.TARGET_STATES) == set(TargetState)
    assert {state.value for state in CampaignState} == set(campaign_words.STATES)
    assert set(campaign_words.LIMITS) == set(CampaignKind)
