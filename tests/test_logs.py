"""Logs: one JSON object a line, whatever charge points write into what is logged.

In a process of its own each: how a process logs is set once.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

HOSTILE = 'a\r\nb\n{"event":"forged"}\x1b[31m\x00\x08 \u2028\u2029\u0085 "quoted" \\ \ud800'

LOG = """
import logging
from csms import logs

logs.configure({level!r}, {form!r})
hostile = {hostile!r}
log = logs.get_logger("csms.test")
logs.bind_contextvars(charge_point_id="CP001")
log.debug("a frame", frame=hostile)
log.info("an event", info=hostile, nested={{"a": [hostile]}}, number=5, nothing=None, raw=b"\\xff")
log.warning("another", **{{"field of " + hostile: 1}})
logging.getLogger("library").warning("told by a library: %s", hostile)
try:
    raise ValueError(hostile)
except ValueError:
    log.exception("a bug")
logs.clear_contextvars()
log.error("unbound")
"""


def logged(form, level="DEBUG"):
    """The bytes a process with this set-up writes to its standard error."""
    program = LOG.format(level=level, form=form, hostile=HOSTILE)
    finished = subprocess.run(
        [sys.executable, "-X", "utf8", "-c", program],
        cwd=ROOT,
        capture_output=True,
        check=True,
        timeout=120,
    )
    assert finished.stdout == b""
    return finished.stderr


def objects(output):
    lines = output.split(b"\n")
    assert lines.pop() == b""
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("form", ["json", "auto"])
def test_every_line_is_one_json_object_whatever_is_logged(form):
    """Standard error is no terminal here, so that auto means json."""
    written = objects(logged(form))

    assert [line["event"] for line in written if line["logger"] == "csms.test"] == [
        "a frame",
        "an event",
        "another",
        "a bug",
        "unbound",
    ]
    assert len(written) == 6


def test_no_control_character_reaches_the_log():
    output = logged("json")

    assert not {byte for byte in output if byte < 0x20} - {0x0A}
    assert b"\x1b" not in output


def test_a_line_says_when_how_bad_and_about_whom():
    written = objects(logged("json"))

    assert {line["level"] for line in written} == {"debug", "info", "warning", "error"}
    assert {line["charge_point_id"] for line in written if line["event"] != "unbound"} == {"CP001"}
    assert "charge_point_id" not in written[-1]
    assert all(line["ts"].endswith("Z") for line in written)


def test_values_come_through_as_they_were():
    event = objects(logged("json"))[1]

    assert event["info"] == HOSTILE
    assert event["nested"] == {"a": [HOSTILE]}
    assert (event["number"], event["nothing"]) == (5, None)


def test_a_traceback_is_in_its_line():
    bug = next(line for line in objects(logged("json")) if line["event"] == "a bug")

    assert "Traceback" in bug["exception"]
    assert "ValueError" in bug["exception"]


def test_what_is_below_the_level_is_not_logged():
    written = objects(logged("json", level="ERROR"))

    assert [line["event"] for line in written] == ["a bug", "unbound"]


def test_the_pretty_form_shows_no_raw_control_characters_of_values():
    output = logged("pretty", level="INFO").decode("utf-8", "replace")

    line = next(line for line in output.splitlines() if "an event" in line)
    assert "\\x1b[31m" in line or "\\u001b[31m" in line
    assert "forged" in line
