"""A charge point on the line: CP001, accepted and connected, with a real store behind it."""

import pytest
from cast import Line, enter_the_cast


@pytest.fixture
def line(stores):
    enter_the_cast(stores)
    return Line(stores)
