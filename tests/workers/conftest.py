"""The environment in which a job finds the store of the tests."""

import pytest
from cast import ENVIRONMENT


@pytest.fixture
def environment(store_url, stores, monkeypatch):
    """An empty store, and what leads to it."""
    for name, value in {**ENVIRONMENT, "REDIS_URL": store_url}.items():
        monkeypatch.setenv(name, value)
    return monkeypatch
