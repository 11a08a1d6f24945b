"""Who gets in, walked over every route there is, and what browsers are told."""

import re
from pathlib import Path

import pytest
from visitors import PASSWORD, Browser

from csms.web import security

PROJECT = Path(__file__).parents[2]
VALUES = {
    "campaign_id": "c1",
    "charge_point_id": "CP001",
    "command_id": "c1",
    "entry_id": "n1",
    "event_id": "e1",
    "fingerprint": "f1",
    "request_id": "r1",
    "reservation_id": 1,
    "name": "n1",
    "image_id": "f1",
    "update_id": "t1",
    "upload_id": "t2",
    "transaction_id": 1,
    "id_tag": "ALICE",
    "key_id": "k1",
    "job_id": "j1",
    "filename": "app.css",
    "rest": "x",
}
OPEN_PATHS = {
    "/healthz",
    "/readyz",
    "/version",
    "/metrics",
    "/login",
    "/static/app.css",
    "/api/docs",
    "/api/v1/openapi.json",
    "/files/x",
}


def routes(app):
    """Every path, with values filled in, and each of its methods."""
    adapter = app.url_map.bind("localhost")
    for rule in app.url_map.iter_rules():
        values = {name: VALUES[name] for name in rule.arguments}
        path = adapter.build(rule.endpoint, values, method=next(iter(rule.methods)))
        for method in sorted(rule.methods - {"OPTIONS", "HEAD"}):
            yield method, path


def forms_of(app):
    """The paths of the page's forms: neither programs nor charge points have any."""
    for method, path in routes(app):
        if method == "POST" and not path.startswith(("/api/", "/files/")):
            yield path


def test_what_is_open_to_everybody_is_this_and_no_more(app):
    client = app.test_client()
    closed = {401, 303, 400}

    answered = set()
    for method, path in routes(app):
        if method == "GET":
            with client.get(path) as answer:
                if answer.status_code not in closed:
                    answered.add(path)

    assert answered == OPEN_PATHS


@pytest.mark.parametrize(
    "header",
    [None, "Bearer wrong", "Bearer csms_0_0", "Basic Q1AwMDE6eA==", "Bearer", "bootstrap-key"],
)
def test_every_route_of_the_api_needs_a_right_key(app, header):
    client = app.test_client()
    headers = {"Authorization": header} if header else {}

    for method, path in routes(app):
        if path.startswith("/api/v1/") and path not in OPEN_PATHS:
            refused = client.open(path, method=method, headers=headers, json={})

            assert refused.status_code == 401, (method, path)
            assert refused.content_type == "application/problem+json"
            assert refused.headers["WWW-Authenticate"] == "Bearer"


def test_session_of_the_page_does_not_open_the_api(browser, app):
    for method, path in routes(app):
        if path.startswith("/api/v1/") and path not in OPEN_PATHS:
            assert browser.client.open(path, method=method).status_code == 401, (method, path)


def test_key_of_the_api_does_not_open_the_page(api, app):
    for method, path in routes(app):
        if method == "GET" and not path.startswith("/api/") and path not in OPEN_PATHS:
            assert api.get(path).status_code in {303, 401}, path


def test_every_form_without_its_token_is_refused(browser, app):
    forms = list(forms_of(app))

    assert len(forms) >= 9
    for path in forms:
        refused = browser.client.post(path, data={"id_tag": "ALICE"})

        assert refused.status_code == 400, path
        assert "form has expired" in refused.text
    assert browser.get("/").status_code == 200


def test_every_form_needs_a_session(stranger, app):
    for path in forms_of(app):
        if path != "/login":
            # Where the form is streamed its token stands in the address.
            answer = stranger.post(path, query_string={"csrf_token": stranger.token()})

            assert answer.status_code == 303, path
            assert answer.headers["Location"].startswith("/login")


def test_login_leads_back_to_where_one_wanted_to_go(stranger):
    wanted = stranger.get("/charge-points?prefix=A")

    assert wanted.headers["Location"] == "/login?next=/charge-points?prefix%3DA"
    assert stranger.log_in(next="/charge-points?prefix=A").headers["Location"] == (
        "/charge-points?prefix=A"
    )


@pytest.mark.parametrize(
    "elsewhere",
    ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)", "/\nx"],
)
def test_login_leads_nowhere_else(stranger, elsewhere):
    assert stranger.log_in(next=elsewhere).headers["Location"] == "/"


def test_wrong_login_says_the_same_for_a_wrong_name(stranger):
    wrong_password = stranger.log_in(password="no")
    wrong_name = stranger.log_in(name="nobody", password=PASSWORD)

    assert wrong_password.status_code == wrong_name.status_code == 401
    assert "The name or the password is wrong." in wrong_password.text
    assert "The name or the password is wrong." in wrong_name.text
    assert stranger.get("/").status_code == 303


def test_login_is_limited_by_address(stranger):
    # More than two windows' worth, as one may end while we try.
    statuses = [stranger.log_in(password="no").status_code for _ in range(25)]

    assert 429 in statuses
    assert statuses[:10] == [401] * 10


def test_login_limit_is_not_moved_by_a_forged_address(stranger):
    statuses = []
    for number in range(25):
        token = stranger.token()
        answer = stranger.client.post(
            "/login",
            data={"csrf_token": token, "name": "olga", "password": "no"},
            headers={"X-Forwarded-For": f"203.0.113.{number}"},
        )
        statuses.append(answer.status_code)

    assert 429 in statuses


def test_login_limit_counts_the_client_behind_a_trusted_proxy(make_application, stores, cast):
    app = make_application(stores, TRUSTED_PROXIES="1")

    @app.get("/who")
    def who():
        from flask import request  # noqa: PLC0415  # only here is the test itself an application

        return request.remote_addr

    app.before_request_funcs[None].clear()
    client = app.test_client()

    told = client.get("/who", headers={"X-Forwarded-For": "198.51.100.1, 203.0.113.7"})

    assert told.text == "203.0.113.7"


def test_successful_logins_are_not_limited(stranger):
    assert [stranger.log_in().status_code for _ in range(15)] == [303] * 15


def test_session_is_another_after_the_login(stranger):
    stranger.get("/login")
    before = stranger.client.get_cookie("csms").value

    stranger.log_in()
    first = stranger.client.get_cookie("csms").value
    stranger.log_in()

    assert len({before, first, stranger.client.get_cookie("csms").value}) == 3


def test_logout_ends_the_session_on_the_server(browser, app):
    with browser.client.session_transaction() as session:
        token = session[security.SESSION_TOKEN]

    browser.post("/logout")

    thief = Browser(app.test_client())
    with thief.client.session_transaction() as session:
        session[security.SESSION_TOKEN] = token
    assert thief.get("/").status_code == 303
    assert browser.get("/").status_code == 303


def test_session_cookie_is_out_of_reach(stranger, make_application, stores):
    plain = stranger.get("/login").headers["Set-Cookie"]
    secured = make_application(stores, SESSION_COOKIE_SECURE="true").test_client()
    secure = secured.get("/login", base_url="https://localhost").headers["Set-Cookie"]

    assert "HttpOnly" in plain
    assert "SameSite=Lax" in plain
    assert "Secure" not in plain
    assert secure.startswith("__Host-csms=")
    assert "Secure" in secure


HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; style-src 'self'; script-src 'self'; "
        "object-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@pytest.mark.parametrize("path", ["/", "/login", "/nothing", "/api/v1/overview", "/api/docs"])
def test_headers_of_every_answer(browser, path):
    headers = browser.get(path).headers

    assert {name: headers.get(name) for name in HEADERS} == HEADERS
    assert "Strict-Transport-Security" not in headers


def test_hsts_only_where_the_page_is_secure(make_application, stores):
    client = make_application(stores, SESSION_COOKIE_SECURE="true").test_client()

    assert "max-age" in client.get("/login").headers["Strict-Transport-Security"]


def test_static_files_may_be_kept(app):
    with app.test_client().get("/static/app.css") as answer:
        assert "max-age" in answer.headers["Cache-Control"]


def test_templates_and_scripts_open_no_hole():
    for path in [*PROJECT.glob("templates/**/*.html"), *PROJECT.glob("static/**/*.js")]:
        text = path.read_text()

        assert not re.search(r"\|\s*safe\b|innerHTML|outerHTML|insertAdjacentHTML", text), path
        assert not re.search(r"\son[a-z]+\s*=|\sstyle\s*=|<style|javascript:", text), path
        assert "autoescape" not in text, path
        if path.suffix == ".html":
            assert not re.search(r"<script(?![^>]*\ssrc=)", text), path
            assert not re.search(r"(?:src|href)=\"(?:https?:)?//", text), path


def test_forms_of_all_templates_carry_the_token():
    for path in PROJECT.glob("templates/**/*.html"):
        for form in re.findall(r"<form[^>]*method=\"post\".*?</form>", path.read_text(), re.DOTALL):
            assert "csrf" in form, path
