"""Once it is known who holds a socket, and before anything is heard over it."""

import gevent
import pytest
from blocking_link import BlockingLink
from signing_cast import settings
from world import Wire, World

from csms.transport.upgrade import UpgradeRequest


@pytest.fixture(scope="module")
def link(store_url):
    link = BlockingLink(store_url)
    yield link
    link.close()


def test_who_is_not_welcome_any_more_is_not_heard_and_leaves_nothing_behind(link):
    world = World(link, settings())
    process, wire = world.process, Wire(world.process.link)
    record = world.books.charge_points.get("CP001")
    request = UpgradeRequest("/ocpp/CP001", "", {}, "127.0.0.1", secure=False)
    holder = []

    def is_still_welcome():
        holder.append(world.books.presences.owner("CP001"))
        return False

    wire.hear([2, "1", "DataTransfer", {"vendorId": "somebody"}])
    gevent.spawn(process.process.serve, record, request, wire, is_still_welcome).join()

    # A change of the settings in that moment would have found it.
    assert holder == [process.process_id]
    assert (wire.close_code, wire.close_reason) == (1008, "its settings have changed")
    assert list(wire.spoken) == []
    assert world.books.presences.owner("CP001") == ""
