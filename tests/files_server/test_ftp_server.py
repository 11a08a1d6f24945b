"""The server as a whole: how it ends, what it tells passive clients, what it looks after."""

import ftplib
import socket
from dataclasses import replace

import pytest
from cast import SETTINGS
from ftp_site import FIRMWARE, Serving, fetch, store, until

from csms.errors import StoreUnavailable
from csms.files_server.process import Upkeep, public_address
from csms.state.link_sync import SyncLink


def begin(ftp, path="diagnostics.zip"):
    ftp.voidcmd("TYPE I")
    data = ftp.transfercmd(f"STOR {path}")
    data.sendall(FIRMWARE)
    return data


def test_what_travels_when_it_is_to_stop_has_time_to_arrive(site):
    serving = Serving(site, drain_s=20)
    grant = site.upload()
    ftp, idle, other = site.login(grant), site.login(site.download()), site.login(site.upload())
    other_address = other.makepasv()
    data = begin(ftp)
    serving.stopping.set()
    until(lambda: serving.server.is_draining)

    with pytest.raises(ftplib.error_temp, match="421"):
        fetch(idle)
    with pytest.raises(ftplib.error_temp, match="421"):
        other.sendcmd("STOR late.zip")
    with pytest.raises(OSError, match="refused"):
        site.connect()
    data.close()
    assert ftp.voidresp().startswith("226")

    serving.stop()
    assert site.content_of(grant) == FIRMWARE
    assert other_address


def test_what_takes_too_long_then_leaves_nothing(site):
    serving = Serving(site, drain_s=0)
    grant = site.upload()
    data = begin(site.login(grant))
    until(lambda: site.files)

    serving.stop()

    assert site.files == []
    assert not site.is_uploaded(grant)
    data.close()


def test_another_server_of_the_process_goes_on(site):
    first, second = Serving(site), Serving(site)
    ftp = site.login(site.download())

    first.stop()

    assert fetch(ftp) == FIRMWARE
    site.hang_up()
    second.stop()


def test_passive_clients_are_told_the_public_address_and_ports(site):
    free = socket.create_server(("127.0.0.1", 0))
    port = free.getsockname()[1]
    free.close()
    serving = Serving(site, public_address="192.0.2.7", passive_ports=range(port, port + 1))
    ftp = site.login(site.download())

    answer = ftp.sendcmd("PASV")

    assert f"(192,0,2,7,{port // 256},{port % 256})" in answer
    assert f"|||{port}|" in ftp.sendcmd("EPSV")
    site.hang_up()
    serving.stop()


def test_the_commands_there_are_are_told(site, serving):
    ftp = site.login(site.download())

    features = ftp.sendcmd("FEAT")

    assert "REST STREAM" in features
    assert "EPSV" in features
    assert "MFMT" not in features
    assert "DELE" not in ftp.sendcmd("HELP")
    assert ftp.sendcmd("STAT").startswith("211")


@pytest.mark.parametrize(
    ("told", "url", "address"),
    [
        (None, "ftp://192.0.2.7:2121", "192.0.2.7"),
        (None, "ftp://127.0.0.1:2121", None),
        (None, "ftps://localhost/some/where", None),
        ("192.0.2.8", "ftp://192.0.2.7", "192.0.2.8"),
        ("127.0.0.1", "ftp://192.0.2.7", "127.0.0.1"),
    ],
)
def test_the_public_address_is_that_of_the_url_unless_another_is_told(told, url, address):
    assert public_address(told, url) == address


@pytest.fixture
def upkeep(site, serving, store_url):
    def build(url="ftp://192.0.2.7", **settings):
        link = SyncLink(store_url)
        links.append(link)
        return Upkeep(serving.server, link, replace(SETTINGS, **settings), url)

    links = []
    yield build
    for link in links:
        link.close()


def test_the_address_is_looked_up_again_and_again(serving, upkeep):
    upkeep().look()
    assert serving.server.public_address == "192.0.2.7"

    upkeep(ftp_public_address="192.0.2.8").look()
    assert serving.server.public_address == "192.0.2.8"


def test_while_it_is_not_known_the_one_before_stays(serving, upkeep):
    upkeep().look()
    failing = upkeep(url="ftp://[2001:db8::1]")
    failing.look()
    failing.look()

    assert serving.server.public_address == "192.0.2.7"


def test_a_store_that_does_not_answer_is_said_once(upkeep, monkeypatch, capsys):
    def unavailable(_):
        raise StoreUnavailable("connection refused")

    looking = upkeep()
    monkeypatch.setattr("csms.state.shared_clock.follow", unavailable)
    looking.look()
    looking.look()
    monkeypatch.undo()
    looking.look()

    assert capsys.readouterr().out.count("the store does not answer") == 1


def test_a_connection_that_can_not_be_taken_costs_no_other(site, serving, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as failing:
        failing.setattr(type(serving.server), "_start_task", fail)
        with pytest.raises((EOFError, OSError)):
            site.connect().sendcmd("NOOP")

    assert store(site.login(site.upload()), b"log").startswith("226")


def test_a_port_that_can_not_accept_now_stays_open(site, serving, monkeypatch):
    monkeypatch.setattr("csms.files_server.server.POLL_S", 0)
    failures = [OSError(24, "Too many open files")] * 3
    accept = serving.server.accept

    def fail():
        if failures:
            raise failures.pop()
        return accept()

    monkeypatch.setattr(serving.server, "accept", fail)

    assert store(site.login(site.upload()), b"log").startswith("226")
    assert not failures
