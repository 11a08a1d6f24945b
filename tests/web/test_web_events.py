"""Server-sent events, and the feed behind them."""

from visitors import Browser

from csms import metrics
from csms.errors import StoreUnavailable
from csms.state.events import Event
from csms.web.feed import NAMED_MAX, EventFeed


def listen(browser, since=None, **headers):
    """The stream's answer and its chunks, of which the first (`retry`) has been read."""
    query = {} if since is None else {"since": since}
    answer = browser.get("/events", query_string=query, headers=headers, buffered=False)
    chunks = answer.iter_encoded()
    assert next(chunks) == b"retry: 3000\n\n"
    return answer, chunks


def test_page_is_told_which_charge_points_changed(browser, around):
    answer, chunks = listen(browser, since="")

    around.parts.feed.publish(Event("1-0", ("CP001",)))

    assert next(chunks) == b'id: 1-0\nevent: changed\ndata: ["CP001"]\n\n'
    assert answer.content_type == "text/event-stream; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-cache, no-transform"
    assert answer.headers["X-Accel-Buffering"] == "no"
    answer.close()


def test_slow_page_is_told_everything_at_once(browser, around):
    answer, chunks = listen(browser)

    for number in range(3):
        around.parts.feed.publish(Event(f"{number}-0", (f"CP00{number}", "CP009")))

    told = b'id: 2-0\nevent: changed\ndata: ["CP000","CP009","CP001","CP002"]\n\n'
    assert next(chunks) == told
    answer.close()


def test_very_slow_page_is_told_to_look_at_everything(browser, around):
    answer, chunks = listen(browser)

    for number in range(NAMED_MAX + 1):
        around.parts.feed.publish(Event(f"{number}-0", (f"CP{number}",)))

    assert next(chunks) == f"id: {NAMED_MAX}-0\nevent: resync\ndata: {{}}\n\n".encode()
    answer.close()


def test_page_that_missed_something_looks_at_everything(browser, around):
    around.parts.feed.publish(Event("5-0", ("CP001",)))

    made_before, chunks = listen(browser, since="4-0")
    assert next(chunks) == b"id: 5-0\nevent: resync\ndata: {}\n\n"
    made_before.close()

    came_back, chunks = listen(browser, since="5-0", **{"Last-Event-ID": "3-0"})
    assert next(chunks) == b"id: 5-0\nevent: resync\ndata: {}\n\n"
    came_back.close()


def test_page_that_missed_nothing_is_left_alone(browser, around):
    around.parts.feed.publish(Event("5-0", ("CP001",)))
    answer, chunks = listen(browser, since="5-0")

    around.parts.feed.publish(Event("6-0", ("CP002",)))

    assert next(chunks) == b'id: 6-0\nevent: changed\ndata: ["CP002"]\n\n'
    answer.close()


def test_silence_is_broken_by_pings(browser, around):
    answer, chunks = listen(browser)
    around.parts.feed.wake()

    assert next(chunks) == b": ping\n\n"
    answer.close()


def test_stream_ends_when_the_process_drains(browser, around):
    _, chunks = listen(browser)
    around.draining = True
    around.parts.feed.wake()

    assert [chunk for chunk in chunks if not chunk.startswith(b":")] == []


def test_stream_ends_with_the_session(browser, around, stores):
    _, chunks = listen(browser)
    with browser.client.session_transaction() as session:
        around.parts.accounts.close_session(session["token"])
    around.parts.feed.wake()

    assert list(chunks)[-1] == b"event: over\ndata: {}\n\n"


def test_stream_needs_a_session_and_sends_no_script_to_a_login(stranger):
    assert stranger.get("/events").status_code == 401


def test_stream_does_not_keep_a_session_alive(browser, stores, around):
    [key] = stores.link.call("KEYS", "csms:session:*")
    stores.link.call("EXPIRE", key, 100)

    answer, _ = listen(browser)
    answer.close()
    live = browser.get("/charge-points", headers={"X-Live": "1"})

    assert live.status_code == 200
    assert stores.link.call("TTL", key) <= 100
    browser.get("/charge-points")
    assert stores.link.call("TTL", key) > 100


def test_page_is_told_when_the_store_is_down_and_when_it_is_back(app_on_failing_link, failing_link):
    parts = app_on_failing_link.extensions["around"].parts
    browser = Browser(app_on_failing_link.test_client())
    with browser.client.session_transaction() as session:
        session["token"] = parts.accounts.open_session("olga", 0)
    answer, chunks = listen(browser)

    failing_link.failure = StoreUnavailable("gone")
    parts.feed.wake()
    assert next(chunks) == b": ping\n\n"
    assert next(chunks) == b"event: store\ndata: down\n\n"

    failing_link.failure = None
    parts.feed.wake()
    assert next(chunks) == b": ping\n\n"
    assert next(chunks) == b"id: \nevent: resync\ndata: {}\n\n"
    answer.close()


def test_event_that_names_nobody_is_a_resync(browser, around):
    answer, chunks = listen(browser)

    around.parts.feed.publish(Event("7-0", (), all_changed=True))

    assert next(chunks) == b"id: 7-0\nevent: resync\ndata: {}\n\n"
    answer.close()


def test_page_that_leaves_is_forgotten(browser, around):
    before = metrics.sse_clients._value.get()
    answer, _ = listen(browser)
    assert metrics.sse_clients._value.get() == before + 1

    answer.close()

    assert metrics.sse_clients._value.get() == before


def test_feed_reaches_every_page_and_none_that_left():
    feed = EventFeed()
    event = Event("1-0", ("CP001",))
    with feed.subscribe() as stays:
        with feed.subscribe() as leaves:
            pass
        feed.publish(event)

        assert stays.take(0) == event
        assert stays.take(0) is None
    assert leaves.take(0) is None
    assert feed.last_entry == "1-0"


def test_feed_that_names_nobody_means_everybody():
    feed = EventFeed()
    with feed.subscribe() as page:
        feed.publish(Event("1-0", ("CP001",)))
        feed.publish(Event("2-0", (), all_changed=True))

        assert page.take(0) == Event("2-0", (), all_changed=True)
