"""What makes each check fail: the tables by which the tests of the kit are tested.

A check is named by its step and what it looks at: `Authorize.conf: idTagInfo.status`. A second
message of one name is a step of its own: `Authorize.conf 2: idTagInfo.status`.
"""

from collections.abc import Mapping, Sequence

from mutations import (
    core,
    firmware,
    local_list,
    remote_trigger,
    reservation,
    security,
    smart_charging,
)
from mutations.mutation import Mutation

MUTATIONS: Mapping[str, Sequence[Mutation]] = {
    **core.MUTATIONS,
    **security.MUTATIONS,
    **firmware.MUTATIONS,
    **local_list.MUTATIONS,
    **smart_charging.MUTATIONS,
    **remote_trigger.MUTATIONS,
    **reservation.MUTATIONS,
}
