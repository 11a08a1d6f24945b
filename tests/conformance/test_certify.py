"""`make certify`: a system of its own, the kit, the reports, and nothing left."""

import json
from pathlib import Path

import pytest
from cryptography import x509

from chargepoint.conformance.certify import BEGIN, END, main
from chargepoint.conformance.throwaway_authority import make_certificates


@pytest.mark.e2e
def test_certify_brings_its_own_system_and_writes_page_and_reports(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text(f"{BEGIN}\n{END}\n")

    status = main(
        [
            f"--reports={tmp_path / 'reports'}",
            f"--page={page}",
            "--cases=TC_001_CSMS,TC_088_CSMS",
            "--authorize-samples=3",
        ]
    )

    assert status == 0
    assert "| TC_088_CSMS | Subprotocol negotiation |" in page.read_text()
    found = json.loads((tmp_path / "reports" / "report.json").read_text())
    assert [row["result"] for row in found["cases"]] == ["Pass", "Pass"]


def test_the_servers_certificates_are_the_authoritys_and_name_the_host(tmp_path: Path):
    files = make_certificates(tmp_path, "localhost")

    root, rsa, ecdsa = (
        x509.load_pem_x509_certificate(files[name][0].read_bytes())
        for name in ("root", "rsa", "ecdsa")
    )
    for certificate in (rsa, ecdsa):
        certificate.verify_directly_issued_by(root)
        assert certificate.subject.rfc4514_string() == "CN=localhost"
    assert type(rsa.public_key()) is not type(ecdsa.public_key())
    for _, key in files.values():
        assert key.stat().st_mode & 0o077 == 0
