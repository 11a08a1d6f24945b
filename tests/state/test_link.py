"""The links to the store: whose reply is whose, and what a failure means."""

import os
import signal
import ssl
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import urlparse

import gevent
import gevent.event
import gevent.server
import gevent.socket
import gevent.ssl
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hiredis import Reader

from csms.errors import ConfigurationError, StoreRefused, StoreUnavailable
from csms.state.embedded import EmbeddedStore
from csms.state.link import MultiplexedLink, Script
from csms.state.link_sync import SyncLink

DEADLINE_S = 20.0
GREET = Script("greet", "return {KEYS[1], ARGV[1], redis.call('INCR', KEYS[1])}")
REFUSE = Script("refuse", "return redis.error_reply('STALE a newer connection owns this')")


def eventually(is_true: Callable[[], object]) -> bool:
    with gevent.Timeout(DEADLINE_S, False):
        while not is_true():
            gevent.sleep(0.005)
        return True
    return False


class Proxy:
    """Stands between a link and the store: holds, swallows or cuts what passes."""

    def __init__(self, store_url: str, **tls: str) -> None:
        self.swallows_replies = False
        self.requests_flow = gevent.event.Event()
        self.replies_flow = gevent.event.Event()
        self.requests_flow.set()
        self.replies_flow.set()
        self._path = urlparse(store_url).path
        self._sockets: list[gevent.socket.socket] = []
        self._server = gevent.server.StreamServer(("127.0.0.1", 0), self._serve, **tls)
        self._server.start()

    def url(self, scheme: str = "redis", query: str = "") -> str:
        return f"{scheme}://127.0.0.1:{self._server.server_port}/{query}"

    def cut(self) -> None:
        """Every connection ends now; new ones are welcome."""
        while self._sockets:
            self._sockets.pop().close()

    def close(self) -> None:
        self._server.stop()
        self.cut()

    def _serve(self, client: gevent.socket.socket, _: object) -> None:
        store = gevent.socket.socket(gevent.socket.AF_UNIX)
        store.connect(self._path)
        self._sockets += [client, store]
        requests = gevent.spawn(self._pass_requests, client, store)
        try:
            while received := store.recv(65_536):
                self.replies_flow.wait()
                if not self.swallows_replies:
                    client.sendall(received)
        except OSError:
            pass  # cut
        finally:
            requests.kill()
            client.close()
            store.close()

    def _pass_requests(self, client: gevent.socket.socket, store: gevent.socket.socket) -> None:
        try:
            self.requests_flow.wait()
            while received := client.recv(65_536):
                store.sendall(received)
                self.requests_flow.wait()
        except OSError:
            pass  # cut
        finally:
            store.close()


class FakeStore:
    """A server of our own words, for what a real one says only in bad times."""

    def __init__(self, answer: Callable[[list[str]], bytes]) -> None:
        self.connections = 0
        self.commands: list[list[str]] = []
        self._answer = answer
        self._server = gevent.server.StreamServer(("127.0.0.1", 0), self._serve)
        self._server.start()
        self.url = f"redis://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.stop()

    def _serve(self, client: gevent.socket.socket, _: object) -> None:
        self.connections += 1
        reader = Reader(encoding="utf-8")
        with client:
            while received := client.recv(65_536):
                reader.feed(received)
                while (command := reader.gets()) is not False:
                    self.commands.append(command)
                    client.sendall(self._answer(command))


@pytest.fixture
def proxy(store_url):
    proxy = Proxy(store_url)
    yield proxy
    proxy.close()


@pytest.fixture
def open_link():
    """Makes links that are closed after the test."""
    links = []

    def make(url: str, **options: object) -> MultiplexedLink:
        links.append(MultiplexedLink(url, **options))
        return links[-1]

    yield make
    for link in links:
        link.close()


@pytest.fixture
def open_fake_store():
    stores = []

    def make(answer: Callable[[list[str]], bytes]) -> FakeStore:
        stores.append(FakeStore(answer))
        return stores[-1]

    yield make
    for store in stores:
        store.close()


@pytest.fixture
def own_store(tmp_path):
    with EmbeddedStore(tmp_path / "store") as store:
        yield store


@pytest.fixture(params=["link", "sync_link"])
def any_link(request):
    return request.getfixturevalue(request.param)


# Both links


def test_replies_have_the_same_shapes_on_both_links(any_link):
    any_link.call("ZADD", "z", 1.5, "a")

    assert any_link.call("SET", "k", "ä") == "OK"
    assert any_link.call("GET", "k") == "ä"
    assert any_link.call("GET", "none") is None
    assert any_link.call("EXISTS", "k") == 1
    assert any_link.call("HSET", "h", "a", 1, "b", b"\xff") == 2
    assert any_link.call("HGETALL", "h") == ["a", "1", "b", "\ufffd"]
    assert any_link.call("ZRANGE", "z", 0, -1, "WITHSCORES") == ["a", "1.5"]
    assert any_link.call("XADD", "x", "1-1", "f", "v") == "1-1"
    assert any_link.call("XRANGE", "x", "-", "+") == [["1-1", ["f", "v"]]]
    assert any_link.call("XREAD", "STREAMS", "x", "0") == [["x", [["1-1", ["f", "v"]]]]]


def test_a_batch_answers_in_order(any_link):
    assert any_link.batch(("SET", "k", 1), ("INCR", "k"), ("GET", "k")) == ["OK", 2, "2"]
    assert any_link.batch(("GET", "k")) == ["2"]
    assert any_link.batch() == []


def test_a_refused_command_does_not_stop_the_rest_of_its_batch(any_link):
    with pytest.raises(StoreRefused, match=r"^WRONGTYPE"):
        any_link.batch(("SET", "k", "v"), ("LPUSH", "k", 1), ("SET", "after", "v"))

    assert any_link.call("GET", "after") == "v"


def test_an_error_inside_a_transaction_is_a_refusal(any_link):
    with pytest.raises(StoreRefused, match=r"^WRONGTYPE"):
        any_link.batch(("MULTI",), ("SET", "k", "v"), ("LPUSH", "k", 1), ("EXEC",))


def test_a_refusal_carries_the_words_of_the_server(any_link):
    with pytest.raises(StoreRefused, match=r"^ERR unknown command"):
        any_link.call("NOSUCH")
    with pytest.raises(StoreRefused, match=r"^STALE a newer connection owns this$"):
        any_link.run(REFUSE, [], [])


def test_a_full_memory_is_a_refusal(any_link):
    any_link.call("CONFIG", "SET", "maxmemory", 1)
    try:
        with pytest.raises(StoreRefused, match=r"^OOM"):
            any_link.call("SET", "k", "v")
        with pytest.raises(StoreRefused, match=r"^OOM"):
            any_link.run(GREET, ["k"], [1])
        assert any_link.call("GET", "k") is None
    finally:
        any_link.call("CONFIG", "SET", "maxmemory", 0)


def test_a_script_the_server_has_forgotten_is_loaded_and_run_once(any_link):
    any_link.call("SCRIPT", "FLUSH")

    assert any_link.run(GREET, ["k"], ["hello"]) == ["k", "hello", 1]
    any_link.call("SCRIPT", "FLUSH")
    replies = any_link.batch(("PING",), GREET.call(["k"], ["again"]), ("ECHO", "end"))
    assert replies == ["PONG", ["k", "again", 2], "end"]


def test_an_argument_that_is_no_text_and_no_number_is_our_mistake(any_link):
    with pytest.raises(TypeError):
        any_link.call("SET", "k", None)

    assert any_link.call("PING") == "PONG"


def test_an_address_that_is_none_stops_the_start():
    for kind in (MultiplexedLink, SyncLink):
        with pytest.raises(ConfigurationError, match="REDIS_URL"):
            kind("http://localhost")


def test_sync_link_sends_nothing_twice(proxy, sync_link):
    def increment_without_a_reply() -> object:
        through = SyncLink(proxy.url(), timeout_s=0.5)
        through.call("PING")
        proxy.swallows_replies = True
        try:
            return through.call("INCR", "n")
        except StoreUnavailable as error:
            return error
        finally:
            through.close()

    # In a thread, because the proxy runs in this one's hub.
    outcome = gevent.get_hub().threadpool.spawn(increment_without_a_reply).get()

    assert isinstance(outcome, StoreUnavailable)
    assert sync_link.call("GET", "n") == "1"


def test_a_post_of_the_sync_link_raises_nothing(sync_link):
    sync_link.call("SET", "k", "v")

    sync_link.post("LPUSH", "k", 1)

    assert sync_link.dropped_posts == 1


# Whose reply is whose


def test_interleaved_greenlets_get_their_own_replies(link):
    def ask(name: int) -> list[object]:
        answers: list[object] = []
        for turn in range(20):
            answers.append(link.call("ECHO", f"{name}.{turn}"))
            answers += link.batch(("ECHO", name), ("ECHO", turn))
        return answers

    greenlets = [gevent.spawn(ask, name) for name in range(200)]
    gevent.joinall(greenlets, timeout=DEADLINE_S, raise_error=True)

    for name, asked in enumerate(greenlets):
        expected = [text for turn in range(20) for text in (f"{name}.{turn}", f"{name}", f"{turn}")]
        assert asked.value == expected


def test_a_killed_waiter_disturbs_nobody(proxy, open_link):
    def lose_patience() -> str:
        with gevent.Timeout(0.01, False):
            return str(through.call("ECHO", "late"))
        gevent.sleep(0.3)  # its reply comes meanwhile and must not end this
        return "slept"

    through = open_link(proxy.url())
    through.call("PING")
    proxy.replies_flow.clear()
    killed = gevent.spawn(through.call, "ECHO", "killed")
    killed_batch = gevent.spawn(through.batch, ("ECHO", "a"), ("ECHO", "b"))
    other = gevent.spawn(through.call, "ECHO", "other")
    gevent.sleep(0.05)

    gevent.killall([killed, killed_batch])
    impatient = gevent.spawn(lose_patience)
    gevent.sleep(0.1)
    proxy.replies_flow.set()

    assert other.get(timeout=DEADLINE_S) == "other"
    assert through.call("ECHO", "next") == "next"
    assert impatient.get(timeout=DEADLINE_S) == "slept"
    assert isinstance(killed.value, gevent.GreenletExit)


def test_a_greenlet_switched_to_by_another_still_waits_for_its_reply(proxy, open_link):
    through = open_link(proxy.url())
    through.call("PING")
    proxy.replies_flow.clear()
    waiter = gevent.spawn(through.call, "ECHO", "mine")
    gevent.sleep(0.05)

    gevent.get_hub().loop.run_callback(waiter.switch, "not a reply")
    gevent.sleep(0.01)
    proxy.replies_flow.set()

    assert waiter.get(timeout=DEADLINE_S) == "mine"


def test_large_values_pass_while_the_socket_is_full(proxy, open_link):
    through = open_link(proxy.url(), timeout_s=DEADLINE_S)
    through.call("PING")
    large = "é" * 4_000_000
    proxy.requests_flow.clear()
    waiters = [gevent.spawn(through.call, "SET", "large", large)]
    gevent.sleep(0.05)
    waiters += [gevent.spawn(through.call, "ECHO", n) for n in range(100)]
    gevent.sleep(0.05)
    assert not any(waiter.ready() for waiter in waiters)

    proxy.requests_flow.set()
    gevent.joinall(waiters, timeout=DEADLINE_S, raise_error=True)

    assert [waiter.value for waiter in waiters] == ["OK", *(str(n) for n in range(100))]
    assert through.call("GET", "large") == large


def test_a_post_travels_before_what_is_asked_after_it(link):
    link.post("SET", "k", 1)
    link.post("INCR", "k")

    assert link.call("GET", "k") == "2"


def test_a_refused_post_is_counted_and_disturbs_nobody(link):
    link.call("SET", "k", "v")

    link.post("LPUSH", "k", 1)

    assert link.call("GET", "k") == "v"
    assert link.refused_posts == 1


def test_a_post_of_a_forgotten_script_loads_it_for_the_next(link):
    link.call("SCRIPT", "FLUSH")
    link.post(*GREET.call(["k"], ["lost"]))

    assert eventually(lambda: link.call("SCRIPT", "EXISTS", GREET.sha) == [1])
    link.post(*GREET.call(["k"], ["counted"]))
    assert link.call("GET", "k") == "1"


# When the link fails


def test_a_command_whose_reply_was_lost_is_not_sent_again(link, proxy, open_link):
    through = open_link(proxy.url(), timeout_s=0.3)
    through.call("PING")
    proxy.swallows_replies = True

    with pytest.raises(StoreUnavailable, match="no answer within"):
        through.call("INCR", "n")
    proxy.swallows_replies = False

    assert through.call("PING") == "PONG"
    assert link.call("GET", "n") == "1"


def test_every_pending_call_fails_when_the_connection_is_cut(link, proxy, open_link):
    through = open_link(proxy.url())
    through.call("PING")
    proxy.replies_flow.clear()
    waiters = [gevent.spawn(through.call, "INCR", "n") for _ in range(50)]
    waiters += [gevent.spawn(through.batch, ("INCR", "n"), ("INCR", "n")) for _ in range(25)]
    assert eventually(lambda: link.call("GET", "n") == "100")
    through.post("INCR", "n")

    proxy.cut()
    gevent.joinall(waiters, timeout=DEADLINE_S)
    proxy.replies_flow.set()

    assert all(isinstance(waiter.exception, StoreUnavailable) for waiter in waiters)
    assert through.dropped_posts == 1
    assert through.call("PING") == "PONG"
    assert int(link.call("GET", "n")) <= 101


def test_a_stalled_store_fails_its_oldest_call_and_then_serves_again(proxy, open_link):
    through = open_link(proxy.url(), timeout_s=0.3)
    through.call("PING")
    proxy.replies_flow.clear()

    with pytest.raises(StoreUnavailable, match="no answer within"):
        through.call("PING")
    proxy.replies_flow.set()

    assert through.call("ECHO", "fresh") == "fresh"


def test_a_reply_that_came_while_the_whole_process_stood_still_counts(store_url, open_link):
    link = open_link(store_url, timeout_s=1.0)
    link.call("PING")
    waiter = gevent.spawn(link.call, "ECHO", "here")
    gevent.sleep(0)

    time.sleep(1.5)

    assert waiter.get(timeout=DEADLINE_S) == "here"


def test_a_blocking_link_waits_longer_than_its_timeout(store_url, link, open_link):
    reader = open_link(store_url, timeout_s=0.1, blocking=True)

    assert reader.call("XREAD", "BLOCK", 500, "STREAMS", "inbox", "$") is None


def test_what_was_acknowledged_is_there_after_the_store_was_killed(own_store, open_link):
    link = open_link(own_store.url, reconnect_wait_s=DEADLINE_S)
    acknowledged = 0
    refused = []

    def record() -> None:
        nonlocal acknowledged
        while not refused:
            try:
                link.call("INCR", "n")
                acknowledged += 1
            except StoreUnavailable as error:
                refused.append(error)

    writers = [gevent.spawn(record) for _ in range(20)]
    assert eventually(lambda: acknowledged > 1_000)

    os.kill(own_store.pid, signal.SIGKILL)
    assert eventually(lambda: refused)
    assert eventually(own_store.restart_if_dead)

    gevent.joinall(writers, timeout=DEADLINE_S)
    assert refused
    assert int(link.call("GET", "n")) >= acknowledged


def test_a_call_waits_for_a_store_that_is_still_starting(tmp_path, open_link):
    store = EmbeddedStore(tmp_path)
    link = open_link(store.url, reconnect_wait_s=DEADLINE_S)
    call = gevent.spawn(link.call, "PING")
    gevent.sleep(0.2)
    assert not call.ready()

    with store:
        assert call.get(timeout=DEADLINE_S) == "PONG"


def test_a_call_gives_up_when_no_store_comes(tmp_path, open_link):
    link = open_link(f"unix://{tmp_path}/none.sock", reconnect_wait_s=0.2)

    with pytest.raises(StoreUnavailable, match="No such file"):
        link.call("PING")
    assert not link.connected


def test_a_post_is_dropped_while_the_link_is_down(tmp_path, open_link):
    link = open_link(f"unix://{tmp_path}/none.sock")

    link.post("INCR", "n")

    assert link.dropped_posts == 1


def test_too_many_pending_calls_are_refused_at_once(proxy, open_link):
    through = open_link(proxy.url(), max_pending=10)
    through.call("PING")
    proxy.replies_flow.clear()
    waiters = [gevent.spawn(through.call, "ECHO", n) for n in range(10)]
    gevent.sleep(0.01)

    with pytest.raises(StoreUnavailable, match="busy"):
        through.call("PING")
    through.post("PING")
    proxy.replies_flow.set()

    gevent.joinall(waiters, timeout=DEADLINE_S, raise_error=True)
    assert through.dropped_posts == 1
    assert through.call("PING") == "PONG"


def test_too_many_calls_may_not_wait_for_the_link(tmp_path, open_link):
    link = open_link(f"unix://{tmp_path}/none.sock", max_pending=1, reconnect_wait_s=0.5)
    first = gevent.spawn(link.call, "PING")
    gevent.sleep(0)

    with pytest.raises(StoreUnavailable, match="busy"):
        link.call("PING")
    first.join(timeout=DEADLINE_S)
    assert isinstance(first.exception, StoreUnavailable)


def test_who_wants_to_know_is_told_of_a_reconnect_but_not_of_the_first_connect(proxy, open_link):
    told = []
    through = open_link(proxy.url())
    through.on_reconnect.append(lambda: told.append(through.call("PING")))
    through.call("PING")
    gevent.sleep(0.05)
    assert through.connected
    assert told == []

    proxy.cut()

    assert eventually(lambda: told)
    assert told == ["PONG"]


def test_close_fails_what_is_pending_and_what_comes_later(proxy, open_link):
    through = open_link(proxy.url())
    through.call("PING")
    proxy.replies_flow.clear()
    pending = gevent.spawn(through.call, "PING")
    gevent.sleep(0.01)

    through.close()

    pending.join(timeout=DEADLINE_S)
    assert isinstance(pending.exception, StoreUnavailable)
    with pytest.raises(StoreUnavailable, match="closed"):
        through.call("PING")


def test_a_link_refuses_to_work_in_a_forked_child(link):
    link.call("PING")
    child = os.fork()
    if child == 0:
        try:
            link.call("PING")
        except RuntimeError:
            os._exit(7)
        finally:
            os._exit(1)

    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 7
    assert link.call("PING") == "PONG"


# What a server says in bad times


def test_a_store_that_is_loading_is_not_connected_yet(open_fake_store, open_link):
    def answer(command: list[str]) -> bytes:
        if command[0] == "PING" and fake.connections < 3:
            return b"-LOADING the dataset in memory\r\n"
        return b"+OK\r\n"

    fake = open_fake_store(answer)
    link = open_link(fake.url)

    assert link.call("GET", "k") == "OK"
    assert fake.connections == 3


@pytest.mark.parametrize("word", ["READONLY", "LOADING", "MASTERDOWN"])
def test_a_server_that_serves_no_writes_is_left(open_fake_store, open_link, word):
    def answer(command: list[str]) -> bytes:
        is_write = command[0] == "SET" and fake.connections == 1
        return f"-{word} not here\r\n".encode() if is_write else b"+OK\r\n"

    fake = open_fake_store(answer)
    link = open_link(fake.url)

    with pytest.raises(StoreRefused, match=f"^{word} not here$"):
        link.call("SET", "k", "v")
    assert link.call("SET", "k", "v") == "OK"
    assert fake.connections == 2


def test_a_read_only_refusal_quoted_by_a_script_of_redis_6_is_noticed(open_fake_store, open_link):
    def answer(command: list[str]) -> bytes:
        is_first = command[0] == "EVALSHA" and fake.connections == 1
        return b"-ERR Error running script: -READONLY replica\r\n" if is_first else b"+OK\r\n"

    fake = open_fake_store(answer)
    link = open_link(fake.url)

    with pytest.raises(StoreRefused, match="READONLY"):
        link.run(GREET, ["k"], [])
    assert link.run(GREET, ["k"], []) == "OK"
    assert fake.connections == 2


def test_a_server_that_speaks_something_else_is_left(open_fake_store, open_link):
    fake = open_fake_store(lambda command: b"HTTP/1.1 400\r\n" if "GET" in command else b"+OK\r\n")
    link = open_link(fake.url)

    with pytest.raises(StoreUnavailable, match="RESP"):
        link.call("GET", "k")


def test_an_answer_to_no_question_ends_the_connection(open_fake_store, open_link):
    def answer(command: list[str]) -> bytes:
        return b"+OK\r\n+MORE\r\n" if command[0] == "GET" and fake.connections == 1 else b"+OK\r\n"

    fake = open_fake_store(answer)
    link = open_link(fake.url)
    link.call("GET", "k")

    assert eventually(lambda: fake.connections == 2)
    assert link.call("ECHO", "x") == "OK"


def test_a_handshake_signs_in_selects_names_and_loads_the_scripts(open_fake_store, open_link):
    fake = open_fake_store(lambda command: b"+OK\r\n")
    link = open_link(fake.url.replace("//", "//anna:s%20e@") + "/3", name="csms-web")
    link.call("PING")

    greeting = fake.commands[: fake.commands.index(["SCRIPT", "LOAD", GREET.source]) + 1]
    assert greeting[:4] == [
        ["AUTH", "anna", "s e"],
        ["PING"],
        ["SELECT", "3"],
        ["CLIENT", "SETNAME", "csms-web"],
    ]


def test_a_server_that_forbids_names_and_scripts_can_still_be_used(open_fake_store, open_link):
    fake = open_fake_store(
        lambda command: {
            "PING": b"-NOPERM not for you\r\n",
            "CLIENT": b"-ERR unknown command\r\n",
            "SCRIPT": b"-ERR unknown command\r\n",
        }.get(command[0], b"+OK\r\n")
    )

    assert open_link(fake.url).call("GET", "k") == "OK"


def test_a_wrong_password_is_told_without_repeating_it(own_store, open_link):
    link = open_link(own_store.url)
    link.call("CONFIG", "SET", "requirepass", "right")
    right = open_link(own_store.url.replace("unix://", "unix://:right@"))
    wrong = open_link(own_store.url.replace("unix://", "unix://:wr0ng@"), reconnect_wait_s=0.5)

    assert right.call("PING") == "PONG"
    with pytest.raises(StoreUnavailable, match="WRONGPASS") as told:
        wrong.call("PING")
    assert "wr0ng" not in str(told.value)


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A self-signed certificate for localhost: the paths of certificate and key."""
    directory = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    paths = directory / "certificate.pem", directory / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths


@pytest.fixture
def tls_proxy(store_url, certificate):
    context = gevent.ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    proxy = Proxy(store_url, ssl_context=context)
    yield proxy
    proxy.close()


def test_large_replies_arrive_whole_over_tls(tls_proxy, certificate, open_link):
    url = tls_proxy.url("rediss", f"?ssl_ca_certs={certificate[0]}")
    through = open_link(url.replace("127.0.0.1", "localhost"), timeout_s=DEADLINE_S)
    large = "x" * 3_000_000

    assert through.batch(("SET", "k", large), ("GET", "k"), ("ECHO", "end")) == ["OK", large, "end"]


def test_a_certificate_nobody_vouches_for_is_refused_unless_told_otherwise(tls_proxy, open_link):
    strict = open_link(tls_proxy.url("rediss"), reconnect_wait_s=0.5)
    lax = open_link(tls_proxy.url("rediss", "?ssl_cert_reqs=none"))

    with pytest.raises(StoreUnavailable, match="certificate"):
        strict.call("PING")
    assert lax.call("PING") == "PONG"


def test_a_word_for_certificates_that_is_none_stops_the_start():
    with pytest.raises(ConfigurationError, match="ssl_cert_reqs"):
        MultiplexedLink("rediss://localhost/?ssl_cert_reqs=maybe")
