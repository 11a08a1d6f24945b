"""Files over FTP with TLS: nothing of a grant travels without."""

import ftplib
import socket
import ssl
import threading

import pytest
from cast import PEPPER
from certificates import root, server
from ftp_site import FIRMWARE, PATIENCE_S, Serving, fetch, listing, store, until

from csms.config import CertificateFiles
from csms.domain.certificate_authority import pem_chain
from csms.domain.file_grant import secret_of
from csms.errors import ConfigurationError
from csms.files_server.certificates import ServerTLS
from csms.files_server.connection import TLSGrantConnection

ROOT = root()


@pytest.fixture
def files(tmp_path):
    return CertificateFiles(*server(ROOT, "ec").write(tmp_path, "server"))


@pytest.fixture
def serving(site, files):
    serving = Serving(site, tls=ServerTLS(files))
    yield serving
    site.hang_up()
    serving.stop()


def client(maximum=None, authority=ROOT):
    context = ssl.create_default_context(cadata=pem_chain(authority.chain))
    if maximum is not None:
        context.maximum_version = maximum

    class Client(ftplib.FTP_TLS):
        def __init__(self, **more):
            super().__init__(context=context, **more)

        def connect(self, *arguments):
            super().connect(*arguments)
            self.host = "localhost"

    return Client


class Implicit(ftplib.FTP_TLS):
    """Speaks TLS from the first byte on, as curl and others do where the URL has ftps."""

    def __init__(self, **more):
        super().__init__(context=ssl.create_default_context(cadata=pem_chain(ROOT.chain)), **more)

    def connect(self, host, port):
        self.host = "localhost"
        plain = socket.create_connection((host, port), self.timeout)
        self.af = plain.family
        self.sock = self.context.wrap_socket(plain, server_hostname=self.host)
        self.file = self.sock.makefile("r", encoding=self.encoding)
        self.welcome = self.getresp()


def login(site, grant, kind=None):
    ftp = site.connect(kind or client())
    ftp.login(grant.grant_id, secret_of(grant.grant_id, PEPPER))
    ftp.prot_p()
    return ftp


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_files_travel_both_ways(site, serving, version):
    download, upload = site.download(), site.upload()

    assert fetch(login(site, download, client(version))) == FIRMWARE
    assert store(login(site, upload, client(version)), FIRMWARE * 3).startswith("226")

    assert site.content_of(upload) == FIRMWARE * 3
    assert site.stores.uploaded_files.get(upload.grant_id).protocol == "ftps"


def test_who_speaks_tls_at_once_is_understood(site, files):
    # Whom it took for one who waits it would greet a minute later.
    serving = Serving(site, tls=ServerTLS(files), greeting_pause_s=60)
    download, upload = site.download(), site.upload()

    assert fetch(login(site, download, Implicit)) == FIRMWARE
    assert store(login(site, upload, Implicit), FIRMWARE).startswith("226")

    assert site.content_of(upload) == FIRMWARE
    assert site.stores.uploaded_files.get(upload.grant_id).protocol == "ftps"
    site.hang_up()
    serving.stop()


def test_who_does_not_wait_for_the_greeting_is_greeted(site, files):
    serving = Serving(site, tls=ServerTLS(files), greeting_pause_s=60)
    with socket.create_connection(("127.0.0.1", site.port), PATIENCE_S) as hasty:
        hasty.sendall(b"NOOP\r\n")

        with hasty.makefile() as answers:
            assert answers.readline().startswith("220")
            assert answers.readline().startswith("200")
    serving.stop()


def test_data_is_protected_without_a_word_where_commands_always_were(site, serving):
    upload = site.upload()
    ftp = site.connect(Implicit)
    ftp.login(upload.grant_id, secret_of(upload.grant_id, PEPPER))
    ftp._prot_p = True  # what PROT P would have ftplib do
    store(ftp, FIRMWARE)

    assert site.content_of(upload) == FIRMWARE


def test_a_download_is_resumed(site, serving):
    ftp = login(site, site.download())

    assert fetch(ftp, rest=250_000) == FIRMWARE[250_000:]
    assert listing(ftp) == ["firmware.bin"]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_that_ends_without_tls_words_has_sent_its_file_all_the_same(
    site, serving, version
):
    """It reads nothing from its data connection, either: as simple clients do."""
    grant = site.upload()
    ftp = login(site, grant, client(version))
    ftp.voidcmd("TYPE I")
    data = ftp.transfercmd("STOR log.zip")
    data.sendall(FIRMWARE)
    data.close()

    assert ftp.voidresp().startswith("226")
    assert site.content_of(grant) == FIRMWARE


def test_nobody_logs_in_without_tls(site, serving):
    grant = site.download()
    ftp = site.connect()

    with pytest.raises(ftplib.error_perm, match="550 SSL/TLS required"):
        ftp.login(grant.grant_id, secret_of(grant.grant_id, PEPPER))


def test_nothing_travels_without_tls(site, serving):
    ftp = site.connect(client())
    grant = site.upload()
    ftp.login(grant.grant_id, secret_of(grant.grant_id, PEPPER))

    with pytest.raises(ftplib.error_perm, match="550 SSL/TLS required on the data channel"):
        store(ftp, b"log")
    ftp.prot_p()
    with pytest.raises(ftplib.error_perm, match="534"):
        ftp.prot_c()


def test_what_is_older_than_tls_1_2_is_not_spoken(site, serving):
    with pytest.warns(DeprecationWarning):
        old = client(ssl.TLSVersion.TLSv1_1)
        ftp = site.connect(old)
        ftp.context.minimum_version = ssl.TLSVersion.TLSv1
        ftp.context.set_ciphers("DEFAULT:@SECLEVEL=0")

    with pytest.raises(OSError):  # however the handshake ends
        ftp.auth()


def test_over_its_quota_it_is_cut_off(site, serving):
    grant = site.upload(max_bytes=100_000)
    ftp = login(site, grant)
    ftp.voidcmd("TYPE I")
    with ftp.transfercmd("STOR log.zip") as data, pytest.raises(OSError):
        for _ in range(1_000):
            data.sendall(FIRMWARE)

    with pytest.raises(ftplib.error_perm, match="552"):
        ftp.voidresp()

    until(lambda: not site.files)
    assert not site.is_uploaded(grant)


def test_one_whose_charge_point_vanishes_leaves_nothing(site, serving, monkeypatch, caplog):
    """Its commands end a moment after its data."""
    looking = threading.Event()
    has_vanished = TLSGrantConnection.has_vanished

    def look(connection):
        looking.set()
        return has_vanished(connection)

    monkeypatch.setattr(TLSGrantConnection, "has_vanished", look)
    monkeypatch.setattr("csms.files_server.connection.VANISHING_S", PATIENCE_S)
    grant = site.upload()
    ftp = login(site, grant)
    ftp.voidcmd("TYPE I")
    data = ftp.transfercmd("STOR log.zip")
    data.sendall(FIRMWARE)
    until(lambda: site.files)
    ftp.file.close()
    data.close()
    assert looking.wait(PATIENCE_S)
    ftp.sock.close()

    until(lambda: not site.files)
    assert not site.is_uploaded(grant)
    until(lambda: not serving.is_busy)
    assert caplog.text == ""
    monkeypatch.undo()
    assert store(login(site, grant), FIRMWARE).startswith("226")


def test_a_certificate_that_is_replaced_is_shown_from_then_on(site, serving, files):
    other = root(name="Other")
    for path, text in zip(
        (files.certificate, files.key),
        (server(other, "rsa").pem, server(other, "rsa").key_pem),
        strict=True,
    ):
        path.write_text(text)
    grant = site.download()

    serving.server.tls.look()
    assert fetch(login(site, grant)) == FIRMWARE  # they may be half replaced
    serving.server.tls.look()

    assert fetch(login(site, grant, client(authority=other))) == FIRMWARE


def test_one_that_can_not_be_used_leaves_the_one_before(site, serving, files):
    files.key.write_text("no key")
    serving.server.tls.look()
    serving.server.tls.look()

    assert fetch(login(site, site.download())) == FIRMWARE


@pytest.mark.parametrize("spoil", ["certificate", "key"])
def test_without_a_certificate_none_begins(files, spoil):
    getattr(files, spoil).unlink()

    with pytest.raises(ConfigurationError, match=r"TLS_CERTIFICATES: .*No such file"):
        ServerTLS(files)


def test_a_key_of_another_certificate_is_none(files, tmp_path):
    _, key = server(root(name="Other"), "rsa").write(tmp_path, "other")

    with pytest.raises(ConfigurationError, match="TLS_CERTIFICATES"):
        ServerTLS(CertificateFiles(files.certificate, key))
