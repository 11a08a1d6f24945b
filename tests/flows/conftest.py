"""A store and settings for the stories; what they assert is told as fully as what a test does."""

import pytest
from blocking_link import BlockingLink
from signing_cast import settings

pytest.register_assert_rewrite("stories", "world")


@pytest.fixture(scope="module")
def link(store_url):
    link = BlockingLink(store_url)
    yield link
    link.close()


@pytest.fixture(scope="module")
def given():
    """A system that signs certificates itself."""
    return settings()
