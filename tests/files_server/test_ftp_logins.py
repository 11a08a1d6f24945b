"""Who may log in over FTP, and what the others are told."""

import ftplib
import io
import logging

import pytest
from cast import PEPPER
from ftp_site import FIRMWARE, fetch, store, until

from csms.clock import now_ms
from csms.domain.file_grant import secret_of
from csms.errors import StoreUnavailable


def refusal(site, user, password):
    with pytest.raises(ftplib.Error) as refused:
        site.connect().login(user, password)
    return str(refused.value)


def refusal_of(site, grant):
    return refusal(site, grant.grant_id, secret_of(grant.grant_id, PEPPER))


def test_a_wrong_password_and_an_unknown_user_are_refused_with_the_same_words(site, serving):
    grant = site.download()

    wrong = refusal(site, grant.grant_id, "0" * 32)

    assert wrong.startswith("530 ")
    assert refusal(site, "f" * 32, "0" * 32) == wrong
    assert refusal(site, "anonymous", "me@example.com") == wrong
    assert refusal(site, "é" * 10, secret_of("é" * 10, PEPPER)) == wrong


def test_who_comes_too_late_is_told_so(site, serving):
    grant = site.download(expires_at_ms=now_ms() - 1)

    assert refusal_of(site, grant).startswith("530 The time for this file is over")


def test_who_is_not_wanted_any_more_is_told_so(site, serving):
    grant = site.upload()
    site.stores.file_grants.withdraw(grant.grant_id)

    assert refusal_of(site, grant) == "530 This file is not wanted any more."


def test_who_has_left_a_file_is_told_so(site, serving):
    grant = site.upload()
    store(site.login(grant), FIRMWARE)

    assert refusal_of(site, grant).startswith("530 A file was taken here before")


def test_while_the_store_is_away_charge_points_are_asked_to_come_again(site, serving, monkeypatch):
    def unavailable(_):
        raise StoreUnavailable("connection refused")

    grant = site.download()
    monkeypatch.setattr(type(site.stores.file_grants), "find", lambda _, __: unavailable(_))

    assert refusal_of(site, grant).startswith("421 ")


def test_three_wrong_passwords_end_the_connection(site, serving):
    ftp = site.connect()
    answers = []
    for _ in range(3):
        ftp.sendcmd(f"USER {'0' * 32}")
        with pytest.raises(ftplib.error_perm) as refused:
            ftp.sendcmd("PASS 1")
        answers.append(str(refused.value))

    assert "disconnecting" in answers[-1].lower()
    with pytest.raises((EOFError, ConnectionError)):
        ftp.sendcmd("NOOP")


def test_nothing_is_possible_before_the_login(site, serving):
    ftp = site.connect()

    for command in ("PASV", "STOR x", "RETR x", "LIST", "CWD x", "STAT x"):
        with pytest.raises(ftplib.error_perm, match="530 Log in"):
            ftp.sendcmd(command)


def test_who_logs_in_as_another_sees_the_files_of_that_one_only(site, serving):
    ftp = site.login(site.download())
    other = site.upload()
    ftp.login(other.grant_id, secret_of(other.grant_id, PEPPER))

    with pytest.raises(ftplib.error_perm, match="550"):
        ftp.retrbinary("RETR firmware.bin", print)
    store(ftp, b"log")

    assert site.content_of(other) == b"log"


def test_one_address_may_have_so_many_connections(site, serving):
    serving.server.max_cons_per_ip = 2
    site.connect(), site.connect()

    with pytest.raises(ftplib.error_temp, match="421 Too many connections from the same"):
        site.connect()


def test_one_grant_may_have_so_many_connections(site, serving, monkeypatch):
    monkeypatch.setattr("csms.files_server.server.MAX_CONNECTIONS_PER_GRANT", 2)
    grant = site.download()
    first, _ = site.login(grant), site.login(grant)
    with pytest.raises(ftplib.error_temp, match="421 Too many connections with this user"):
        site.login(grant)

    site.login(site.download())  # another's does not matter
    first.quit()
    until(lambda: serving.server.has_place_for(grant.grant_id))

    assert fetch(site.login(grant)) == FIRMWARE


def test_nobody_stays_for_long_without_a_login(site, serving, monkeypatch):
    monkeypatch.setattr("csms.files_server.connection.LOGIN_WITHIN_S", -1)
    ftp = site.connect()

    with pytest.raises(ftplib.error_temp, match="421"):
        ftp.sendcmd("NOOP")


def test_passwords_are_not_in_the_log(site, serving, caplog, capsys):
    caplog.set_level(logging.DEBUG)
    grant = site.upload()
    secret = secret_of(grant.grant_id, PEPPER)

    refusal(site, grant.grant_id, "wrong-password")
    ftp = site.login(grant)
    ftp.storbinary("STOR x", io.BytesIO(b"log"))
    ftp.quit()

    logged = caplog.text + "".join(capsys.readouterr())
    assert grant.grant_id in logged
    assert secret not in logged
    assert "wrong-password" not in logged
