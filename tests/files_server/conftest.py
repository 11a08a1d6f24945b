"""A server over a real store and a directory, and charge points that speak FTP to it."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from ftp_site import Serving, Site


@pytest.fixture
def site(stores, tmp_path):
    site = Site(stores, tmp_path / "files")
    yield site
    site.hang_up()


@pytest.fixture
def serving(site):
    serving = Serving(site)
    yield serving
    site.hang_up()
    serving.stop()
