"""The workers through the API and on the page: counts, who lives, and failed jobs with a Retry."""

import pytest
from rq import SimpleWorker
from rq.serializers import JSONSerializer
from test_web_pages import NASTY, read
from visitors import PASSWORD, Browser

from csms import jobs
from csms.jobs import Wanted, ask
from csms.state.accounts import User

QUEUES = ["timers", "firmware", "diagnostics", "default"]


@pytest.fixture
def connection(store_url, stores):
    connection = jobs.connect(store_url)
    yield connection
    connection.close()


@pytest.fixture
def worker(connection):
    """One that is there, and idle."""
    worker = SimpleWorker(
        [jobs.queue(name, connection) for name in QUEUES],
        connection=connection,
        serializer=JSONSerializer,
    )
    worker.register_birth()
    worker.set_state("idle")
    worker.heartbeat()
    return worker


@pytest.fixture
def failed(connection):
    """A job that has failed, and is kept by its id `poison`."""

    def fail(*arguments):
        wanted = Wanted("default", "builtins.int", arguments, "poison", 5, retry_after_s=(0,))
        ask(connection, wanted)
        other = SimpleWorker(
            [jobs.queue("default", connection)], connection=connection, serializer=JSONSerializer
        )
        other.work(burst=True, logging_level="CRITICAL")

    return fail


def test_queues_and_workers_through_the_api(api, worker, failed, store_url):
    failed("abc")
    jobs.wake_campaign(store_url, "0123", "logs")

    found = api.get("/api/v1/jobs").json

    assert [queue["queue"] for queue in found["queues"]] == QUEUES
    by_name = {queue.pop("queue"): queue for queue in found["queues"]}
    assert by_name["diagnostics"] == {"queued": 1, "started": 0, "scheduled": 0, "failed": 0}
    assert by_name["default"]["failed"] == 1
    [seen] = found["workers"]
    assert (seen["name"], seen["job"]) == (worker.name, "")
    assert seen["last_heartbeat_at"].endswith("Z")


def test_a_failed_job_through_the_api_is_tried_again_and_forgotten(api, failed):
    failed("abc")

    page = api.get("/api/v1/jobs/failed?limit=10").json
    [job] = page["items"]
    assert (job["id"], job["queue"], job["function"]) == ("poison", "default", "builtins.int")
    assert job["arguments"] == '["abc"]'
    assert job["failure"].startswith("ValueError: invalid literal")
    assert page["next_cursor"] is None

    assert api.post("/api/v1/jobs/failed/poison/retry").status_code == 204
    assert api.get("/api/v1/jobs/failed").json["items"] == []
    assert api.post("/api/v1/jobs/failed/poison/retry").status_code == 404
    assert api.delete("/api/v1/jobs/failed/poison").status_code == 404


def test_a_failed_job_is_deleted_through_the_api(api, failed, connection):
    failed("abc")

    assert api.delete("/api/v1/jobs/failed/poison").status_code == 204
    assert connection.keys("rq:job:*") == []


def test_jobs_are_for_those_who_are_let_in(app, stranger):
    assert app.test_client().get("/api/v1/jobs").status_code == 401
    assert stranger.get("/jobs").status_code == 303


def test_the_page_says_what_to_do_without_any_worker(browser):
    page = read(browser, "/jobs").text

    assert "No worker is there" in page
    assert "No job has failed" in page


def test_failed_jobs_are_tried_again_and_deleted_on_the_page(browser, worker, failed, connection):
    failed("abc")
    page = read(browser, "/jobs").text
    for part in ("poison", "builtins.int", "invalid literal", "idle"):
        assert part in page, part

    answer = browser.post("/jobs/retry", {"id": "poison"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/jobs")
    assert "poison is tried again." in read(browser, "/jobs").text
    assert jobs.queue("default", connection).job_ids == ["poison"]

    browser.post("/jobs/retry", {"id": "poison"})
    assert "There is no failed job poison." in read(browser, "/jobs").text


def test_a_failed_job_is_deleted_on_the_page(browser, failed, connection):
    failed("abc")

    browser.post("/jobs/delete", {"id": "poison"})

    assert "poison is forgotten." in read(browser, "/jobs").text
    assert connection.keys("rq:job:*") == []


def test_what_a_job_holds_is_text_and_nothing_else(browser, failed):
    failed(NASTY)

    assert "poison" in read(browser, "/jobs").text


def test_no_form_of_another_page_can_retry_a_job(app, browser, failed):
    failed("abc")

    assert browser.client.post("/jobs/retry", data={"id": "poison"}).status_code == 400


@pytest.mark.parametrize("is_worked", [True, False])
@pytest.mark.parametrize("address", ["/", "/campaigns"])
def test_pages_say_that_nobody_works(browser, request, address, is_worked):
    if is_worked:
        request.getfixturevalue("worker")

    page = read(browser, address).text

    assert ("No worker is alive" in page) is not is_worked
    assert "failed" not in page


def test_a_worker_that_has_been_silent_for_a_minute_is_none(browser, worker, connection):
    connection.hset(worker.key, "last_heartbeat", "2026-11-22T12:00:00.000000Z")

    assert "No worker is alive" in read(browser, "/").text
    assert "thought dead" in read(browser, "/jobs").text


def test_the_overview_says_that_jobs_have_failed(browser, worker, failed):
    failed("abc")

    assert "1 job has failed" in read(browser, "/").text


def test_without_the_server_of_the_jobs_everything_else_is_shown(make_application, stores):
    app = make_application(stores, RQ_REDIS_URL="redis://127.0.0.1:1/0")
    accounts = app.extensions["around"].parts.accounts
    accounts.create_user(User("olga", f"hash of {PASSWORD}", 0))
    browser = Browser(app.test_client())
    browser.log_in()

    overview = browser.get("/")
    assert overview.status_code == 200
    assert "The server of the jobs does not answer" in overview.text
    assert browser.get("/jobs").status_code == 503
