"""The application over the real store, with fakes for what lies outside web/."""

from dataclasses import dataclass, field

import pytest
from cast import ENVIRONMENT, PEPPER, enter_the_cast
from memory_storage import MemoryStorage
from visitors import BOOTSTRAP_KEY, PASSWORD, PROCESS_ID, Browser, program

from csms import clock, jobs
from csms.commands.before_queueing import BEFORE_QUEUEING
from csms.commands.campaigns import CampaignDesk
from csms.commands.dispatch import CommandDesk
from csms.commands.firmware_library import FirmwareLibrary
from csms.commands.sealing import Sealer
from csms.commands.signing import Signing
from csms.commands.transfer_requests import TransferDesk
from csms.commands.uploads import UploadDesk
from csms.commands.waiting import Waiting
from csms.config import Settings
from csms.job_lists import JobLists
from csms.state.accounts import Accounts, User
from csms.state.link_sync import SyncLink
from csms.state.stores import Stores
from csms.web.application import WebParts, create_application
from csms.web.feed import EventFeed
from csms.web.parts import EXTENSION


@dataclass
class Around:
    """What an application was given, and what it did to its surroundings."""

    evicted: list = field(default_factory=list)
    draining: bool = False
    parts: WebParts = None

    def evict(self, charge_point_id):
        self.evicted.append(charge_point_id)


@pytest.fixture(scope="session")
def parts_around(store_url):
    """Makes what an application is given, with environment variables of the test's choice."""

    def make(stores, **environ):
        around = Around()
        settings = Settings.from_env(
            {**ENVIRONMENT, "REDIS_URL": store_url, "CSMS_API_KEY": BOOTSTRAP_KEY, **environ}
        )
        storage = MemoryStorage()
        desk = CommandDesk(stores, Sealer(PEPPER), 60, BEFORE_QUEUEING, settings.allowed_file_hosts)
        around.parts = WebParts(
            settings=settings,
            stores=stores,
            accounts=Accounts(stores.link, PEPPER),
            desk=desk,
            campaigns=CampaignDesk(stores, settings),
            storage=storage,
            firmware_library=FirmwareLibrary(stores, storage, settings),
            uploads=UploadDesk(stores, storage, settings.uploads_total_bytes),
            transfers=TransferDesk(
                stores, desk, Signing(stores, Sealer(PEPPER), lambda work: work()), settings
            ),
            waiting=Waiting(),
            process_id=PROCESS_ID,
            feed=EventFeed(),
            is_draining=lambda: around.draining,
            hash_password=lambda password: f"hash of {password}",
            verify_password=lambda stored, password: stored == f"hash of {password}",
            evict=around.evict,
            jobs=JobLists(jobs.connect(settings.rq_redis_url)),
        )
        return around

    return make


@pytest.fixture
def make_application(parts_around):
    """Builds an application on a store."""

    def make(stores, **environ):
        around = parts_around(stores, **environ)
        app = create_application(around.parts)
        app.extensions["around"] = around
        return app

    return make


@pytest.fixture(scope="session")
def built(parts_around):
    """Built once, as that takes a third of a second; every test gives it parts of its own."""
    link = SyncLink("redis://127.0.0.1:1/0")
    yield create_application(parts_around(Stores.behind(link, 1)).parts)
    link.close()


@pytest.fixture
def app(built, stores, parts_around):
    around = parts_around(stores)
    built.extensions[EXTENSION] = around.parts
    built.extensions["around"] = around
    return built


@pytest.fixture
def around(app):
    return app.extensions["around"]


@pytest.fixture
def cast(stores):
    """CP001 and the id tags are entered; CP001 is not connected."""
    enter_the_cast(stores)


class FailingLink:
    """A link to the store that fails with `failure` while one is set."""

    def __init__(self, link):
        self._link = link
        self.failure = None

    def __getattr__(self, name):
        if self.failure is not None:
            raise self.failure
        return getattr(self._link, name)


@pytest.fixture
def failing_link(sync_link):
    return FailingLink(sync_link)


@pytest.fixture
def app_on_failing_link(built, failing_link, parts_around):
    around = parts_around(Stores.behind(failing_link, message_log_length=10))
    built.extensions[EXTENSION] = around.parts
    built.extensions["around"] = around
    return built


@pytest.fixture
def app_without_store(make_application):
    """An application whose store does not answer."""
    link = SyncLink("redis://127.0.0.1:1/0", timeout_s=1.0)
    yield make_application(
        Stores.behind(link, message_log_length=10), REDIS_URL="redis://127.0.0.1:1/0"
    )
    link.close()


@pytest.fixture
def api(app):
    return program(app)


@pytest.fixture
def stranger(app, around):
    """A browser that is not logged in, where the user `olga` exists."""
    around.parts.accounts.create_user(User("olga", f"hash of {PASSWORD}", clock.now_ms()))
    return Browser(app.test_client())


@pytest.fixture
def browser(stranger):
    """A browser that is logged in as `olga`."""
    stranger.log_in()
    return stranger


@pytest.fixture
def connected(cast, stores):
    """CP001, held by a living process: its epoch."""
    stores.presences.renew(PROCESS_ID)
    taken = stores.presences.connect(
        "CP001", PROCESS_ID, clock.now_ms(), "203.0.113.5", secure=False
    )
    return taken.epoch
