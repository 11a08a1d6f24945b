"""A charge point fetches its firmware over FTP, in one go or in several."""

import ftplib
import io

import pytest
from ftp_site import FIRMWARE, fetch, listing

from csms.domain.file_grant import FileGrant


def test_a_file_arrives_whole(site, serving):
    ftp = site.login(site.download())

    assert ftp.size("firmware.bin") == len(FIRMWARE)
    assert fetch(ftp, "firmware.bin") == FIRMWARE


def test_it_may_be_fetched_again(site, serving):
    grant = site.download()

    first, second = fetch(site.login(grant)), fetch(site.login(grant))

    assert first == second == FIRMWARE


def test_one_that_was_cut_is_resumed_where_it_ended(site, serving):
    grant = site.download(content=FIRMWARE * 20)
    ftp = site.login(grant)
    ftp.voidcmd("TYPE I")
    with ftp.transfercmd("RETR firmware.bin") as data:
        begin = data.recv(50_000)
    ftp.close()

    rest = fetch(site.login(grant), rest=len(begin))

    assert begin + rest == FIRMWARE * 20


def test_the_same_where_the_storage_has_no_file_descriptors(site, serving, monkeypatch):
    monkeypatch.setattr(site.storage, "open", lambda _: io.BytesIO(FIRMWARE))
    ftp = site.login(site.download())

    assert fetch(ftp) == FIRMWARE
    assert fetch(ftp, rest=299_990) == FIRMWARE[299_990:]


def test_bytes_stay_as_they_are_with_type_a(site, serving):
    text = b"one\ntwo\r\nthree\r"
    ftp = site.login(site.download(content=text))
    ftp.voidcmd("TYPE A")
    got = []
    with ftp.transfercmd("RETR firmware.bin") as data:
        while chunk := data.recv(1_000):
            got.append(chunk)
    ftp.voidresp()

    assert b"".join(got) == text


def test_active_mode_works_too(site, serving):
    ftp = site.login(site.download())
    ftp.set_pasv(False)

    assert fetch(ftp) == FIRMWARE


def test_extended_passive_mode_works_too(site, serving):
    ftp = site.login(site.download())
    ftp.af = ftplib.socket.AF_INET6  # by which ftplib decides to send EPSV

    assert fetch(ftp) == FIRMWARE


def test_active_mode_goes_to_nobody_else(site, serving):
    ftp = site.login(site.download())

    with pytest.raises(ftplib.error_perm, match=r"501 .*foreign"):
        ftp.sendport("192.0.2.1", 5_000)
    with pytest.raises(ftplib.error_perm, match=r"501 .*privileged"):
        ftp.sendport("127.0.0.1", 22)


def test_there_is_one_file_wherever_one_looks(site, serving):
    ftp = site.login(site.download())

    assert listing(ftp) == ["firmware.bin"]
    ftp.cwd("/etc")
    assert listing(ftp) == ["firmware.bin"]
    assert ftp.pwd() == "/"
    assert [name for name, _ in ftp.mlsd()] == ["firmware.bin"]
    lines = []
    ftp.retrlines("LIST -a", lines.append)
    assert len(lines) == 1
    assert "csms" in lines[0]


@pytest.mark.parametrize("path", ["../../etc/passwd", "/etc/passwd", "passwd", ".", "/"])
def test_there_is_no_other_file(site, serving, path):
    ftp = site.login(site.download())
    ftp.makepasv()

    for command in ("RETR", "SIZE", "MDTM"):
        with pytest.raises(ftplib.error_perm, match="550"):
            ftp.sendcmd(f"{command} {path}")


def test_the_directory_before_a_name_does_not_matter(site, serving):
    assert fetch(site.login(site.download()), "some/where/firmware.bin") == FIRMWARE


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("STOR new.bin", "550"),
        ("STOR firmware.bin", "550"),
        ("APPE firmware.bin", "500"),
        ("STOU", "500"),
        ("DELE firmware.bin", "500"),
        ("MKD directory", "500"),
        ("RMD directory", "500"),
        ("RNFR firmware.bin", "500"),
        ("SITE CHMOD 777 firmware.bin", "500"),
        ("MFMT 20200101000000 firmware.bin", "500"),
    ],
)
def test_nothing_can_be_changed(site, serving, command, code):
    grant = site.download()
    before = site.files
    ftp = site.login(grant)

    with pytest.raises(ftplib.error_perm, match=code):
        ftp.sendcmd(command)

    assert site.files == before
    assert fetch(ftp) == FIRMWARE


def test_a_grant_that_is_withdrawn_meanwhile_fetches_nothing(site, serving):
    grant: FileGrant = site.download()
    ftp = site.login(grant)
    site.stores.file_grants.withdraw(grant.grant_id)

    with pytest.raises(ftplib.error_perm, match="550 This file is not wanted"):
        fetch(ftp)


def test_a_file_that_is_gone_is_said_to_be(site, serving):
    grant = site.download()
    site.storage.delete(grant.storage_key)

    with pytest.raises(ftplib.error_perm, match="550 The file is not here any more"):
        fetch(site.login(grant))
