"""A charge point leaves its diagnostics over FTP: one file, whole, and once."""

import ftplib
import socket
import struct
import threading

import pytest
from ftp_site import FIRMWARE, MOST_BYTES, fetch, listing, store, until

from csms.errors import StorageUnavailable


def begin(ftp, path="diagnostics.zip"):
    ftp.voidcmd("TYPE I")
    return ftp.transfercmd(f"STOR {path}")


def reset(connection):
    """Torn down, as by a machine that has lost it."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def leaves_nothing(site, grant):
    until(lambda: not site.files)
    return not site.is_uploaded(grant)


def test_a_file_is_kept_as_it_was_sent(site, serving):
    grant = site.upload()

    answer = store(site.login(grant), FIRMWARE)

    assert answer.startswith("226")
    uploaded = site.stores.uploaded_files.get(grant.grant_id)
    assert (uploaded.file_name, uploaded.protocol) == ("diagnostics.zip", "ftp")
    assert (uploaded.charge_point_id, uploaded.remote_address) == ("CP001", "127.0.0.1")
    assert site.content_of(grant) == FIRMWARE
    assert site.files == [uploaded.storage_key]


def test_bytes_stay_as_they_are_with_type_a(site, serving):
    grant = site.upload()
    ftp = site.login(grant)
    ftp.voidcmd("TYPE A")
    with ftp.transfercmd("STOR log.txt") as data:
        data.sendall(b"one\r\ntwo\n\r")
    ftp.voidresp()

    assert site.content_of(grant) == b"one\r\ntwo\n\r"


def test_active_mode_works_too(site, serving):
    grant = site.upload()
    ftp = site.login(grant)
    ftp.set_pasv(False)
    store(ftp, FIRMWARE)

    assert site.content_of(grant) == FIRMWARE


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("../../etc/passwd", "passwd"),
        ("/etc/passwd", "passwd"),
        ("logs/2026/log.zip", "log.zip"),
        ("C:\\log.zip", "C:\\log.zip"),
        ("é.zip", "é.zip"),
    ],
)
def test_of_a_path_its_last_part_is_kept_as_text(site, serving, tmp_path, path, name):
    grant = site.upload()
    before = set(tmp_path.rglob("*"))
    store(site.login(grant), b"log", path)

    uploaded = site.stores.uploaded_files.get(grant.grant_id)
    assert uploaded.file_name == name
    assert set(tmp_path.rglob("*")) - before == {site.directory, site.directory / site.files[0]}


@pytest.mark.parametrize("path", [".", "..", "/", "logs/.."[4:]])
def test_a_file_needs_a_name(site, serving, path):
    with pytest.raises(ftplib.error_perm, match="553"):
        store(site.login(site.upload()), b"log", path)


def test_nothing_can_be_seen_read_or_changed(site, serving):
    site.download(file_name="firmware.bin")
    grant = site.upload()
    ftp = site.login(grant)

    assert listing(ftp) == []
    assert list(ftp.mlsd()) == []
    store(ftp, b"log", "mine.txt")
    assert listing(ftp) == []
    for command in ("RETR mine.txt", "RETR firmware.bin", "SIZE mine.txt", "MLST mine.txt"):
        with pytest.raises(ftplib.error_perm, match="550"):
            ftp.sendcmd(command)
    for command in ("DELE mine.txt", "APPE mine.txt", "RNFR mine.txt", "MKD x", "SITE CHMOD 7 x"):
        with pytest.raises(ftplib.error_perm, match="500"):
            ftp.sendcmd(command)
    assert site.content_of(grant) == b"log"


def test_what_is_over_its_quota_is_cut_off_and_leaves_nothing(site, serving):
    grant = site.upload(max_bytes=100_000)
    ftp = site.login(grant)
    with begin(ftp) as data, pytest.raises(ConnectionError):
        for _ in range(1_000):
            data.sendall(FIRMWARE)

    with pytest.raises(ftplib.error_perm, match="552 A file may have 100000 bytes here"):
        ftp.voidresp()

    assert leaves_nothing(site, grant)
    assert store(ftp, FIRMWARE[:100_000]).startswith("226")
    assert site.content_of(grant) == FIRMWARE[:100_000]


def test_where_all_uploads_together_take_their_room_none_begins(site, serving):
    for _ in range(3):
        store(site.login(site.upload()), b"x" * MOST_BYTES)

    with pytest.raises(ftplib.error_temp, match="452"):
        store(site.login(site.upload()), b"log")


def test_a_second_file_is_refused_in_the_same_session(site, serving):
    grant = site.upload()
    ftp = site.login(grant)
    store(ftp, b"first")

    with pytest.raises(ftplib.error_perm, match="550 A file was taken here before"):
        store(ftp, b"second")

    assert site.content_of(grant) == b"first"
    assert len(site.files) == 1


def test_of_two_at_once_one_is_kept(site, serving):
    grant = site.upload()
    one, two = site.login(grant), site.login(grant)
    data_one, data_two = begin(one), begin(two)
    data_one.sendall(b"one")
    data_two.sendall(b"two")
    data_two.close()
    assert two.voidresp().startswith("226")
    data_one.close()

    with pytest.raises(ftplib.error_perm, match="550 A file was taken here before"):
        one.voidresp()

    assert site.content_of(grant) == b"two"
    assert len(site.files) == 1


def test_many_at_once_have_one_winner(site, serving):
    grant = site.upload()
    sessions = [site.login(grant) for _ in range(6)]
    outcomes = []

    def try_it(number, ftp):
        try:
            store(ftp, str(number).encode() * 50_000)
            outcomes.append(number)
        except ftplib.error_perm:
            pass

    threads = [threading.Thread(target=try_it, args=each) for each in enumerate(sessions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(outcomes) == 1
    assert site.content_of(grant) == str(outcomes[0]).encode() * 50_000
    assert len(site.files) == 1


def test_one_whose_data_connection_breaks_leaves_nothing_and_may_be_tried_again(site, serving):
    grant = site.upload()
    ftp = site.login(grant)
    data = begin(ftp)
    data.sendall(FIRMWARE)
    until(lambda: site.files)
    reset(data)

    with pytest.raises(ftplib.error_temp, match="426 The connection was cut"):
        ftp.voidresp()

    assert leaves_nothing(site, grant)
    assert store(ftp, FIRMWARE).startswith("226")
    assert site.content_of(grant) == FIRMWARE


@pytest.mark.parametrize("end", [socket.socket.close, reset])
@pytest.mark.parametrize("first", ["control", "data"])
def test_one_whose_charge_point_vanishes_leaves_nothing(site, serving, end, first):
    grant = site.upload()
    ftp = site.login(grant)
    data = begin(ftp)
    data.sendall(FIRMWARE)
    until(lambda: site.files)
    ftp.file.close()  # else the control connection would stay open
    control = ftp.sock
    for connection in (control, data) if first == "control" else (data, control):
        end(connection)

    assert leaves_nothing(site, grant)
    assert store(site.login(grant), FIRMWARE).startswith("226")


def test_one_that_is_aborted_leaves_nothing(site, serving):
    grant = site.upload()
    ftp = site.login(grant)
    with begin(ftp) as data:
        data.sendall(FIRMWARE)
        until(lambda: site.files)

        assert ftp.abort().startswith("426")
        assert ftp.voidresp().startswith("226 ABOR")

    assert leaves_nothing(site, grant)
    assert store(ftp, FIRMWARE).startswith("226")


def test_an_empty_file_is_none(site, serving):
    grant = site.upload()
    ftp = site.login(grant)

    with pytest.raises(ftplib.error_temp, match="451 The file is empty"):
        store(ftp, b"")

    assert leaves_nothing(site, grant)
    assert store(ftp, b"log").startswith("226")


def test_an_upload_begins_at_its_beginning(site, serving):
    ftp = site.login(site.upload())

    with pytest.raises(ftplib.error_perm, match="554"):
        ftp.storbinary("STOR x", None, rest=10)


def test_who_quits_while_the_file_travels_has_left_it(site, serving):
    grant = site.upload()
    ftp = site.login(grant)
    with begin(ftp) as data:
        data.sendall(b"log")
        ftp.sendcmd("QUIT")

    assert ftp.voidresp().startswith("226")
    assert site.content_of(grant) == b"log"


def test_a_transfer_that_never_begins_keeps_no_file_open(site, serving):
    grant = site.upload()
    ftp = site.login(grant)
    ftp.makepasv()
    for path in ("x", "y"):
        assert ftp.sendcmd(f"STOR {path}").startswith("150")
        assert len(site.files) == 1
    ftp.sendcmd(f"USER {grant.grant_id}")

    assert site.files == []


def test_one_whose_data_connection_is_reset_at_once_is_answered(site, serving):
    grant = site.upload()
    ftp = site.login(grant)
    address = ftp.makepasv()
    ftp.sendcmd("STOR x")
    reset(socket.create_connection(address))

    with pytest.raises(ftplib.error_temp, match="426"):
        ftp.voidresp()

    assert leaves_nothing(site, grant)


def test_a_transfer_needs_a_data_connection(site, serving):
    ftp = site.login(site.upload())

    for command in ("STOR x", "LIST"):
        with pytest.raises(ftplib.error_temp, match="425"):
            ftp.sendcmd(command)


def test_a_storage_that_fails_is_no_fault_of_the_charge_point(site, serving, monkeypatch):
    def unavailable(*_):
        raise StorageUnavailable("No space left on device")

    grant = site.upload()
    ftp = site.login(grant)
    with monkeypatch.context() as failing:
        failing.setattr(site.storage, "create", unavailable)
        with pytest.raises(ftplib.error_temp, match="451 This can't be done now"):
            store(ftp, b"log")

    assert store(ftp, b"log").startswith("226")


def test_the_storage_may_fail_in_the_midst(site, serving, monkeypatch):
    def unavailable(*_):
        raise StorageUnavailable("No space left on device")

    grant = site.upload()
    ftp = site.login(grant)
    with monkeypatch.context() as failing:
        failing.setattr("csms.storage.directory.DirectoryPendingFile.write", unavailable)
        with pytest.raises(ftplib.error_temp, match="451"):
            store(ftp, b"log")

    assert leaves_nothing(site, grant)
    assert fetch(site.login(site.download()))
    assert store(ftp, b"log").startswith("226")
