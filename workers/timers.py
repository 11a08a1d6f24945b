"""Does what is due where no web process does it, and has the duties done that are due."""

from csms import clock, jobs
from csms.commands.sweeper import Sweeper
from workers.housekeeping import PERIODS_MS
from workers.parts import asked_for_again, open_parts


@asked_for_again
def sweep() -> None:
    """May come at any time, and twice; every worker asks for it every few seconds."""
    with open_parts() as parts:
        sweeper = Sweeper(parts.delivery)
        if sweeper.sweep(clock.now_ms()):
            sweeper.rest()
        for duty in parts.stores.duties.due(PERIODS_MS, clock.now_ms()):
            jobs.enqueue_duty(parts.settings.rq_redis_url, duty)
