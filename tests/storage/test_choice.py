"""The settings say where files are kept."""

import socket
import subprocess
import sys

import pytest
from cast import ENVIRONMENT

from csms.config import Settings
from csms.errors import ConfigurationError, StorageUnavailable
from csms.storage.choice import storage_of
from csms.storage.directory import DirectoryStorage
from csms.storage.s3 import S3Storage

KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def no_credentials(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def nobodys_endpoint():
    """An address where nobody answers."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


def settings(**more):
    return Settings.from_env({**ENVIRONMENT, **more})


def test_files_are_kept_in_the_directory_that_is_set(tmp_path):
    storage = storage_of(settings(FILES_DIRECTORY=str(tmp_path / "kept")))

    pending = storage.create(KEY)
    pending.commit()

    assert isinstance(storage, DirectoryStorage)
    assert (tmp_path / "kept" / KEY).exists()


def test_a_bucket_goes_before_the_directory(no_credentials, nobodys_endpoint):
    storage = storage_of(settings(FILES_S3_BUCKET="files", FILES_S3_ENDPOINT=nobodys_endpoint))

    assert isinstance(storage, S3Storage)


def test_a_bucket_without_credentials_is_told(no_credentials, nobodys_endpoint):
    storage = storage_of(settings(FILES_S3_BUCKET="files", FILES_S3_ENDPOINT=nobodys_endpoint))

    with pytest.raises(StorageUnavailable, match="credentials are not set"):
        storage.open(KEY)


@pytest.mark.e2e
def test_a_bucket_that_does_not_answer_is_told(monkeypatch, nobodys_endpoint):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "verysecret")
    storage = storage_of(settings(FILES_S3_BUCKET="files", FILES_S3_ENDPOINT=nobodys_endpoint))

    with pytest.raises(StorageUnavailable, match=r"now: it does not answer\.$"):
        storage.open(KEY)


def test_what_is_no_address_of_a_bucket_stops_the_start(no_credentials):
    with pytest.raises(ConfigurationError) as told:
        storage_of(settings(FILES_S3_BUCKET="files", FILES_S3_ENDPOINT="minio:9000"))

    assert told.value.variable == "FILES_S3_ENDPOINT"


def test_who_has_no_bucket_does_not_load_boto3():
    program = (
        "import sys, csms.storage.choice; print(any(m.startswith('boto') for m in sys.modules))"
    )

    said = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)

    assert said.stdout == b"False\n"


def test_a_process_may_have_the_disk_waited_for_aside(tmp_path):
    waited = []

    def aside(work):
        work()
        waited.append(work)

    storage = storage_of(settings(FILES_DIRECTORY=str(tmp_path / "kept")), aside)
    pending = storage.create("a" * 32)
    pending.write(bytes(9 * 1_048_576))
    assert len(waited) == 1
    pending.commit()

    assert len(waited) == 3
    with storage.open("a" * 32) as file:
        assert len(file.read()) == 9 * 1_048_576
