"""The charge point's own book of what it sent and what was acknowledged, to check a store by."""

import json
import os
from pathlib import Path
from typing import Any

Entry = dict[str, Any]


class Ledger:
    """Append-only; in memory, or one JSON line an entry in a file when `path` is given.

    Entries, all with `event`, `at`, `charge_point_id` and `unique_id`:

    - `sent`: `action`, `payload`, `message`; written before the frame leaves
    - `acknowledged`: `payload` of the CALLRESULT; written after it arrived, late ones too
    - `refused`: `code` of the CALLERROR

    `message` is the number of a queued transaction message, the same for each of its retries
    whatever their ids; None for all other CALLs. Several charge points, greenlets and
    processes may share one file: an entry is one write to a descriptor opened for appending.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.entries: list[Entry] = []
        self._descriptor: int | None = None
        if path is not None:
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    @staticmethod
    def load(path: Path) -> list[Entry]:
        """The entries of a file; a last line cut by a crash is left out."""
        lines = path.read_text().split("\n")
        return [json.loads(line) for line in lines[:-1]]

    def sent(
        self,
        at: str,
        charge_point_id: str,
        unique_id: str,
        *,
        action: str,
        payload: dict[str, Any],
        message: int | None,
    ) -> None:
        """To be called before the frame is written."""
        self._append(
            {
                "event": "sent",
                "at": at,
                "charge_point_id": charge_point_id,
                "unique_id": unique_id,
                "action": action,
                "payload": payload,
                "message": message,
            }
        )

    def acknowledged(
        self, at: str, charge_point_id: str, unique_id: str, payload: dict[str, Any]
    ) -> None:
        """To be called after the CALLRESULT was read."""
        self._append(
            {
                "event": "acknowledged",
                "at": at,
                "charge_point_id": charge_point_id,
                "unique_id": unique_id,
                "payload": payload,
            }
        )

    def refused(self, at: str, charge_point_id: str, unique_id: str, code: str) -> None:
        """To be called after the CALLERROR was read."""
        self._append(
            {
                "event": "refused",
                "at": at,
                "charge_point_id": charge_point_id,
                "unique_id": unique_id,
                "code": code,
            }
        )

    def close(self) -> None:
        """Give the file back; nothing can be entered afterwards."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _append(self, entry: Entry) -> None:
        if self._descriptor is None:
            self.entries.append(entry)
            return
        line = json.dumps(entry, separators=(",", ":")) + "\n"
        os.write(self._descriptor, line.encode())
