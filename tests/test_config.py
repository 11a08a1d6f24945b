"""Settings: read once, and a wrong value stops the start and names its variable."""

import pytest
from cast import ENVIRONMENT

from csms.config import VARIABLES, Settings, host_name
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
    "MAX_MESSAGE_BYTES": (65_536, 16_777_216),
    "MESSAGE_LOG_LENGTH": (1, 100_000),
    "TRANSACTION_RETENTION_DAYS": (0, 36_500),
    "TRUSTED_PROXIES": (0, 10),
    "CERTIFICATE_DAYS": (1, 3_650),
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
    "LOG_LEVEL": ["DEBUG", "INFO", "WARNING", "ERROR"],
    "LOG_FORMAT": ["auto", "json", "pretty"],
    "SESSION_COOKIE_SECURE": ["true", "false", "1", "0"],
}
TEXTS = {
    "REDIS_URL",
    "RQ_REDIS_URL",
    "METRICS_TOKEN",
    "HOST",
    "OCPP_PATH",
    "PUBLIC_URL",
    "CPO_NAME",
    "CERTIFICATE_AUTHORITY_CERTIFICATE",
    "CERTIFICATE_AUTHORITY_KEY",
    "CERTIFICATE_AUTHORITY_ROOTS",
}
SECRETS = {"SECRET_KEY": 32, "CREDENTIAL_PEPPER": 32, "CSMS_API_KEY": 20}


def settings(**environment):
    return Settings.from_env({**ENVIRONMENT, **environment})


def value_of(variable, text):
    field = "bootstrap_api_key" if variable == "CSMS_API_KEY" else variable.lower()
    return getattr(settings(**{variable: text}), field)


def test_every_variable_is_tested_here():
    assert {*INTEGERS, *FLOATS, *CHOICES, *TEXTS, *SECRETS} == VARIABLES


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
