"""What many tests share: a real store, and both kinds of link to it."""

import pytest
from hypothesis import settings

from csms.state.embedded import EmbeddedStore
from csms.state.link import MultiplexedLink
from csms.state.link_sync import SyncLink
from csms.state.stores import Stores

# What a property needs is not time: a slow machine is no counterexample.
settings.register_profile("csms", deadline=None)
settings.load_profile("csms")


@pytest.fixture(scope="session")
def store_url(tmp_path_factory):
    """The URL of an embedded store that lives as long as the run."""
    with EmbeddedStore(tmp_path_factory.mktemp("store")) as store:
        yield store.url


@pytest.fixture
def link(store_url):
    """The link of the web process, to an empty store."""
    link = MultiplexedLink(store_url)
    link.call("FLUSHDB")
    yield link
    link.close()


@pytest.fixture
def sync_link(store_url):
    """The link of the workers, to an empty store."""
    link = SyncLink(store_url)
    link.call("FLUSHDB")
    yield link
    link.close()


@pytest.fixture
def stores(sync_link):
    """All records, behind the workers' link: threads may share it."""
    return Stores.behind(sync_link, message_log_length=200)
