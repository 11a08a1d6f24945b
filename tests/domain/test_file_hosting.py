"""Where charge points are sent for files, and whether firmware is meant for them."""

from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from cast import CP001, FIRMWARE

from csms.config import TransferProtocol
from csms.domain.file_hosting import (
    chosen_protocol,
    fit_warnings,
    host_problem,
    mismatches,
    offered_by,
)

HTTPS, HTTP, FTPS, FTP = TransferProtocol


def test_each_address_offers_the_protocol_of_its_scheme():
    assert offered_by(("https://files.example/a", "ftp://files.example:2121")) == {
        HTTPS: "https://files.example/a",
        FTP: "ftp://files.example:2121",
    }
    assert offered_by((None, "FTPS://files.example")) == {FTPS: "FTPS://files.example"}
    assert offered_by((None, None)) == {}


@pytest.mark.parametrize(
    ("supported", "offered", "preferred", "chosen"),
    [
        (("FTP", "HTTPS"), {HTTPS, FTP}, None, HTTPS),
        (("FTP", "FTPS", "HTTP"), {HTTP, FTPS}, None, HTTP),
        (("FTP", "FTPS"), {FTP, FTPS}, None, FTPS),
        (("ftp ",), {HTTPS, FTP}, None, FTP),
        (("FTP",), {HTTPS}, None, None),
        (("HTTP",), {HTTPS, FTPS}, HTTPS, None),
        (("SFTP",), {HTTPS, FTP}, None, None),
        (("FTP",), set(), None, None),
        (None, set(), HTTPS, None),
    ],
)
def test_both_ends_must_speak_it_and_the_safest_is_chosen(supported, offered, preferred, chosen):
    assert chosen_protocol(supported, offered, preferred) is chosen


@pytest.mark.parametrize("nothing", [None, ()])
@pytest.mark.parametrize(
    ("preferred", "chosen"), [(FTP, FTP), (None, HTTPS), (FTPS, HTTPS), (HTTP, HTTPS)]
)
def test_one_that_has_told_nothing_gets_what_the_setting_says_if_it_is_offered(
    nothing, preferred, chosen
):
    assert chosen_protocol(nothing, {FTP, HTTPS}, preferred) is chosen


def test_the_setting_is_no_matter_where_the_charge_point_has_told():
    assert chosen_protocol(("HTTPS", "FTP"), {FTP, HTTPS}, FTP) is HTTPS


HOSTS = ("files.example", "*.vendor.example", "[2001:db8::1]", "192.0.2.7")


@pytest.mark.parametrize(
    "url",
    [
        "https://files.example/fw.bin",
        "ftp://user:password@FILES.example.:2121/fw.bin",
        "https://eu.Vendor.example/fw.bin",
        "https://a.b.vendor.example/fw.bin",
        "http://[2001:DB8:0:0:0:0:0:1]:8080/fw.bin",
        "http://192.0.2.7/fw.bin",
        "http://files.example/a@b\\c",
    ],
)
def test_a_listed_host_is_as_good_however_it_is_written(url):
    assert host_problem(urlsplit(url), HOSTS) is None


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/files.example",
        "https://files.example@evil.example/",
        "https://files.example.evil.example/",
        "https://vendor.example/",
        "https://evilvendor.example/",
        "https://evil.example/?.vendor.example",
        "http://[2001:db8::2]/",
        "http://3221225991/",
        "http://evil.example\\@files.example/",
        "http://user@evil.example@files.example/",
        "http:///fw.bin",
    ],
)
def test_another_host_is_refused_whatever_it_looks_like(url):
    assert host_problem(urlsplit(url), HOSTS).startswith("must ")


def test_the_refusal_names_the_hosts_there_are():
    problem = host_problem(urlsplit("http://evil.example/"), HOSTS)

    assert "FILE_HOSTS: files.example, *.vendor.example" in problem


def test_without_a_list_every_host_will_do():
    assert host_problem(urlsplit("http://user@evil.example@anywhere/"), ()) is None


def charge_point(**facts):
    return replace(CP001, facts=facts)


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"chargePointVendor": "nordwerk ", "chargePointModel": "nw-22", "firmwareVersion": "4.2"},
    ],
)
def test_firmware_that_may_be_meant_for_it_is_not_warned_of(facts):
    assert fit_warnings(FIRMWARE, charge_point(**facts)) == []


def test_firmware_for_whatever_is_not_warned_of():
    anything = replace(FIRMWARE, vendor="", model="", version="")
    facts = {"chargePointVendor": "V", "chargePointModel": "M", "firmwareVersion": ""}

    assert fit_warnings(anything, charge_point(**facts)) == []


def test_firmware_for_another_model_or_vendor_is_warned_of():
    other = charge_point(chargePointVendor="Suedwerk", chargePointModel="SW-1")

    vendor, model = mismatches(FIRMWARE.vendor, FIRMWARE.model, other)

    assert "vendor Nordwerk, and the charge point has told Suedwerk" in vendor
    assert "model NW-22, and the charge point has told SW-1" in model
    assert fit_warnings(FIRMWARE, other) == [vendor, model]


def test_the_version_that_it_runs_already_is_warned_of():
    [warning] = fit_warnings(FIRMWARE, charge_point(firmwareVersion="5.0"))

    assert "runs version 5.0 already" in warning
