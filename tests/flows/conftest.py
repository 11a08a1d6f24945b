"""A store and settings for the stories; what they assert is told as fully as what a test does."""

import pytest
from blocking_link import BlockingLink
from signing_cast import settings

from csms import clock

pytest.register_assert_rewrite("campaign_stories", "deeds", "file_stories", "stories", "world")


@pytest.fixture(autouse=True)
def own_clock(monkeypatch):
    """Time passes for one test alone."""
    monkeypatch.setattr(clock, "_behind_ms", 0)


@pytest.fixture(scope="module")
def link(store_url):
    link = BlockingLink(store_url)
    yield link
    link.close()


@pytest.fixture(scope="module")
def given():
    """A system that signs certificates itself, and keeps files."""
    return settings(FILES_URL="https://files.example")
