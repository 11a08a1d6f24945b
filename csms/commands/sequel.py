"""What whoever continues a story is given: after a command's end, after an answer, in a sweep."""

from dataclasses import dataclass

from csms.commands.dispatch import CommandDesk
from csms.config import Settings
from csms.state.stores import Stores
from csms.storage.interface import Storage


@dataclass(frozen=True, slots=True)
class Sequel:
    """desk: for the next command of a conversation."""

    stores: Stores
    desk: CommandDesk
    settings: Settings
    storage: Storage
    now_ms: int
