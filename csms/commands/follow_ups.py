"""What the end of a command means for other records: one table, by Action.

A follow-up is given the command as recorded at its end, whichever that was; after a late answer it
is called once more. It runs before the command leaves the list of what is due, so that the sweep
calls it again where a process died in between: every follow-up must be idempotent.
"""

from collections.abc import Callable, Mapping

from csms.commands import (
    certificate_signing,
    charging_profiles,
    composite_schedules,
    configuration,
    local_lists,
    reservations,
    root_certificates,
    security_profile,
    transfers,
)
from csms.commands.sequel import Sequel
from csms.domain.command import Command

FollowUp = Callable[[Command, Sequel], None]

FOLLOW_UPS: Mapping[str, tuple[FollowUp, ...]] = {
    "CancelReservation": (reservations.after_end,),
    "CertificateSigned": (certificate_signing.after_signed,),
    "ChangeConfiguration": (configuration.after_change, security_profile.after_change),
    "ClearChargingProfile": (charging_profiles.after_clearing,),
    "DeleteCertificate": (root_certificates.after_delete,),
    "GetCompositeSchedule": (composite_schedules.after_asking,),
    "GetConfiguration": (configuration.after_get,),
    "GetDiagnostics": (transfers.after_command,),
    "GetInstalledCertificateIds": (root_certificates.after_list,),
    "GetLocalListVersion": (local_lists.after_get_version,),
    "GetLog": (transfers.after_command,),
    "InstallCertificate": (root_certificates.after_install,),
    "RemoteStartTransaction": (charging_profiles.after_bringing,),
    "ReserveNow": (reservations.after_end,),
    "SendLocalList": (local_lists.after_send,),
    "SetChargingProfile": (charging_profiles.after_bringing,),
    "SignedUpdateFirmware": (transfers.after_command,),
    "UpdateFirmware": (transfers.after_command,),
}
