"""Settings: read once, and a wrong value stops the start and names its variable."""

from pathlib import Path

import pytest
from cast import ENVIRONMENT

from csms.config import (
    VARIABLES,
    CertificateFiles,
    ClientCertificates,
    Settings,
    TLSPort,
    host_name,
)
from csms.errors import ConfigurationError

INTEGERS = {
    "PORT": (1, 65_535),
    "WEB_CONCURRENCY": (1, 64),
    "HEARTBEAT_INTERVAL_S": (1, 86_400),
    "BOOT_RETRY_INTERVAL_S": (0, 86_400),
    "CALL_TIMEOUT_S": (1, 600),
    "COMMAND_DEADLINE_S": (1, 86_400),
    "MAX_CONNECTIONS": (1, 1_000_000),
    "MAX_CONNECTIONS_PER_ADDRESS": (0, 1_000_000),
    "FAILED_ATTEMPTS_PER_MINUTE": (0, 10_000),
    "MAX_MESSAGE_BYTES": (65_536, 16_777_216),
    "MESSAGE_LOG_LENGTH": (1, 100_000),
    "TRANSACTION_RETENTION_DAYS": (0, 36_500),
    "TRUSTED_PROXIES": (0, 10),
    "CERTIFICATE_DAYS": (1, 3_650),
    "FTP_PORT": (1, 65_535),
    "FIRMWARE_MAX_BYTES": (1, 2**40),
    "FIRMWARE_TOTAL_BYTES": (1, 2**50),
    "UPLOAD_MAX_BYTES": (1, 2**40),
    "UPLOADS_TOTAL_BYTES": (1, 2**50),
    "UPLOAD_RETENTION_DAYS": (1, 36_500),
    "FILE_LINK_HOURS": (1, 8_760),
}
FLOATS = {
    "PING_INTERVAL_S": (0.1, 3_600),
    "SEND_DEADLINE_S": (0.1, 600),
    "HEADER_TIMEOUT_S": (0.1, 600),
    "NOMINAL_VOLTAGE_V": (50, 1_000),
    "CERTIFICATE_AUTHORITY_TIMEOUT_S": (0.1, 40),
}
CHOICES = {
    "UNKNOWN_CHARGE_POINTS": ["reject", "pending", "accept"],
    "CLIENT_CERTIFICATE_CN": ["serial", "id", "either"],
    "CERTIFICATE_AUTHORITY": ["built-in", "manual", "https://ca.example/sign"],
    "CERTIFICATE_SIGNATURE": ["rsa-pkcs1v15", "rsa-pss", "ecdsa"],
    "CERTIFICATE_SUBJECT": ["strict", "fill", "ignore"],
    "FILES_PROTOCOL": ["https", "http", "ftps", "ftp"],
    "LOG_LEVEL": ["DEBUG", "INFO", "WARNING", "ERROR"],
    "LOG_FORMAT": ["auto", "json", "pretty"],
    "SESSION_COOKIE_SECURE": ["true", "false", "1", "0"],
}
TEXTS = {
    "FILES_S3_BUCKET",
    "FILES_S3_ENDPOINT",
    "FILES_S3_PREFIX",
    "FTP_PUBLIC_ADDRESS",
    "REDIS_URL",
    "RQ_REDIS_URL",
    "METRICS_TOKEN",
    "HOST",
    "OCPP_PATH",
    "PUBLIC_TLS_URL",
    "PUBLIC_URL",
    "CPO_NAME",
    "CERTIFICATE_AUTHORITY_CERTIFICATE",
    "CERTIFICATE_AUTHORITY_KEY",
    "CERTIFICATE_AUTHORITY_ROOTS",
}
# Tested one by one below, since their values depend on each other.
LISTS = {
    "CLIENT_CERTIFICATE_HEADER",
    "FILES_DIRECTORY",
    "FILES_FTP_URL",
    "FILES_URL",
    "FILE_HOSTS",
    "FTP_PASSIVE_PORTS",
    "TLS_CERTIFICATES",
    "TLS_CLIENT_CA",
    "TLS_PORTS",
    "TRUSTED_PROXY_NETWORKS",
}
SECRETS = {"SECRET_KEY": 32, "CREDENTIAL_PEPPER": 32, "CSMS_API_KEY": 20}


def settings(**environment):
    return Settings.from_env({**ENVIRONMENT, **environment})


def value_of(variable, text):
    field = "bootstrap_api_key" if variable == "CSMS_API_KEY" else variable.lower()
    return getattr(settings(**{variable: text}), field)


def test_every_variable_is_tested_here():
    assert {*INTEGERS, *FLOATS, *CHOICES, *TEXTS, *SECRETS, *LISTS} == VARIABLES


@pytest.mark.parametrize(("variable", "bounds"), {**INTEGERS, **FLOATS}.items())
def test_a_number_is_taken_within_its_bounds(variable, bounds):
    for bound in bounds:
        assert value_of(variable, str(bound)) == bound


@pytest.mark.parametrize(("variable", "bounds"), {**INTEGERS, **FLOATS}.items())
@pytest.mark.parametrize("wrong", ["below", "above", "many", "1,5", "nan", "inf", "0x10"])
def test_a_wrong_number_is_told_with_its_variable(variable, bounds, wrong):
    text = {"below": str(bounds[0] - 1), "above": str(bounds[1] + 1)}.get(wrong, wrong)

    with pytest.raises(ConfigurationError) as problem:
        settings(**{variable: text})

    assert problem.value.variable == variable
    assert str(problem.value).startswith(f"{variable}: ")


@pytest.mark.parametrize("variable", INTEGERS)
def test_a_fraction_is_no_whole_number(variable):
    with pytest.raises(ConfigurationError, match=variable):
        settings(**{variable: "70000.5"})


@pytest.mark.parametrize(
    ("variable", "choice"), [(v, c) for v, choices in CHOICES.items() for c in choices]
)
def test_a_choice_is_taken(variable, choice):
    expected = choice in {"true", "1"} if variable == "SESSION_COOKIE_SECURE" else choice

    assert value_of(variable, choice) == expected


@pytest.mark.parametrize("variable", CHOICES)
def test_a_wrong_choice_is_told_with_its_variable(variable):
    with pytest.raises(ConfigurationError) as problem:
        settings(**{variable: "perhaps"})

    assert problem.value.variable == variable


@pytest.mark.parametrize("variable", TEXTS)
def test_a_text_is_taken(variable):
    assert value_of(variable, "some text") == "some text"


@pytest.mark.parametrize(("variable", "length"), SECRETS.items())
def test_a_secret_must_be_long(variable, length):
    assert value_of(variable, "s" * length) == "s" * length
    with pytest.raises(ConfigurationError) as problem:
        settings(**{variable: "s" * (length - 1)})

    assert problem.value.variable == variable


@pytest.mark.parametrize("variable", ["REDIS_URL", "SECRET_KEY", "CREDENTIAL_PEPPER"])
@pytest.mark.parametrize("missing", ["", None])
def test_what_has_no_default_must_be_there(variable, missing):
    environment = {name: value for name, value in ENVIRONMENT.items() if name != variable}
    if missing is not None:
        environment[variable] = missing

    with pytest.raises(ConfigurationError) as problem:
        Settings.from_env(environment)

    assert problem.value.variable == variable


TLS = {"TLS_PORTS": "8443", "TLS_CERTIFICATES": "a.pem:a.key", "TLS_CLIENT_CA": "ca.pem"}


def test_tls_ports_say_whether_a_client_certificate_is_asked_for():
    ports = settings(**{**TLS, "TLS_PORTS": "8443, 8444:required 8445:none,8446:optional"})

    assert ports.tls_ports == (
        TLSPort(8443, ClientCertificates.OPTIONAL),
        TLSPort(8444, ClientCertificates.REQUIRED),
        TLSPort(8445, ClientCertificates.NONE),
        TLSPort(8446, ClientCertificates.OPTIONAL),
    )


def test_certificates_are_pairs_of_files_or_files_with_both():
    files = settings(TLS_CERTIFICATES="a.pem:a.key,/etc/both.pem").tls_certificates

    assert files == (
        CertificateFiles(Path("a.pem"), Path("a.key")),
        CertificateFiles(Path("/etc/both.pem"), Path("/etc/both.pem")),
    )
    assert settings(**TLS).tls_client_ca == Path("ca.pem")


def test_networks_of_proxies_are_read():
    networks = settings(TRUSTED_PROXY_NETWORKS="10.0.0.0/8, fd00::/8 192.0.2.1")

    assert [str(n) for n in networks.trusted_proxy_networks] == [
        "10.0.0.0/8",
        "fd00::/8",
        "192.0.2.1/32",
    ]


def test_an_authority_of_our_own_is_a_root_for_clients():
    own = {"CERTIFICATE_AUTHORITY": "built-in"}

    ports = settings(**{**TLS, **own, "TLS_PORTS": "8443:required", "TLS_CLIENT_CA": ""}).tls_ports
    assert ports[0].client_certificates is ClientCertificates.REQUIRED


PROXY = {"TRUSTED_PROXIES": "1", "TRUSTED_PROXY_NETWORKS": "10.0.0.0/8"}


def test_a_header_of_certificates_needs_proxies_that_can_be_told_from_others():
    header = {"CLIENT_CERTIFICATE_HEADER": "X-SSL-Client-Cert"}

    assert settings(**header, **PROXY).client_certificate_header == "X-SSL-Client-Cert"


@pytest.mark.parametrize(
    ("environment", "variable"),
    [
        ({**TLS, "TLS_PORTS": "many"}, "TLS_PORTS"),
        ({**TLS, "TLS_PORTS": "0"}, "TLS_PORTS"),
        ({**TLS, "TLS_PORTS": "65536"}, "TLS_PORTS"),
        ({**TLS, "TLS_PORTS": "8443:perhaps"}, "TLS_PORTS"),
        ({**TLS, "TLS_PORTS": "8443 8443:none"}, "TLS_PORTS"),
        ({**TLS, "TLS_PORTS": "8000"}, "TLS_PORTS"),
        ({**TLS, "TLS_CERTIFICATES": ""}, "TLS_CERTIFICATES"),
        ({**TLS, "TLS_CERTIFICATES": ":key.pem"}, "TLS_CERTIFICATES"),
        ({**TLS, "TLS_CERTIFICATES": "a.pem:"}, "TLS_CERTIFICATES"),
        ({"FILES_FTP_URL": "ftps://files.example"}, "TLS_CERTIFICATES"),
        ({"FILES_FTP_URL": "ftp://files.example", "FTP_PORT": "8000"}, "FTP_PORT"),
        ({**TLS, "TLS_PORTS": "8443:required", "TLS_CLIENT_CA": ""}, "TLS_CLIENT_CA"),
        ({"TRUSTED_PROXY_NETWORKS": "10.0.0.1/8"}, "TRUSTED_PROXY_NETWORKS"),
        ({"TRUSTED_PROXY_NETWORKS": "proxy.example"}, "TRUSTED_PROXY_NETWORKS"),
        ({"CLIENT_CERTIFICATE_HEADER": "X"}, "CLIENT_CERTIFICATE_HEADER"),
        ({"CLIENT_CERTIFICATE_HEADER": "X", "TRUSTED_PROXIES": "1"}, "CLIENT_CERTIFICATE_HEADER"),
        (
            {"CLIENT_CERTIFICATE_HEADER": "X", "TRUSTED_PROXY_NETWORKS": "10.0.0.0/8"},
            "CLIENT_CERTIFICATE_HEADER",
        ),
    ],
)
def test_what_does_not_fit_together_is_told(environment, variable):
    with pytest.raises(ConfigurationError) as problem:
        settings(**environment)

    assert problem.value.variable == variable


def test_an_empty_variable_is_an_unset_one():
    assert settings(**dict.fromkeys(VARIABLES - set(ENVIRONMENT), "")) == settings()


def test_what_is_none_of_ours_is_left_alone():
    assert settings(PATH="/bin", HOME="/root", CSMS_SOMETHING="x") == settings()


def test_jobs_go_to_the_same_store_unless_told_otherwise():
    assert settings().rq_redis_url == ENVIRONMENT["REDIS_URL"]
    assert settings(RQ_REDIS_URL="redis://other").rq_redis_url == "redis://other"


def test_settings_show_no_secret():
    others = {
        "CSMS_API_KEY": "k" * 20,
        "METRICS_TOKEN": "token-of-metrics",
        "CERTIFICATE_AUTHORITY": "https://user:password@ca.example",
        "CERTIFICATE_AUTHORITY_KEY": "key-of-the-authority",
    }
    shown = repr(settings(**others))

    for secret in (*ENVIRONMENT.values(), *others.values()):
        assert secret not in shown


def test_this_machine_has_a_name():
    assert host_name()


def test_files_are_kept_in_a_directory_by_default():
    assert settings().files_directory == Path("var/files")
    assert settings(FILES_DIRECTORY="/srv/files").files_directory == Path("/srv/files")


def test_the_address_of_files_is_kept_without_its_last_slash():
    assert settings(FILES_URL="https://files.example/a/").files_url == "https://files.example/a"
    secure = settings(FILES_FTP_URL="ftps://files.example:2121/", TLS_CERTIFICATES="both.pem")
    assert secure.files_ftp_url == "ftps://files.example:2121"


@pytest.mark.parametrize("variable", ["FILES_URL", "FILES_FTP_URL"])
@pytest.mark.parametrize(
    "wrong",
    [
        *("files.example", "gopher://files.example", "http://", "ftp://", "http://a:0"),
        *("http://a:b", "http://u:p@a", "ftp://u:p@a", "https://a?b=c", "ftp://a#b"),
        "ftp://\u00e4.example",
    ],
)
def test_what_is_no_address_for_files_is_refused(variable, wrong):
    with pytest.raises(ConfigurationError, match=f"{variable}: must be an address"):
        settings(**{variable: wrong})


def test_passive_ports_are_a_range():
    assert settings(FTP_PASSIVE_PORTS="60000-60009").ftp_passive_ports == range(60_000, 60_010)
    assert settings(FTP_PASSIVE_PORTS="60000").ftp_passive_ports == range(60_000, 60_001)


@pytest.mark.parametrize("wrong", ["many", "2-1", "0-5", "60000-70000", "-5", "1-2-3"])
def test_what_is_no_range_of_ports_is_refused(wrong):
    with pytest.raises(ConfigurationError, match="FTP_PASSIVE_PORTS: must be a range of ports"):
        settings(FTP_PASSIVE_PORTS=wrong)


def test_hosts_of_files_are_named_without_case():
    hosts = settings(FILE_HOSTS="files.example, *.Vendor.example [::1]").file_hosts

    assert hosts == ("files.example", "*.vendor.example", "[::1]")


def test_files_that_are_kept_here_need_not_be_among_the_hosts():
    own = {"FILES_URL": "https://Files.example:8443/a", "FILES_FTP_URL": "ftp://[2001:db8::1]:2121"}

    assert settings(**own).allowed_file_hosts == ()
    allowed = settings(**own, FILE_HOSTS="*.vendor.example").allowed_file_hosts
    assert allowed == ("*.vendor.example", "files.example", "2001:db8::1")


@pytest.mark.parametrize("wrong", ["http://a", "a/b", "*", "a b@c"])
def test_what_is_no_host_of_files_is_refused(wrong):
    with pytest.raises(ConfigurationError, match="FILE_HOSTS: must be names of hosts"):
        settings(FILE_HOSTS=wrong)
