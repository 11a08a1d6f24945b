"""What charge points and people call their files, made fit to be kept, shown and saved."""

import pytest

from csms.domain.hosted_file import FILE_NAME_MAX, as_file_name, download_name


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("diagnostics.zip", "diagnostics.zip"),
        ("../../etc/passwd", "../../etc/passwd"),
        ("a\0b\r\nX-Evil: 1\x1b[31m", "abX-Evil: 1[31m"),
        ("gpj.\u202egnp", "gpj.gnp"),
        ("lone \ud800 surrogate", "lone  surrogate"),
        ("  spaced  ", "spaced"),
        ("ä" * 300, "ä" * FILE_NAME_MAX),
        ("", ""),
    ],
)
def test_a_name_is_kept_as_text(sent, kept):
    assert as_file_name(sent) == kept


@pytest.mark.parametrize(
    ("kept", "saved"),
    [
        ("diagnostics 1.zip", "diagnostics 1.zip"),
        ("Prüfung_充电.log", "Prüfung_充电.log"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("C:\\windows\\x.exe", "C__windows_x.exe"),
        (".bashrc", "bashrc"),
        ("-rf", "rf"),
        ('a"b;c*.txt', "a_b_c_.txt"),
        ("...", "upload.bin"),
        ("", "upload.bin"),
    ],
)
def test_a_name_to_save_under_holds_no_directory_and_hides_nothing(kept, saved):
    assert download_name(kept, "upload.bin") == saved
