"""Whatever is cut, and wherever: never lost, never done twice, never lied about."""

import itertools

import pytest
import stories
import structlog
from campaign_stories import CAMPAIGN_STORIES
from cutting import Cut, Way
from file_stories import FILE_STORIES
from world import World

from csms.domain.command import FINAL_STATES, CommandState
from csms.state import keys

STORIES = {**stories.STORIES, **FILE_STORIES, **CAMPAIGN_STORIES}


def check_commands(world, cut):
    """Every command has its end, and that is what the charge point saw; what it answered to a
    process that lives is known."""
    lives = cut is None or cut.way in {Way.UNCONFIRMED, Way.UNHEARD, Way.TOGETHER}
    heard = {}
    for call in world.charge_point.heard:
        assert call.unique_id not in heard, "a CALL was sent twice"
        heard[call.unique_id] = call
    known = set()
    for command in world.commands():
        assert command.state in FINAL_STATES, command
        call = heard.get(command.unique_id)
        known.add(command.unique_id)
        match command.state:
            case CommandState.UNDELIVERABLE:
                assert call is None, "sent, and said to be undeliverable"
            case CommandState.ANSWERED:
                assert call is not None
                assert (command.answer, command.late_answer) == (call.answer, None)
            case _:
                assert not (lives and call and command.late_answer is None), "an answer was lost"
                assert command.late_answer is None or command.late_answer == call.answer
    assert heard.keys() <= known, "a CALL without a command"
    for command_id in world.promised:
        assert world.books.commands.get(command_id)


def check_nothing_is_left(world):
    link = world.books.link
    looked_at = (
        keys.COMMANDS_DUE,
        keys.WAITING_OUTBOXES,
        keys.outbox("CP001"),
        keys.in_flight("CP001"),
        keys.LOCAL_LIST_SYNCS,
        keys.RESERVATIONS_DUE,
        keys.CERTIFICATE_REQUESTS_DUE,
        keys.TRANSFERS_DUE,
        keys.CAMPAIGNS_DUE,
        keys.UNCLAIMED_FILES,
    )
    kinds = link.batch(*[("TYPE", key) for key in looked_at])
    for key, kind in zip(looked_at, kinds, strict=True):
        left = {"zset": ("ZRANGE", key, 0, -1), "set": ("SMEMBERS", key)}.get(kind)
        assert kind == "none", (key, link.call(*left) if left else kind)


def run(story, cut, link, given):
    """The story, cut, and what is wrong at its end; where it was cut, "" for nowhere."""
    with structlog.testing.capture_logs() as logs:
        world = World(link, given)
        armed = world.process.link
        try:
            tell(story, cut, world)
            bugs = [one for one in logs if "exc_info" in one]
            assert bugs == []
        except AssertionError as problem:
            return armed.cut_at, str(problem) or repr(problem)
        finally:
            world.end()
    return armed.cut_at, ""


def tell(story, cut, world):
    story.prepare(world)
    if cut is not None:
        world.cut(cut)
    story.play(world)
    world.heal()
    check_commands(world, cut)
    check_nothing_is_left(world)
    story.check(world)
    if cut is None:
        story.goes_well(world)


@pytest.mark.parametrize("name", STORIES)
def test_the_story_goes_well(name, link, given):
    assert run(STORIES[name], None, link, given) == ("", "")


# The others take long, and mostly find the same: they are left to `make test`.
OFTEN = {Way.DIES, Way.UNHEARD}


@pytest.mark.parametrize(
    "way", [way if way in OFTEN else pytest.param(way, marks=pytest.mark.e2e) for way in Way]
)
@pytest.mark.parametrize("name", STORIES)
def test_the_story_of(name, way, link, given):
    """Cut at its first command, at its second, and so on, until it runs through."""
    wrong = []
    for number in itertools.count(1):
        cut_at, problem = run(STORIES[name], Cut(way, number), link, given)
        if problem:
            wrong.append(f"{number}, {cut_at}: {problem}")
        if not cut_at:
            break

    assert wrong == [], "\n".join(wrong)
