"""Authorize.req (OCPP 1.6 ed. 2, 4.1)."""

from dataclasses import replace

import pytest
from cast import ALICE, NOON_MS


@pytest.mark.parametrize(
    ("id_tag", "status"),
    [
        ("ALICE", "Accepted"),
        ("alice", "Accepted"),
        ("BOB", "Blocked"),
        ("CAROL", "Expired"),
        ("MALLORY", "Invalid"),
        ("", "Invalid"),
        ("x" * 400, "Invalid"),
        ("'; FLUSHALL", "Invalid"),
    ],
)
def test_a_tag_is_looked_up_without_case(line, id_tag, status):
    assert line.call("Authorize", {"idTag": id_tag})["idTagInfo"]["status"] == status


def test_the_parent_and_the_expiry_are_told(line):
    """Needed for group stops and reserved connectors (ed. 2, 4.1)."""
    line.stores.id_tags.update("ALICE", parent_id_tag="FAMILY", expires_at_ms=NOON_MS + 1)

    assert line.call("Authorize", {"idTag": "ALICE"}) == {
        "idTagInfo": {
            "status": "Accepted",
            "parentIdTag": "FAMILY",
            "expiryDate": "2026-11-22T12:00:00.001Z",
        }
    }


def test_a_tag_in_use_is_still_accepted(line):
    """ConcurrentTx belongs to StartTransaction: a member of the group may come to stop."""
    line.stores.id_tags.create(replace(ALICE, id_tag="ONE", max_active_transactions=1))
    line.start(idTag="ONE")

    assert line.call("Authorize", {"idTag": "ONE"})["idTagInfo"]["status"] == "Accepted"


def test_a_tag_written_as_a_number_is_read_as_text(line):
    line.stores.id_tags.create(replace(ALICE, id_tag="12345"))

    assert line.call("Authorize", {"idTag": 12345})["idTagInfo"]["status"] == "Accepted"
