"""Charging profiles that operators keep under a name."""

from collections.abc import Sequence
from typing import Any

import orjson

from csms.domain.charging_template import ChargingTemplate
from csms.errors import AlreadyExists, NotFound
from csms.state import keys
from csms.state.link import Argument, Link, Reply
from csms.state.pages import Page, pairs, records
from csms.state.records import CREATE, UPDATE


class ChargingProfileTemplates:
    def __init__(self, link: Link) -> None:
        self._link = link

    def find(self, name: str) -> ChargingTemplate | None:
        return _template(self._link.call("HGETALL", keys.charging_profile_template(name)))

    def get(self, name: str) -> ChargingTemplate:
        """Raises NotFound."""
        found = self.find(name)
        if found is None:
            raise NotFound("charging profile template", name)
        return found

    def create(self, template: ChargingTemplate) -> None:
        """Raises AlreadyExists."""
        # The index first: a name there without a record is skipped by every reader.
        self._link.call("ZADD", keys.CHARGING_PROFILE_TEMPLATES, 0, template.name)
        words = _words(
            name=template.name,
            description=template.description,
            profile=template.profile,
            changed_at_ms=template.changed_at_ms,
        )
        if not self._link.run(CREATE, [keys.charging_profile_template(template.name)], words):
            raise AlreadyExists("charging profile template", template.name)

    def update(self, name: str, **changes: Any) -> None:
        """Change fields of ChargingTemplate by name. Raises NotFound."""
        if not self._link.run(UPDATE, [keys.charging_profile_template(name)], _words(**changes)):
            raise NotFound("charging profile template", name)

    def delete(self, name: str) -> None:
        """What was installed of it stays installed. Raises NotFound."""
        if not self._link.call("DEL", keys.charging_profile_template(name)):
            raise NotFound("charging profile template", name)
        self._link.call("ZREM", keys.CHARGING_PROFILE_TEMPLATES, name)

    def page(self, cursor: str | None, limit: int) -> Page[ChargingTemplate]:
        """In the order of names. cursor is the last name of the page before."""
        lowest = f"({cursor}" if cursor else "-"
        names: Sequence[str] = self._link.call(
            "ZRANGEBYLEX", keys.CHARGING_PROFILE_TEMPLATES, lowest, "+", "LIMIT", 0, limit + 1
        )
        found = records(self._link, [keys.charging_profile_template(n) for n in names[:limit]])
        templates = [template for template in map(_template, found) if template is not None]
        return Page(templates, names[limit - 1] if len(names) > limit else None)


def _words(**fields: Any) -> list[Argument]:
    words: list[Argument] = []
    for name, value in fields.items():
        words += (name, orjson.dumps(value) if name == "profile" else value)
    return words


def _template(reply: Reply) -> ChargingTemplate | None:
    fields = pairs(reply)
    if not fields:
        return None
    return ChargingTemplate(
        name=fields["name"],
        profile=orjson.loads(fields["profile"]),
        description=fields["description"],
        changed_at_ms=int(fields["changed_at_ms"]),
    )
