"""Keys, authorities and requests for the tests of certificates; made once, as keys take time."""

from cast import DAY_MS, ENVIRONMENT, NOON_MS
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from csms.config import Settings
from csms.domain.certificate_authority import (
    Authority,
    Purpose,
    SignatureAlgorithm,
    issue,
    make_root,
    pem_chain,
    subject,
)

RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
CHARGE_POINT_KEYS = {
    "RSA": rsa.generate_private_key(65537, 2048),
    "EC": ec.generate_private_key(ec.SECP256R1()),
}
ROOT = make_root(
    RSA_KEY,
    subject("Test root", "Nordwerk"),
    1,
    SignatureAlgorithm.RSA_PKCS1V15,
    NOON_MS - 400 * DAY_MS,
    3650,
)
EC_ROOT = make_root(
    EC_KEY, subject("Test root EC"), 1, SignatureAlgorithm.ECDSA, NOON_MS - 400 * DAY_MS, 3650
)


def pem_of(key):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def csr(key="EC", common_name=None, organisation=None):
    """A request of a charge point in PEM; key: of CHARGE_POINT_KEYS, or one of the test's own."""
    names = [
        x509.NameAttribute(oid, value)
        for oid, value in (
            (NameOID.COMMON_NAME, common_name),
            (NameOID.ORGANIZATION_NAME, organisation),
        )
        if value is not None
    ]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names))
    signed = builder.sign(CHARGE_POINT_KEYS.get(key, key), hashes.SHA256())
    return signed.public_bytes(Encoding.PEM).decode()


def leaf(key="EC", name="CP001", authority: Authority = ROOT, now_ms=NOON_MS, days=365):
    """A certificate of a charge point."""
    public_key = CHARGE_POINT_KEYS[key].public_key()
    serial_number = x509.random_serial_number()
    return issue(authority, public_key, subject(name), serial_number, Purpose.CLIENT, now_ms, days)


def intermediate(authority: Authority = ROOT):
    """An authority below another, as an operator keeps it: its root is offline."""
    key = EC_KEY
    name = subject("Test intermediate")
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(authority.certificate.subject)
        .public_key(key.public_key())
        .serial_number(2)
        .not_valid_before(authority.certificate.not_valid_before_utc)
        .not_valid_after(authority.certificate.not_valid_after_utc)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(authority.key, hashes.SHA256())
    )
    return Authority(key, (certificate, *authority.chain), SignatureAlgorithm.ECDSA)


def settings(authority: Authority | None = ROOT, **environ):
    """Of a system that signs with an authority of its own, or of one that does not."""
    own = {}
    if authority is not None:
        own = {
            "CERTIFICATE_AUTHORITY_KEY": pem_of(authority.key),
            "CERTIFICATE_AUTHORITY_CERTIFICATE": pem_chain(authority.chain),
            "CERTIFICATE_SIGNATURE": str(authority.algorithm),
        }
    return Settings.from_env({**ENVIRONMENT, **own, **environ})
