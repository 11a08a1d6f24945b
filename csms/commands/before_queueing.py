"""What is noted before a command is put into the outbox: one table, by its Action.

So that a record of what is asked for stands before the charge point can answer. Where the process
dies in between, the command it names never exists: after a minute somebody says so of the record
(Commands.never_was), upon which a process that only stood still can't queue it any more. An entry
may raise a CSMSError, upon which nothing is queued.
"""

from collections.abc import Mapping

from csms.commands import charging_profiles, reservations, transfers
from csms.commands.dispatch import BeforeQueueing

BEFORE_QUEUEING: Mapping[str, tuple[BeforeQueueing, ...]] = {
    "CancelReservation": (reservations.before_cancelling,),
    "GetDiagnostics": (transfers.before_queueing,),
    "GetLog": (transfers.before_queueing,),
    "RemoteStartTransaction": (charging_profiles.note_remote_start,),
    "ReserveNow": (reservations.before_reserving,),
    "SetChargingProfile": (charging_profiles.note_set,),
    "SignedUpdateFirmware": (transfers.before_queueing,),
    "UpdateFirmware": (transfers.before_queueing,),
}
