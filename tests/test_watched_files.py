"""When files that may be replaced at any time are read anew."""

import pytest

from csms.watched_files import WatchedFiles


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / "certificate.pem", tmp_path / "key.pem"]
    for path in paths:
        path.write_text("old")
    return paths


def test_files_left_alone_are_not_read_again(files):
    watched = WatchedFiles(files)

    assert [watched.look(), watched.look()] == [False, False]


def test_files_are_read_once_when_no_more_of_them_changes(files):
    certificate, key = files
    watched = WatchedFiles(files)

    certificate.write_text("renewed")
    assert not watched.look()
    key.write_text("renewed")
    assert not watched.look()

    assert [watched.look(), watched.look()] == [True, False]


def test_a_file_that_is_gone_has_changed_and_has_again_when_it_is_back(files, tmp_path):
    certificate, _ = files
    watched = WatchedFiles(files)

    certificate.rename(tmp_path / "aside")
    assert [watched.look(), watched.look()] == [False, True]
    (tmp_path / "aside").rename(certificate)

    assert [watched.look(), watched.look()] == [False, True]


def test_a_change_that_is_taken_back_is_none(files, tmp_path):
    certificate, _ = files
    watched = WatchedFiles(files)

    certificate.rename(tmp_path / "aside")
    assert not watched.look()
    (tmp_path / "aside").rename(certificate)

    assert [watched.look(), watched.look()] == [False, False]
