"""Every failure of the API is problem+json, and of the page a page; neither shows a traceback."""

import pytest
from visitors import BOOTSTRAP_KEY, program

from csms import errors as all_errors
from csms.errors import ConfigurationError, CSMSError, StaleEpoch, StoreRefused
from csms.web.errors import STATUSES

URL = "/api/v1/charge-points"


def is_problem(response, status):
    document = response.json
    return (
        response.status_code == status
        and response.content_type == "application/problem+json"
        and document["status"] == status
        and {"type", "title", "detail"} <= set(document)
    )


def test_every_error_an_operator_can_meet_has_a_status():
    # The door and the start meet these two, and no view does.
    elsewhere = {CSMSError, StaleEpoch, ConfigurationError}
    known = {
        kind
        for kind in vars(all_errors).values()
        if isinstance(kind, type) and issubclass(kind, CSMSError)
    }

    assert known - elsewhere <= set(STATUSES)


def test_unknown_address_and_wrong_method(api):
    assert is_problem(api.get("/api/v1/nothing"), 404)
    refused = api.put(URL)
    assert is_problem(refused, 405)
    assert "GET, HEAD, OPTIONS, POST can" in refused.json["detail"]
    assert "POST" in refused.headers["Allow"]


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b'{"id": "CP001",}', "line 1, column 15"),
        (b'{"id":\n nope}', "line 2, column 2"),
        (b'{"id": NaN}', "line 1, column 8"),
        (b'{"id": "\\ud800"}', "line 1"),
        (b"\xff\xfe", "line 1"),
        (b"[" * 100_000, "line 1"),
    ],
)
def test_malformed_json_is_400_and_names_the_place(api, body, place):
    refused = api.post(URL, data=body, content_type="application/json")

    assert is_problem(refused, 400)
    assert place in refused.json["detail"]


def test_other_content_types_are_415(api):
    assert is_problem(api.post(URL, data="id=CP001", content_type="text/plain"), 415)
    assert is_problem(api.post(URL, data={"id": "CP001"}), 415)


def test_body_without_content_is_an_empty_one(api):
    refused = api.post(URL)

    assert is_problem(refused, 422)
    assert refused.json["errors"] == [{"field": "id", "problem": "is required"}]


def test_large_body_is_413(api):
    refused = api.post(URL, json={"id": "CP001", "description": "x" * 1_100_000})

    assert is_problem(refused, 413)


def test_all_wrong_fields_are_named_at_once(api):
    refused = api.post(URL, json={"call_timeout_s": "5", "colour": "red"})

    assert {error["field"] for error in refused.json["errors"]} == {
        "id",
        "call_timeout_s",
        "colour",
    }


def test_our_own_bug_is_answered_without_its_traceback(api, cast, around):
    around.evicted = None  # what evict() appends to

    refused = api.delete(f"{URL}/CP001")

    assert is_problem(refused, 500)
    assert "Traceback" not in refused.text
    assert "NoneType" not in refused.text


def test_store_that_is_down_is_503_in_the_api(app_without_store):
    client = program(app_without_store)

    for path in (URL, f"{URL}/CP001", "/api/v1/overview", "/api/v1/transactions.csv"):
        refused = client.get(path)

        assert is_problem(refused, 503)
        assert refused.headers["Retry-After"] == "5"
        assert "store does not answer" in refused.json["detail"]


def test_store_that_refuses_is_503_with_its_words(app_on_failing_link, failing_link):
    failing_link.failure = StoreRefused("OOM command not allowed when used memory > 'maxmemory'.")

    refused = program(app_on_failing_link).post(URL, json={"id": "CP001"})

    assert is_problem(refused, 503)
    assert "OOM command not allowed" in refused.json["detail"]
    assert refused.headers["Retry-After"] == "5"


def test_error_without_a_status_is_our_own_bug(app_on_failing_link, failing_link):
    failing_link.failure = StaleEpoch("CP001")

    assert is_problem(program(app_on_failing_link).get(URL), 500)


def test_store_that_is_down_hides_nobody_behind_401(app_without_store):
    """A key other than the bootstrap key can't be checked: that is no reason to say it is wrong."""
    client = app_without_store.test_client()

    refused = client.get(URL, headers={"Authorization": "Bearer csms_abc_secret"})

    assert refused.status_code == 503


def test_store_that_is_down_is_a_page_in_plain_words(app_without_store):
    client = app_without_store.test_client()
    with client.session_transaction() as session:
        session["token"] = "any"

    for path in ("/", "/charge-points", "/charge-points/CP001", "/transactions", "/id-tags"):
        page = client.get(path)

        assert page.status_code == 503
        assert "The store does not answer" in page.text
        assert page.headers["Retry-After"] == "5"
        assert "Traceback" not in page.text


def test_login_needs_no_store_to_be_shown_and_says_when_it_is_down(app_without_store):
    client = app_without_store.test_client()
    form = client.get("/login")
    token = form.text.split('name="csrf_token" value="')[1].split('"')[0]

    refused = client.post("/login", data={"csrf_token": token, "name": "olga", "password": "x"})

    assert form.status_code == 200
    assert refused.status_code == 503
    assert "The store does not answer" in refused.text


def test_errors_of_the_page_are_pages(browser):
    assert "There is nothing at this address" in browser.get("/nothing").text
    missing = browser.get("/charge-points/CP404")
    assert missing.status_code == 404
    assert "There is no charge point CP404." in missing.text
    assert missing.content_type.startswith("text/html")
    assert browser.get("/transactions?cursor=x").status_code == 422
    assert browser.get("/transactions/5").status_code == 404


def test_answers_of_the_bootstrap_key_depend_on_the_whole_key(app):
    client = app.test_client()

    for key in (BOOTSTRAP_KEY[:-1], BOOTSTRAP_KEY + "x", BOOTSTRAP_KEY.upper(), "ключ"):
        header = {"Authorization": f"Bearer {key}".encode().decode("latin-1")}
        assert client.get("/api/v1/overview", headers=header).status_code == 401
