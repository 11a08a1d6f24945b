"""Every storage keeps files the same way: one table of behaviour, a directory and a bucket."""

import io
import logging
import os
import random
import threading

import boto3
import pytest
from moto.server import ThreadedMotoServer

from csms.errors import NotFound, StorageUnavailable
from csms.storage.directory import DirectoryStorage
from csms.storage.s3 import S3Storage

KEY = "0123456789abcdef0123456789abcdef"
OTHER_KEY = "f" * 32
BUCKET = "files"
MIB = 1_048_576
LONG_AGO_MS = 0
LATER_MS = 10**14


@pytest.fixture(scope="session")
def s3_endpoint():
    """moto's server, on this machine only."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3_endpoint, monkeypatch):
    """An empty bucket, by boto3's own resource."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "nobody")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    made = boto3.resource("s3", endpoint_url=s3_endpoint).Bucket(BUCKET)
    made.create()
    yield made
    made.objects.all().delete()
    for upload in made.multipart_uploads.all():
        upload.abort()
    made.delete()
    made.meta.client.close()


@pytest.fixture(
    params=["directory", pytest.param("s3", marks=pytest.mark.e2e)],
)
def storage(request, tmp_path):
    if request.param == "directory":
        return DirectoryStorage(tmp_path / "files")
    bucket = request.getfixturevalue("bucket")
    return S3Storage(bucket.name, bucket.meta.client.meta.endpoint_url, "csms/")


def some_bytes(count: int) -> bytes:
    return random.Random(count).randbytes(count)


def put(storage, key, content, chunk_bytes=65_536):
    pending = storage.create(key)
    for begin in range(0, len(content), chunk_bytes):
        pending.write(content[begin : begin + chunk_bytes])
    pending.commit()


def read(storage, key):
    with storage.open(key) as file:
        return file.read()


# Nothing, a little, and a part of an upload to S3 less one, exactly, and one more.
@pytest.mark.parametrize("size", [0, 1, 100_000, 8 * MIB - 1, 8 * MIB, 8 * MIB + 1], ids=str)
def test_what_was_written_is_read(storage, size):
    content = some_bytes(size)

    put(storage, KEY, content, chunk_bytes=300_000)

    assert read(storage, KEY) == content


def test_a_chunk_may_be_longer_than_a_part(storage):
    content = some_bytes(17 * MIB)

    put(storage, KEY, content, chunk_bytes=len(content))

    assert read(storage, KEY) == content


def test_nothing_is_there_before_the_commit(storage):
    pending = storage.create(KEY)
    pending.write(some_bytes(9 * MIB))

    with pytest.raises(NotFound):
        storage.open(KEY)
    pending.discard()


def test_what_was_discarded_never_was(storage):
    pending = storage.create(KEY)
    pending.write(some_bytes(9 * MIB))

    pending.discard()
    pending.discard()

    with pytest.raises(NotFound):
        storage.open(KEY)
    assert storage.forget_unfinished(LATER_MS) == 0


def test_a_discard_after_the_commit_does_nothing(storage):
    pending = storage.create(KEY)
    pending.write(b"firmware")
    pending.commit()

    pending.discard()

    assert read(storage, KEY) == b"firmware"


def test_a_file_is_read_from_anywhere(storage):
    content = some_bytes(3 * MIB)
    put(storage, KEY, content)

    with storage.open(KEY) as file:
        assert file.readable()
        assert file.seekable()
        file.seek(2 * MIB)
        assert file.read(10) == content[2 * MIB : 2 * MIB + 10]
        file.seek(5)
        assert file.read(2 * MIB) == content[5 : 5 + 2 * MIB]
        assert file.tell() == 5 + 2 * MIB
        file.seek(-3, io.SEEK_CUR)
        assert file.read(3) == content[2 + 2 * MIB : 5 + 2 * MIB]
        assert file.seek(0, io.SEEK_END) == len(content)
        assert file.read(1) == b""
        file.seek(-1, io.SEEK_END)
        assert file.read() == content[-1:]


def test_there_is_nothing_before_the_begin_of_a_file(storage):
    put(storage, KEY, b"firmware")

    with storage.open(KEY) as file, pytest.raises((ValueError, OSError)):
        file.seek(-1, io.SEEK_SET)


def test_a_file_is_deleted_once_or_twice(storage):
    put(storage, KEY, b"firmware")
    put(storage, OTHER_KEY, b"diagnostics")

    storage.delete(KEY)
    storage.delete(KEY)

    with pytest.raises(NotFound):
        storage.open(KEY)
    assert read(storage, OTHER_KEY) == b"diagnostics"


def test_what_was_never_there_is_not_found(storage):
    with pytest.raises(NotFound):
        storage.open(KEY)
    assert storage.forget_unfinished(LATER_MS) == 0


def test_what_a_crash_left_half_written_is_forgotten(storage):
    storage.create(KEY).write(some_bytes(9 * MIB))
    put(storage, OTHER_KEY, b"diagnostics")

    assert storage.forget_unfinished(LONG_AGO_MS) == 0
    assert storage.forget_unfinished(LATER_MS) == 1
    assert storage.forget_unfinished(LATER_MS) == 0
    assert read(storage, OTHER_KEY) == b"diagnostics"


def test_what_was_forgotten_is_not_committed(storage):
    pending = storage.create(KEY)
    pending.write(some_bytes(9 * MIB))
    storage.forget_unfinished(LATER_MS)

    with pytest.raises(StorageUnavailable):
        pending.commit()
    pending.discard()

    with pytest.raises(NotFound):
        storage.open(KEY)


@pytest.mark.parametrize(
    "wrong", ["", "..", "../../etc/passwd", KEY.upper(), KEY + "0", KEY[:-1] + "/", KEY + "\n"]
)
def test_only_keys_of_ours_name_a_file(storage, wrong):
    for use in (storage.create, storage.open, storage.delete):
        with pytest.raises(ValueError, match="no key"):
            use(wrong)


def test_many_write_and_read_at_once(storage):
    keys = [f"{number:032x}" for number in range(8)]
    failures = []

    def write_and_read(key):
        content = some_bytes(200_000 + int(key, 16))
        put(storage, key, content)
        if read(storage, key) != content:
            failures.append(key)

    threads = [threading.Thread(target=write_and_read, args=(key,)) for key in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []


def test_a_directory_is_for_nobody_else(tmp_path):
    storage = DirectoryStorage(tmp_path / "var" / "files")

    put(storage, KEY, b"firmware")

    assert [path.name for path in (tmp_path / "var" / "files").iterdir()] == [KEY]
    assert (tmp_path / "var" / "files").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "var" / "files" / KEY).stat().st_mode & 0o777 == 0o600


def test_a_directory_of_others_keeps_what_is_not_ours(tmp_path):
    (tmp_path / "notes.part").write_text("of somebody")

    assert DirectoryStorage(tmp_path).forget_unfinished(LATER_MS) == 0
    assert (tmp_path / "notes.part").exists()


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path, monkeypatch):
    pending = DirectoryStorage(tmp_path).create(KEY)
    full = OSError(28, "No space left on device", str(tmp_path))
    monkeypatch.setattr(os, "write", lambda *_: (_ for _ in ()).throw(full))

    with pytest.raises(StorageUnavailable, match=r"now: No space left on device\.$") as told:
        pending.write(b"firmware")
    pending.discard()

    assert str(tmp_path) not in str(told.value)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_is_no_directory_is_told(tmp_path):
    (tmp_path / "files").write_text("a file")

    with pytest.raises(StorageUnavailable):
        DirectoryStorage(tmp_path / "files").create(KEY)


@pytest.mark.e2e
def test_a_bucket_keeps_what_others_have_in_it(bucket):
    endpoint = bucket.meta.client.meta.endpoint_url
    bucket.Object("notes").initiate_multipart_upload()
    bucket.Object(f"elsewhere/{KEY}").initiate_multipart_upload()
    storage = S3Storage(bucket.name, endpoint, "csms/")

    put(storage, KEY, b"firmware")

    assert [item.key for item in bucket.objects.all()] == [f"csms/{KEY}"]
    assert storage.forget_unfinished(LATER_MS) == 0
    assert len(list(bucket.multipart_uploads.all())) == 2


@pytest.mark.e2e
def test_a_bucket_that_is_not_there_is_told(bucket):
    storage = S3Storage("nobodys", bucket.meta.client.meta.endpoint_url)

    with pytest.raises(StorageUnavailable, match="NoSuchBucket"):
        put(storage, KEY, b"firmware")
    with pytest.raises(StorageUnavailable, match="NoSuchBucket"):
        storage.forget_unfinished(LATER_MS)


@pytest.mark.e2e
def test_a_file_that_went_away_ends_who_reads_it(bucket):
    storage = S3Storage(bucket.name, bucket.meta.client.meta.endpoint_url)
    put(storage, KEY, some_bytes(3 * MIB))

    with storage.open(KEY) as file:
        file.read(10)
        storage.delete(KEY)

        with pytest.raises(StorageUnavailable, match="NoSuchKey"):
            file.read()


@pytest.mark.e2e
def test_no_credentials_of_a_bucket_are_in_the_log(bucket, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token-of-a-session")
    caplog.clear()
    storage = S3Storage(bucket.name, bucket.meta.client.meta.endpoint_url)

    put(storage, KEY, b"firmware")

    assert "token-of-a-session" not in caplog.text
    assert "AWS4-HMAC" not in caplog.text
