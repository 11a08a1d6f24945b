"""M03 to M05: roots installed, listed as the charge point tells, deleted as it told."""

import pytest
from cast import NOON_MS
from signing_cast import EC_ROOT, ROOT, leaf

from csms.commands.root_certificates import LATE_MS, installation_problems
from csms.domain.certificate_authority import pem_chain
from csms.domain.certificates import hash_data
from csms.domain.configuration import Configuration, ConfigurationKey, fold_key
from csms.state import keys

CENTRAL = "CentralSystemRootCertificate"
MANUFACTURER = "ManufacturerRootCertificate"
PEM = pem_chain(ROOT.chain)


def give(desk, socket, action, payload, answer):
    desk.queue(action, payload)
    call = socket.next()
    assert call.payload == payload
    socket.answer(call, answer)


def install(desk, socket, text=PEM, status="Accepted", kind=CENTRAL):
    payload = {"certificateType": kind, "certificate": text}
    give(desk, socket, "InstallCertificate", payload, {"status": status})


def tell(desk, socket, certificates, kind=CENTRAL, status="Accepted"):
    answer = {"status": status}
    if certificates is not None:
        answer["certificateHashData"] = certificates
    give(desk, socket, "GetInstalledCertificateIds", {"certificateType": kind}, answer)


def lists(desk):
    found = desk.stores.installed_certificates.lists("CP001")
    return {told.certificate_type: list(told.certificates) for told in found}


def events(desk):
    return [
        (kept.event.event_type, kept.event.tech_info, kept.event.actor)
        for kept in desk.stores.security_events.page(None, 50).items
    ]


ODD = {
    "hashAlgorithm": "SHA512",
    "issuerNameHash": "AbCd",
    "issuerKeyHash": "0123",
    "serialNumber": "000fFf",
}


@pytest.mark.parametrize("algorithm", ["SHA256", "SHA384", "SHA512"])
@pytest.mark.parametrize("kind", [CENTRAL, MANUFACTURER])
def test_a_list_is_kept_exactly_as_received(desk, socket, kind, algorithm):
    """TC_075, TC_076: what is to be deleted is sent back as it came."""
    good = hash_data(ROOT.certificate, ROOT.certificate, algorithm)

    tell(desk, socket, [good, ODD], kind)

    assert lists(desk) == {kind: [good, ODD]}


def test_a_new_list_replaces_the_one_of_its_type(desk, socket):
    tell(desk, socket, [ODD])
    tell(desk, socket, [ODD], MANUFACTURER)
    tell(desk, socket, None, status="NotFound")

    assert lists(desk) == {CENTRAL: [], MANUFACTURER: [ODD]}


def test_accepted_without_a_list_is_an_empty_one(desk, socket):
    tell(desk, socket, None)

    assert lists(desk) == {CENTRAL: []}


@pytest.mark.parametrize("end", ["callerror", "nonsense", "silence", "late nonsense"])
def test_no_answer_leaves_the_list_as_it_was(desk, socket, end):
    tell(desk, socket, [ODD])
    desk.queue("GetInstalledCertificateIds", {"certificateType": CENTRAL})
    call = socket.next()
    match end:
        case "callerror":
            socket.refuse(call, "NotImplemented")
        case "nonsense":
            socket.answer(call, {"status": "Perhaps"})
        case "silence":
            socket.expire(NOON_MS + 10**7)
        case "late nonsense":
            socket.expire(NOON_MS + 10**7)
            socket.answer(call, {"status": 7}, NOON_MS + 10**7)

    assert lists(desk) == {CENTRAL: [ODD]}


@pytest.mark.parametrize("status", ["Accepted", "Failed", "Rejected"])
def test_what_came_of_an_installation_is_kept(desk, socket, status):
    install(desk, socket, status=status)

    [kept] = desk.stores.installed_certificates.installations("CP001")
    assert (kept.certificate_type, kept.status) == (CENTRAL, status)
    assert kept.subject == "O=Nordwerk,CN=Test root"
    assert len(kept.fingerprint) == 64
    assert kept.hash_data[0] == hash_data(ROOT.certificate, ROOT.certificate, "SHA256")
    assert kept.problems == []
    assert events(desk) == [
        ("RootCertificateInstalled", f"{status}: {CENTRAL} O=Nordwerk,CN=Test root", "operator")
    ]


@pytest.mark.parametrize("text", [pem_chain([leaf()]), PEM + pem_chain([leaf()])])
def test_a_certificate_that_is_no_root_can_be_sent_and_is_doubted_not_blocked(desk, socket, text):
    """TC_078 sends one that the charge point rejects."""
    install(desk, socket, text, "Rejected")

    [kept] = desk.stores.installed_certificates.installations("CP001")
    assert kept.status == "Rejected"
    assert kept.problems


def test_an_installation_that_was_never_answered_is_kept_as_such(desk, socket):
    desk.queue("InstallCertificate", {"certificateType": CENTRAL, "certificate": PEM})
    socket.next()
    socket.expire(NOON_MS + 10**7)

    [kept] = desk.stores.installed_certificates.installations("CP001")
    assert kept.status == "timed_out"


def test_only_the_newest_installations_are_kept(desk, socket):
    for number in range(52):
        payload = {"certificateType": CENTRAL, "certificate": PEM}
        desk.queue("InstallCertificate", payload, NOON_MS + number)
        socket.answer(socket.next(NOON_MS + number), {"status": "Rejected"}, NOON_MS + number)

    kept = desk.stores.installed_certificates.installations("CP001")
    assert len(kept) == 50
    assert kept[0].at_ms == NOON_MS + 51
    assert kept[-1].at_ms == NOON_MS + 2


@pytest.mark.parametrize(
    ("status", "left"), [("Accepted", []), ("NotFound", []), ("Failed", [ODD])]
)
def test_what_is_deleted_leaves_the_list(desk, socket, status, left):
    """M04.FR.06: Failed where it is in use."""
    tell(desk, socket, [ODD])

    give(
        desk,
        socket,
        "DeleteCertificate",
        {"certificateHashData": {**ODD, "serialNumber": "FFF"}},
        {"status": status},
    )

    assert lists(desk) == {CENTRAL: left}
    assert events(desk)[0] == ("RootCertificateDeleted", f"{status}: serial number FFF", "operator")


def test_following_up_twice_changes_nothing_more(desk, socket):
    tell(desk, socket, [ODD])
    install(desk, socket)
    before = lists(desk), desk.stores.installed_certificates.installations("CP001")

    for command in desk.stores.commands.page(None, 10).items:
        socket.delivery.settle_again("CP001", command, NOON_MS + 5)

    after = lists(desk), desk.stores.installed_certificates.installations("CP001")
    assert after == before


def told(name, value):
    key = ConfigurationKey(name, value, readonly=True, at_ms=NOON_MS)
    return Configuration({fold_key(name): key})


@pytest.mark.parametrize(
    ("kind", "text", "configuration", "problem"),
    [
        (CENTRAL, PEM, Configuration(), None),
        (MANUFACTURER, pem_chain(EC_ROOT.chain), Configuration(), None),
        (CENTRAL, "nonsense", Configuration(), "must begin with"),
        (CENTRAL, PEM.replace("\n", "\r\n"), Configuration(), "LF line ends"),
        (CENTRAL, pem_chain([leaf()]), Configuration(), "not the certificate of an authority"),
        (CENTRAL, PEM, told("AdditionalRootCertificateCheck", "true"), "signed by the one it has"),
        (CENTRAL, PEM, told("AdditionalRootCertificateCheck", "false"), None),
        (MANUFACTURER, PEM, told("AdditionalRootCertificateCheck", "true"), None),
    ],
)
def test_why_a_charge_point_may_refuse_a_root_is_told(kind, text, configuration, problem):
    problems = installation_problems(kind, text, configuration, NOON_MS)

    assert bool(problems) is bool(problem)
    assert problem is None or any(problem in said for said in problems)


def test_a_list_kept_late_has_none_of_those_that_were_deleted_since(desk, socket):
    """Its follow-up was cut off by a crash, and done again by the sweep."""
    other = {**ODD, "serialNumber": "02"}
    tell(desk, socket, [ODD, other])
    [command] = desk.stores.commands.page(None, 1).items
    desk.stores.link.call("DEL", keys.installed_certificates("CP001"))
    give(desk, socket, "DeleteCertificate", {"certificateHashData": ODD}, {"status": "Accepted"})

    socket.delivery.settle_again("CP001", command, NOON_MS + LATE_MS)
    assert lists(desk) == {CENTRAL: [other]}


def test_a_list_told_before_a_deletion_does_not_undo_it(desk, socket):
    tell(desk, socket, [ODD])
    desk.stores.installed_certificates.deleted("CP001", ODD, NOON_MS + 1)

    desk.stores.installed_certificates.told("CP001", CENTRAL, [ODD], NOON_MS)
    assert lists(desk) == {CENTRAL: []}
    desk.stores.installed_certificates.told("CP001", CENTRAL, [ODD], NOON_MS + 2)
    assert lists(desk) == {CENTRAL: [ODD]}
