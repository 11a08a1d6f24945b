"""By what charge points are picked out of many."""

from dataclasses import replace

import pytest
from cast import CP001

from csms.domain.traits import Traits, each_once, is_tag

HARBOUR = replace(
    CP001,
    facts={"chargePointVendor": "Acme", "chargePointModel": "Duo", "firmwareVersion": "1.2.3"},
    site="Harbour",
    tags=("quay", "Pilot"),
)


@pytest.mark.parametrize(
    ("traits", "fit"),
    [
        (Traits(), True),
        (Traits(vendor="acme"), True),
        (Traits(vendor="acm"), False),
        (Traits(model="DUO"), True),
        (Traits(model=" Duo "), True),
        (Traits(model="Solo"), False),
        (Traits(firmware="1.2.3"), True),
        (Traits(firmware="1.2"), False),
        (Traits(site="harbour"), True),
        (Traits(site="Town hall"), False),
        (Traits(tag="pilot"), True),
        (Traits(tag="quay Pilot"), False),
        (Traits(vendor="Acme", model="Duo", firmware="1.2.3", site="Harbour", tag="quay"), True),
        (Traits(vendor="Acme", tag="inland"), False),
    ],
)
def test_a_charge_point_fits_that_has_all_that_is_asked(traits, fit):
    assert traits.fit(HARBOUR) is fit


def test_what_was_never_told_fits_nothing_that_is_asked():
    assert Traits().fit(CP001)
    assert not Traits(vendor="Acme").fit(CP001)


@pytest.mark.parametrize("text", ["a", "x" * 32, "Row-7_b.2"])
def test_a_tag_is_a_short_word(text):
    assert is_tag(text)


@pytest.mark.parametrize("text", ["", "x" * 33, "two words", "a,b", "é", "a\n"])
def test_what_is_no_tag_is_told_apart(text):
    assert not is_tag(text)


def test_tags_that_differ_in_case_only_are_one():
    assert each_once(["quay", "Pilot", "QUAY", "row-7", "pilot"]) == ("quay", "Pilot", "row-7")
    assert each_once([]) == ()
