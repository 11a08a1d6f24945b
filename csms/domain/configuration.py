"""What is known of a charge point's configuration (OCPP 1.6 ed. 2, chapter 9)."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from csms.domain.values import frame_value


@frame_value
class ConfigurationKey:
    """A key as the charge point reported it. value None: it has none, or does not tell it.

    is_known False: it said that it does not know the key.
    """

    key: str
    value: str | None
    readonly: bool
    at_ms: int
    is_known: bool = True


@dataclass(frozen=True, slots=True)
class Configuration:
    """What the answers to GetConfiguration and ChangeConfiguration have told, by folded key: keys
    ignore case (CiString50). It may have been changed since, at the charge point or by its reboot.

    Whoever asks for a key of which nothing sound is known gets None.
    """

    keys: Mapping[str, ConfigurationKey] = field(default_factory=dict)

    def find(self, name: str) -> ConfigurationKey | None:
        return self.keys.get(fold_key(name))

    def text(self, name: str) -> str | None:
        found = self.find(name)
        return found.value if found is not None else None

    def integer(self, name: str) -> int | None:
        text = (self.text(name) or "").strip()
        # Nine digits are more than any of these keys can mean.
        return int(text) if text.isdecimal() and len(text) <= 9 else None

    def boolean(self, name: str) -> bool | None:
        """`true` and `false` in any case, and the 1 and 0 that some send."""
        return {"true": True, "1": True, "false": False, "0": False}.get(
            (self.text(name) or "").strip().casefold()
        )

    def items(self, name: str) -> tuple[str, ...] | None:
        """The parts of a comma separated list; blanks around them don't count."""
        text = self.text(name)
        if text is None:
            return None
        return tuple(part.strip() for part in text.split(",") if part.strip())


def fold_key(name: str) -> str:
    """The form in which keys are compared."""
    return name.strip().casefold()
