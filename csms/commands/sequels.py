"""Runs what follows: from the end of a command, from an answer of ours, from the time."""

from collections.abc import Mapping, Sequence
from typing import Any

from csms.commands.after_answers import AFTER_ANSWERS, AfterAnswer
from csms.commands.dispatch import CommandDesk
from csms.commands.follow_ups import FOLLOW_UPS, FollowUp
from csms.commands.sequel import Sequel
from csms.commands.sweeps import SWEEPS, Sweep
from csms.config import Settings
from csms.domain.command import shortened
from csms.errors import CSMSError
from csms.logs import get_logger
from csms.state.stores import Stores
from csms.storage.interface import Storage

log = get_logger(__name__)

# A follow-up that failed is tried again by the sweep after so long.
TRY_AGAIN_MS = 30_000


class Sequels:
    """The three tables, with what they are given; tests bring tables of their own."""

    def __init__(
        self,
        stores: Stores,
        desk: CommandDesk,
        settings: Settings,
        storage: Storage,
        *,
        follow_ups: Mapping[str, tuple[FollowUp, ...]] = FOLLOW_UPS,
        after_answers: Mapping[str, tuple[AfterAnswer, ...]] = AFTER_ANSWERS,
        sweeps: Sequence[Sweep] = SWEEPS,
    ) -> None:
        self._stores = stores
        self._desk = desk
        self._settings = settings
        self._storage = storage
        self._follow_ups = follow_ups
        self._after_answers = after_answers
        self._sweeps = sweeps

    def _sequel(self, now_ms: int) -> Sequel:
        return Sequel(self._stores, self._desk, self._settings, self._storage, now_ms)

    def after_command(
        self, charge_point_id: str, command_id: str, action: str, now_ms: int
    ) -> None:
        """Follow up a command that has its end, and take it off the list of what is due.

        What fails is logged and tried again by the sweep; the command itself is settled.
        """
        commands = self._stores.commands
        follow_ups = self._follow_ups.get(action, ())
        command = commands.find(charge_point_id, command_id) if follow_ups else None
        if command is not None:
            sequel = self._sequel(now_ms)
            try:
                for follow_up in follow_ups:
                    follow_up(command, sequel)
            except CSMSError as error:
                log.error(
                    "follow-up put off",
                    charge_point_id=charge_point_id,
                    command_id=command_id,
                    action=action,
                    reason=str(error),
                )
                commands.due_again(command_id, now_ms + TRY_AGAIN_MS)
                return
            except Exception:  # the edge: our own bug must not keep the answer from who waits
                log.exception("follow-up failed", command_id=command_id, action=action)
                commands.due_again(command_id, now_ms + TRY_AGAIN_MS)
                return
            payload = shortened(command)
            if payload is not None:
                commands.shorten(charge_point_id, command_id, payload)
        commands.no_longer_due(command_id)

    def has_after_answer(self, action: str) -> bool:
        return action in self._after_answers

    def after_answer(
        self,
        charge_point_id: str,
        action: str,
        request: Mapping[str, Any],
        confirmation: Mapping[str, Any],
        now_ms: int,
    ) -> None:
        """Never raises: the answer is out, and whoever must not miss this has a sweep."""
        sequel = self._sequel(now_ms)
        for after in self._after_answers.get(action, ()):
            try:
                after(charge_point_id, request, confirmation, sequel)
            except CSMSError as error:
                log.error("sequel put off", action=action, reason=str(error))
            except Exception:  # the edge: the end of a greenlet
                log.exception("sequel failed", action=action)

    def sweep(self, now_ms: int) -> None:
        """All sweeps; one that fails does not keep the others from theirs."""
        sequel = self._sequel(now_ms)
        for sweep in self._sweeps:
            try:
                sweep(sequel)
            except CSMSError as error:
                log.error("sweep put off", sweep=sweep.__module__, reason=str(error))
            except Exception:  # the edge: the loop of a greenlet
                log.exception("sweep failed", sweep=sweep.__module__)
