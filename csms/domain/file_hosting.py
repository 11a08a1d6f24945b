"""Where charge points may be sent for files: by which protocol to those that are kept here, and to
which other hosts; and whether firmware is meant for a charge point at all."""

from collections.abc import Collection, Iterable, Sequence
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from csms.config import TransferProtocol
from csms.domain.charge_point import ChargePoint
from csms.domain.hosted_file import FirmwareImage


def offered_by(base_urls: Iterable[str | None]) -> dict[TransferProtocol, str]:
    """The base URL by which files travel over each protocol; each URL offers that of its scheme."""
    return {TransferProtocol(urlsplit(url).scheme): url for url in base_urls if url}


def chosen_protocol(
    supported: Sequence[str] | None,
    offered: Collection[TransferProtocol],
    preferred: TransferProtocol | None,
) -> TransferProtocol | None:
    """The best of what both ends speak, as TransferProtocol is ordered; None where there is none.

    supported: the charge point's SupportedFileTransferProtocols. Where it has told none, whatever
    is preferred and offered.
    """
    if not supported and preferred in offered:
        return preferred
    told = {name.strip().casefold() for name in supported or TransferProtocol}
    return next((one for one in TransferProtocol if one in offered and one in told), None)


def host_problem(parts: SplitResult, hosts: Collection[str]) -> str | None:
    """Why charge points must not be sent to this URL; None where they may be.

    hosts: names, addresses (of IPv6 in brackets) and `*.suffix`; empty: any.
    """
    if not hosts:
        return None
    if parts.netloc.count("@") > 1 or "\\" in parts.netloc:
        # Some take the host to begin after the first @, or to end before the backslash.
        return "must have @ and \\ percent-encoded, so that FILE_HOSTS can be kept to"
    host = _folded(parts.hostname or "")
    for known in hosts:
        if host == _folded(known) or (known.startswith("*.") and host.endswith(_folded(known[1:]))):
            return None
    return f"must be on a host of FILE_HOSTS: {', '.join(hosts)}"


def _folded(host: str) -> str:
    """The form in which hosts are compared."""
    plain = host.strip("[]").rstrip(".").casefold()
    try:
        return ip_address(plain).compressed
    except ValueError:
        return plain


def fit_warnings(image: FirmwareImage, charge_point: ChargePoint) -> list[str]:
    """What speaks against this firmware on this charge point, by what that has told of itself."""
    told, warnings = charge_point.facts, mismatches(image.vendor, image.model, charge_point)
    if image.version and image.version == told.get("firmwareVersion"):
        warnings.append(f"the charge point has told that it runs version {image.version} already")
    return warnings


def mismatches(vendor: str, model: str, charge_point: ChargePoint) -> list[str]:
    """Those of a firmware and those that the charge point has told, where both name one, and not
    the same."""
    compared = {
        "vendor": (vendor, charge_point.facts.get("chargePointVendor", "")),
        "model": (model, charge_point.facts.get("chargePointModel", "")),
    }
    return [
        f"the firmware is for the {name} {meant}, and the charge point has told {told}"
        for name, (meant, told) in compared.items()
        if meant and told and meant.strip().casefold() != told.strip().casefold()
    ]
