"""What the platform asks: alive, ready, how many, which version."""

import pytest
from cast import Line
from visitors import program

import csms
from csms import jobs
from csms.clock import now_ms
from csms.state.commands import NewCommand

TOKEN = "token-of-the-scraper"


def test_alive_and_ready(app, stores):
    client = app.test_client()

    assert client.get("/healthz").text == "ok\n"
    assert client.get("/readyz").status_code == 200
    assert stores.link.call("TTL", "csms:ready") > 0
    assert client.get("/version").json == {"version": csms.__version__}


def test_not_ready_while_draining(app, around):
    around.draining = True

    ready = app.test_client().get("/readyz")

    assert ready.status_code == 503
    assert "draining" in ready.text
    assert app.test_client().get("/healthz").status_code == 200


def test_not_ready_without_the_store(app_without_store):
    client = app_without_store.test_client()

    ready = client.get("/readyz")

    assert ready.status_code == 503
    assert ready.text == "the store does not answer\n"
    assert client.get("/healthz").status_code == 200


def test_not_ready_while_the_store_takes_no_writes(app, stores):
    stores.link.call("CONFIG", "SET", "maxmemory", "1")
    try:
        ready = app.test_client().get("/readyz")
    finally:
        stores.link.call("CONFIG", "SET", "maxmemory", "0")

    assert ready.status_code == 503
    assert "refuses" in ready.text


def samples(text):
    """Name with labels to value."""
    return dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))


def test_metrics_of_the_fleet_come_from_the_store(app, cast, stores, store_url):
    stores.presences.renew("process-1")
    line = Line(stores)
    line.status("Charging")
    line.start()
    jobs.enqueue_duty(store_url, "packing")

    scraped = app.test_client().get("/metrics")

    assert scraped.content_type.startswith("text/plain")
    found = samples(scraped.text)
    assert found["csms_charge_points_connected"] == "1.0"
    assert found['csms_connectors{status="Charging"}'] == "1.0"
    assert found['csms_connectors{status="Faulted"}'] == "0.0"
    assert found["csms_transactions_active"] == "1.0"
    assert found[f'csms_build_info{{version="{csms.__version__}"}}'] == "1.0"
    assert found["csms_store_up"] == "1.0"
    assert found['csms_jobs{queue="default",state="queued"}'] == "1.0"
    assert found["csms_outbox_oldest_seconds"] == "0.0"
    assert "csms_sse_clients" in found


def test_without_the_server_of_the_jobs_the_fleet_is_measured(make_application, stores):
    app = make_application(stores, RQ_REDIS_URL="redis://127.0.0.1:1/0")

    found = samples(app.test_client().get("/metrics").text)

    assert found["csms_store_up"] == "1.0"
    assert "csms_charge_points_connected" in found
    assert not any(name.startswith("csms_jobs") for name in found)


def test_the_oldest_waiting_command_is_measured(app, cast, stores):
    created_at_ms = now_ms() - 60_000
    command = NewCommand(
        "id", "CP001", "ClearCache", {}, "", "somebody", "", created_at_ms, now_ms() + 60_000
    )
    stores.commands.queue(command, None)

    found = samples(app.test_client().get("/metrics").text)

    assert 60 <= float(found["csms_outbox_oldest_seconds"]) < 120


def test_metrics_name_no_charge_point(app, cast, stores):
    Line(stores).status("Charging")

    assert "CP001" not in app.test_client().get("/metrics").text


def test_metrics_without_the_store_leave_a_gap(app_without_store):
    found = samples(app_without_store.test_client().get("/metrics").text)

    assert found["csms_store_up"] == "0.0"
    assert "csms_charge_points_connected" not in found
    assert "csms_sse_clients" in found


@pytest.mark.parametrize(
    ("header", "status"), [(None, 401), ("Bearer wrong", 401), (f"Bearer {TOKEN}", 200)]
)
def test_metrics_ask_for_their_token_where_one_is_set(make_application, stores, header, status):
    app = make_application(stores, METRICS_TOKEN=TOKEN)
    headers = {"Authorization": header} if header else {}

    assert app.test_client().get("/metrics", headers=headers).status_code == status


def test_key_of_the_api_is_not_the_token(make_application, stores):
    app = make_application(stores, METRICS_TOKEN=TOKEN)

    assert program(app).get("/metrics").status_code == 401
