"""What follows once the answer to a charge point's CALL is on the wire: one table, by its Action.

For what must not overtake the answer, such as CertificateSigned that of SignCertificate. It is lost
when the process dies first: what must happen needs a sweep beside it (sweeps.py).
"""

from collections.abc import Callable, Mapping
from typing import Any

from csms.commands import certificate_signing, charging_profiles
from csms.commands.sequel import Sequel

# The charge point's id, its request's payload as it came, and our confirmation's payload.
AfterAnswer = Callable[[str, Mapping[str, Any], Mapping[str, Any], Sequel], None]

AFTER_ANSWERS: Mapping[str, tuple[AfterAnswer, ...]] = {
    "SignCertificate": (certificate_signing.after_answer,),
    "StartTransaction": (charging_profiles.after_transaction,),
    "StopTransaction": (charging_profiles.after_transaction,),
}
