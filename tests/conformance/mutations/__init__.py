"""What makes each check fail: the tables by which the tests of the kit are tested.

A check is named by its step and what it looks at: `Authorize.conf: idTagInfo.status`. A second
message of one name is a step of its own: `Authorize.conf 2: idTagInfo.status`.
"""

from collections.abc import Mapping, Sequence

from mutations import core, security
from mutations.mutation import Mutation

MUTATIONS: Mapping[str, Sequence[Mutation]] = {**core.MUTATIONS, **security.MUTATIONS}
