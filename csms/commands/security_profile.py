"""What a change of SecurityProfile means for who may connect (security white paper, A05)."""

from csms.commands.sequel import Sequel
from csms.domain.command import Command
from csms.domain.security_event import own_event
from csms.domain.security_profile import profile_to_expect
from csms.logs import get_logger

log = get_logger(__name__)


def after_change(command: Command, sequel: Sequel) -> None:
    """Both profiles admit until the first success with the new one (transport/door.py)."""
    profile = profile_to_expect(command)
    charge_point_id = command.charge_point_id
    if profile is None or not sequel.stores.charge_points.expect_profile(charge_point_id, profile):
        return
    log.info("security profile pending", charge_point_id=charge_point_id, profile=profile)
    said = f"{profile}, after the command {command.command_id} ({command.status or command.state})"
    event = own_event("SecurityProfilePending", sequel.now_ms, said, actor=command.requested_by)
    sequel.stores.security_events.record(charge_point_id, event)
