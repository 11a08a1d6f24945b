"""By what charge points are picked out of many: vendor, model, firmware, site and tags."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from csms.domain.charge_point import ChargePoint

SITE_MAX = 64
TAGS_MAX = 20
TRAIT_MAX = 64
TAG_RULE = "1 to 32 letters, digits or ._-"
_TAG = re.compile(r"[A-Za-z0-9._\-]{1,32}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Traits:
    """What charge points have in common, compared whole and without case; "" asks nothing.

    vendor, model, firmware: as told in the last boot. site, tag: as entered by operators.
    """

    vendor: str = ""
    model: str = ""
    firmware: str = ""
    site: str = ""
    tag: str = ""

    def fit(self, charge_point: ChargePoint) -> bool:
        """Whether a charge point has them all."""
        facts = charge_point.facts
        asked = (
            (self.vendor, (facts.get("chargePointVendor", ""),)),
            (self.model, (facts.get("chargePointModel", ""),)),
            (self.firmware, (facts.get("firmwareVersion", ""),)),
            (self.site, (charge_point.site,)),
            (self.tag, charge_point.tags),
        )
        return all(
            _folded(wanted) in {_folded(has) for has in those} for wanted, those in asked if wanted
        )


EVERYBODY = Traits()


def _folded(text: str) -> str:
    return text.strip().casefold()


def is_tag(text: str) -> bool:
    """Whether text may be a tag: see TAG_RULE."""
    return _TAG.fullmatch(text) is not None


def each_once(tags: Iterable[str]) -> tuple[str, ...]:
    """Tags in the order given; of those that differ in case only, the first."""
    spelled: dict[str, str] = {}
    for tag in tags:
        spelled.setdefault(tag.casefold(), tag)
    return tuple(spelled.values())
