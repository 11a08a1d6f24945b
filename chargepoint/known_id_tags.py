"""The id tags a charge point knows by itself: the local list, and the cache of answers."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from chargepoint.charging_profiles import instant_of
from chargepoint.configuration import Configuration

IdTagInfo = dict[str, Any]


class KnownIdTags:
    """Tags are compared without case; the list beats the cache."""

    def __init__(self, configuration: Configuration, clock: Callable[[], datetime]) -> None:
        self.cache: dict[str, IdTagInfo] = {}
        self.local_list: dict[str, IdTagInfo] = {}
        self.local_list_version = 0
        self._configuration = configuration
        self._clock = clock

    def find(self, id_tag: str) -> str | None:
        """AuthorizationStatus of a known tag; Expired past its date."""
        info = None
        if self._configuration.boolean("LocalAuthListEnabled"):
            info = self.local_list.get(id_tag.casefold())
        if info is None and self._configuration.boolean("AuthorizationCacheEnabled"):
            info = self.cache.get(id_tag.casefold())
        if info is None:
            return None
        if "expiryDate" in info and instant_of(info["expiryDate"]) <= self._clock():
            return "Expired"
        return str(info["status"])

    def remember(self, id_tag: str, answer: dict[str, Any]) -> str:
        """Keep the idTagInfo of a confirmation, and say its status."""
        info = answer.get("idTagInfo") or {"status": "Invalid"}
        self.cache[id_tag.casefold()] = info
        return str(info["status"])

    def offline_status(self, id_tag: str) -> str:
        """What a tag is worth when nobody can be asked."""
        known = self.find(id_tag)
        if known is not None:
            return known if self._configuration.boolean("LocalAuthorizeOffline") else "Invalid"
        unknown_may = self._configuration.boolean("AllowOfflineTxForUnknownId")
        return "Accepted" if unknown_may else "Invalid"

    def update_list(self, version: int, entries: list[dict[str, Any]], full: bool) -> str:
        """Carry out a SendLocalList.req; its UpdateStatus. Nothing changes unless Accepted."""
        tags = [str(entry["idTag"]).casefold() for entry in entries]
        too_many = len(tags) > self._configuration.integer("SendLocalListMaxLength")
        if too_many or version <= 0 or len(set(tags)) != len(tags):
            return "Failed"
        if full and any("idTagInfo" not in entry for entry in entries):
            return "Failed"
        if not full and version <= self.local_list_version:
            return "VersionMismatch"
        if full:
            self.local_list.clear()
        for tag, entry in zip(tags, entries, strict=True):
            if "idTagInfo" in entry:
                self.local_list[tag] = entry["idTagInfo"]
            else:
                self.local_list.pop(tag, None)
        self.local_list_version = version
        return "Accepted"
