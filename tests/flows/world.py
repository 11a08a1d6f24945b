"""A small world without sockets: web processes over the real store, one charge point that tells no
lies, and an operator; any of the processes may be cut off from the store at any moment.

The processes are the real ones (transport/process.py, transport/connection.py) but for their loops,
which are called here, and for the WebSocket. Time passes only where a story says so.
"""

import itertools
import time
from collections import deque

import gevent
import gevent.queue
import orjson
from cast import ALICE, BOB, CP001, PEPPER, SECOND_MS
from cutting import CutLink, Died, Way
from memory_storage import MemoryStorage
from truthful import Truthful

from csms import clock
from csms.commands import stored_files
from csms.commands.before_queueing import BEFORE_QUEUEING
from csms.commands.campaign_runs import CampaignRuns
from csms.commands.campaigns import CampaignDesk
from csms.commands.delivery import Delivery
from csms.commands.dispatch import CommandDesk, CommandRequest
from csms.commands.sealing import Sealer
from csms.commands.sequel import Sequel
from csms.commands.sequels import Sequels
from csms.commands.signing import Signing
from csms.commands.transfer_requests import TransferDesk
from csms.commands.uploads import UploadDesk
from csms.commands.waiting import Waiting
from csms.domain.campaign_steps import LOOK_MS
from csms.errors import CSMSError
from csms.state import keys
from csms.state.inbox import Note, NoteKind
from csms.state.stores import Stores
from csms.transport.process import Process
from csms.transport.upgrade import UpgradeRequest
from csms.transport.websocket import ConnectionClosed

MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
CALL_TIMEOUT_S = 60
DEADLINE_S = 600
# Turns of the loop without a frame after which nothing more comes by itself.
QUIET_TURNS = 4
# A process that has stood still for longer than every time-out.
STILL_MS = 3 * MINUTE_MS
# How often a campaign is looked at before more time has passed.
LOOKS = 4
# How time goes on after a story, long enough for every sweep that looks again later.
HEALING_MS = [
    *(90 * SECOND_MS, 3 * MINUTE_MS, 11 * MINUTE_MS, 3 * HOUR_MS, 22 * HOUR_MS),
]


class Wire:
    """The system's end of a WebSocket; `spoken` are the frames the charge point has not read."""

    def __init__(self, link):
        self._link = link
        self._incoming = gevent.queue.Queue()
        self.spoken = deque()
        self.is_open = True
        self.max_message_bytes = 0
        self.close_code = None
        self.close_reason = ""

    def receive(self):
        text = self._incoming.get()
        if self._link.is_dead:
            raise Died
        return text

    def send(self, text):
        if self._link.is_dead:
            raise Died
        if not self.is_open:
            raise ConnectionClosed(1006, "gone")
        self.spoken.append(text if isinstance(text, str) else text.decode())

    def close(self, code=1000, reason=""):
        if self.is_open:
            self.is_open, self.close_code, self.close_reason = False, code, reason
            self._incoming.put(None)

    def hear(self, frame):
        self._incoming.put(orjson.dumps(frame).decode())


class OneProcess:
    """A web process, and its link to the store; what a worker does is done in it, too."""

    _numbers = itertools.count(1)

    def __init__(self, link, settings, storage):
        self.link = CutLink(link)
        self.stores = Stores.behind(self.link, message_log_length=50)
        self.settings = settings
        self.storage = storage
        self.process_id = f"web-{next(self._numbers)}"
        sealer = Sealer(PEPPER)
        self.desk = CommandDesk(self.stores, sealer, DEADLINE_S, BEFORE_QUEUEING, ())
        self.sequels = Sequels(self.stores, self.desk, settings, storage)
        signing = Signing(self.stores, None, None)
        self.transfers = TransferDesk(self.stores, self.desk, signing, settings)
        self.uploads = UploadDesk(self.stores, storage, settings.uploads_total_bytes)
        self.campaigns = CampaignDesk(self.stores, settings)
        self.runs = CampaignRuns(self.stores, self.desk, self.transfers, clock.now_ms)
        delivery = Delivery(
            self.stores, sealer, Waiting(), self.process_id, PEPPER, CALL_TIMEOUT_S, self.sequels
        )
        self.process = Process(self.process_id, self.stores, delivery, settings, lambda _: None)
        self.greenlets = []
        self.stores.presences.renew(self.process_id)

    def serve(self, record):
        wire = Wire(self.link)
        request = UpgradeRequest("/ocpp/CP001", "", {}, "127.0.0.1", secure=False)
        serving = gevent.spawn(self.process.serve, record, request, wire, lambda: True)
        self.greenlets.append(serving)
        return wire

    def heed(self, kind):
        self.process._heed(Note(kind, "CP001"))

    def tick(self):
        self.process._tick()

    def sweep(self):
        self.process._sweep()

    def advance(self):
        """What the workers do for the campaigns that are due; whether there was any."""
        due = self.stores.campaigns.due(clock.now_ms(), 10)
        for campaign_id in due:
            self.runs.advance(campaign_id)
        return bool(due)

    def delete_files(self):
        """The duty of the workers to look for files that nobody has claimed."""
        sequel = Sequel(self.stores, self.desk, self.settings, self.storage, clock.now_ms())
        stored_files.sweep_unclaimed(sequel)

    def die(self):
        self.link.kill()
        gevent.killall(self.greenlets)


class World:
    """CP001 is connected and has booted; ALICE may charge."""

    def __init__(self, link, settings):
        clock.follow(_machine_ms(), clock.now_ms())
        link.call("FLUSHDB")
        self._link = link
        self.settings = settings
        self.storage = MemoryStorage()
        self.books = Stores.behind(link, message_log_length=50)
        self.books.charge_points.create(CP001)
        for tag in (ALICE, BOB):
            self.books.id_tags.create(tag)
        self.charge_point = Truthful()
        # Commands of which the operator was told that they are taken.
        self.promised = []
        # Campaigns, likewise.
        self.begun = []
        # What the charge point does about a CALL beside answering it, by its action.
        self.deeds = {}
        self._acted = 0
        # Its answers come when it is told to let them go.
        self.is_slow = False
        self._held = []
        self._answers = {}
        self._numbers = itertools.count(1)
        self._still = None
        self._armed = CutLink(link)
        self._processes = []
        self.process = self._new_process()
        self.wire = None
        self.connect("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"})

    @property
    def now_ms(self):
        return clock.now_ms()

    def instant(self, ms):
        """An instant so far from now, as on the wire."""
        return clock.text_of(self.now_ms + ms)

    def later(self, ms):
        clock.follow(self.now_ms + ms, self.now_ms)

    def cut(self, cut):
        """From here on."""
        self._armed = self.process.link
        self._armed.arm(cut, self._stand_still)

    # -- processes

    def _new_process(self):
        process = OneProcess(self._link, self.settings, self.storage)
        self._processes.append(process)
        return process

    def _end_lease(self, process):
        self._link.call("ZADD", keys.PROCESSES, 0, process.process_id)
        self._link.call("DEL", keys.SWEEPER)

    def _replace(self):
        """After a death: another process takes over, and the charge point comes to it."""
        dead = self.process
        self._processes.remove(dead)
        dead.die()
        self._end_lease(dead)
        self.process = self._new_process()
        if self._armed.way is Way.DIES_AFTER:
            self.wire.close(1006)
            for _ in range(3):
                self.later(100 * SECOND_MS)
                self._sweep(self.process)
        else:
            self.later(SECOND_MS)
        self.connect()

    def _stand_still(self, way):
        """What happens while a process stands still, before it goes on where it was."""
        if way is Way.TOGETHER:
            other = self._new_process()
            self._sweep(other)
            for campaign in self.books.campaigns.page(None, 10).items:
                self._link.call("HSET", keys.campaign(campaign.campaign_id), "lease_until_ms", 0)
                other.runs.advance(campaign.campaign_id)
            return
        still, self._still = self.process, gevent.getcurrent()
        self._end_lease(still)
        self.later(STILL_MS)
        other = self._new_process()
        other.sweep()
        if way is Way.LEFT:
            self.process = other
            self.connect()
        other.sweep()
        if way is Way.LEFT:
            self._carry_on(other)
        else:
            other.advance()
        self._still = None
        if way is Way.SLEEPS:
            # What its next renewal does: it finds its lease over.
            self._link.call("DEL", keys.SWEEPER)
            still.stores.presences.renew(still.process_id)
            still.process._reclaim()

    # -- the charge point

    def connect(self, action="Heartbeat", payload=None):
        if self.wire is not None:
            self.wire.close(1001)
        self.wire = self.process.serve(self.books.charge_points.get("CP001"))
        self.tell(action, payload or {})

    def tell(self, action, payload):
        """What the charge point is answered to a CALL; it sends it until it is."""
        unique_id = f"{action}-{next(self._numbers)}"
        for attempt in range(6):
            if attempt > 2:
                unique_id = f"{action}-{next(self._numbers)}"
            if not self.wire.is_open:
                self.connect()
            self.wire.hear([2, unique_id, action, payload])
            self.settle()
            frame = self._answers.pop(unique_id, None)
            if frame is not None and frame[0] == 3:
                return frame[2]
        raise AssertionError(f"{action} was never answered")

    def settle(self):
        """Until nothing more is said by itself."""
        quiet = 0
        while quiet < QUIET_TURNS or self._still not in (None, gevent.getcurrent()):
            gevent.sleep(0)
            quiet = 0 if self._read() else quiet + 1
        if self.process.link.is_dead:
            self._replace()
        elif self.wire.is_open and self._look_for_commands():
            self.settle()

    def _look_for_commands(self):
        """What the process does every five seconds; whether something was said or has died."""
        for _ in range(2):  # the first time its link may be cut
            if not self.books.commands.waiting_outboxes(1):
                return False
            self.process.heed(NoteKind.WAKE)
            for _ in range(QUIET_TURNS):
                gevent.sleep(0)
                if self._read() or self.process.link.is_dead:
                    return True
        return False

    def _read(self):
        wire = self.wire
        said = list(wire.spoken)
        wire.spoken.clear()
        for text in said:
            kind, unique_id, *rest = frame = orjson.loads(text)
            if kind == 2:
                answer = [3, unique_id, self.charge_point.answer(unique_id, *rest)]
                self._held.append((wire, answer))
            else:
                self._answers[unique_id] = frame
        if not self.is_slow:
            self._let_go()
        return bool(said)

    def _let_go(self):
        held, self._held = self._held, []
        for wire, answer in held:
            wire.hear(answer)

    def act(self):
        """The charge point does what it was asked for since."""
        heard = self.charge_point.heard
        while self._acted < len(heard):
            call = heard[self._acted]
            self._acted += 1
            deed = self.deeds.get(call.action)
            if deed is not None and call.answer.get("status", "Accepted") == "Accepted":
                deed(self, call)

    def answer_late(self):
        """What the charge point was asked while it was slow, after its time was over."""
        self.later((CALL_TIMEOUT_S + 1) * SECOND_MS)
        self._by_itself(self.process.tick)
        self.is_slow = False
        self._let_go()
        self.settle()

    def sweep(self):
        """By the process that may be cut."""
        self._by_itself(lambda: self._sweep(self.process))
        self.settle()

    def advance(self):
        """The campaigns, by the process that may be cut."""
        self._by_itself(self.process.advance)
        self.settle()

    def _by_itself(self, work):
        try:
            work()
        except (CSMSError, Died):
            pass  # the edge of its loop

    # -- the operator, and whoever else makes a request

    def operator(self, act):
        """What comes of act(process); None where it came to an error."""
        result = None
        try:
            result = act(self.process)
        except (CSMSError, Died):
            pass
        self.settle()
        return result

    def queue(self, action, payload, **fields):
        """A command; None where the operator was not told that it is taken."""
        request = CommandRequest("CP001", action, payload, "operator", **fields)
        command = self.operator(lambda process: process.desk.queue(request, self.now_ms))
        if command is not None:
            self.promised.append(command.command_id)
        return command

    def commands(self, *actions):
        """As recorded, oldest first."""
        found = self.books.commands.page(None, 100, charge_point_id="CP001").items
        return [c for c in reversed(found) if not actions or c.action in actions]

    # -- the end

    def heal(self):
        """Time goes on, every process sweeps, the charge point says something now and then; nothing
        is cut any more."""
        self._armed.disarm()
        self.is_slow = False
        for ms in HEALING_MS:
            self.later(ms)
            for process in self._processes:
                self._sweep(process)
                process.tick()
                self.settle()
                self._carry_on(process)
                process.delete_files()
            self.act()
            self.tell("Heartbeat", {})

    def _carry_on(self, process):
        """Its campaigns, as far as that goes without more time."""
        for _ in range(LOOKS):
            if not process.advance():
                return
            self.settle()
            self.act()
            self.later(LOOK_MS)

    def _sweep(self, process):
        self.books.presences.renew(process.process_id)
        self._link.call("DEL", keys.SWEEPER)
        process.sweep()

    def end(self):
        for process in self._processes:
            process.die()


def _machine_ms():
    return time.time_ns() // 1_000_000
