"""Whether a run can begin: what is in its way is said in one sentence, before anything is tried."""

import re
from collections.abc import Iterable

import gevent.ssl

from chargepoint.conformance.case import Case
from chargepoint.conformance.operator import ApiUnusable, CannotBegin, Operator
from chargepoint.conformance.run import Run
from chargepoint.conformance.target import Target
from chargepoint.wire import client_context

_CHARGE_POINT = "/charge-points/{}"
# What the cases ask of the API, with {} for whatever stands in a path.
OPERATIONS = (
    *(("POST", path) for path in ("/charge-points", "/id-tags")),
    *((method, _CHARGE_POINT) for method in ("GET", "PATCH", "DELETE")),
    *((method, "/id-tags/{}") for method in ("GET", "PATCH", "DELETE")),
    ("POST", f"{_CHARGE_POINT}/commands"),
    *(("GET", path) for path in ("/commands/{}", "/transactions/{}", "/security-events")),
    ("GET", f"{_CHARGE_POINT}/local-list"),
    ("POST", f"{_CHARGE_POINT}/local-list/sync"),
    *(("POST", f"{_CHARGE_POINT}/{name}") for name in ("firmware-updates", "log-uploads")),
    *(("GET", f"{_CHARGE_POINT}/{name}/{{}}") for name in ("firmware-updates", "log-uploads")),
    ("POST", f"{_CHARGE_POINT}/reservations"),
    *((method, f"{_CHARGE_POINT}/reservations/{{}}") for method in ("GET", "DELETE")),
    *((method, f"{_CHARGE_POINT}/charging-profiles") for method in ("GET", "POST", "DELETE")),
    *((method, f"{_CHARGE_POINT}/composite-schedule") for method in ("GET", "POST")),
    ("GET", "/certificate-authority"),
    *((method, f"{_CHARGE_POINT}/certificates") for method in ("GET", "POST")),
    ("DELETE", f"{_CHARGE_POINT}/certificates/{{}}"),
    ("POST", f"{_CHARGE_POINT}/renew-certificate"),
)
_SHOWN_MAX = 3


def check_needs(target: Target, cases: Iterable[Case]) -> None:
    """That what the cases need was given. Raises CannotBegin."""
    wanting = {
        f"--{name.replace('_', '-')}": case.case_id
        for case in cases
        for name in case.needs
        if getattr(target, name) is None
    }
    if wanting:
        options = " and ".join(sorted(wanting))
        raise CannotBegin(
            f"{options}: needed by {', '.join(sorted(set(wanting.values())))} and others of TLS; "
            "--without-tls leaves those cases out"
        )


def check_api(target: Target) -> None:
    """That the API is there, new enough, and takes the key. Raises CannotBegin."""
    try:
        client_context(target.ca_file)
    except (OSError, gevent.ssl.SSLError) as error:
        raise CannotBegin(f"--ca: {target.ca_file} can't be read: {_plain(error)}") from None
    operator = Operator(target.api, target.key, target.ca_file)
    try:
        document = operator.request("GET", "/openapi.json")
        allowed = operator.request("GET", "/id-tags?limit=1")
    except ApiUnusable as error:
        cause = error.__cause__ or error
        raise CannotBegin(f"--api: {target.api} does not answer: {_plain(cause)}") from None
    paths = document.body.get("paths") if isinstance(document.body, dict) else None
    if not document.is_ok or not isinstance(paths, dict):
        raise CannotBegin(
            f"--api: {target.api} is not the API of a central system of ours (its address ends "
            f"with /api/v1): /openapi.json is answered with HTTP {document.status}"
        )
    if allowed.status in {401, 403}:
        raise CannotBegin(f"--key: {target.api} does not take it: HTTP {allowed.status}")
    offered = {(method.upper(), _below(path)) for path, item in paths.items() for method in item}
    missing = [f"{method} {path}" for method, path in OPERATIONS if (method, path) not in offered]
    if missing:
        more = f" and {len(missing) - _SHOWN_MAX} more" if len(missing) > _SHOWN_MAX else ""
        raise CannotBegin(
            f"--api: {target.api} is older than this kit: it has no "
            f"{', '.join(missing[:_SHOWN_MAX])}{more}"
        )


def check_endpoints(run: Run) -> None:
    """That a charge point is heard at the addresses given; whether it is treated well is for the
    cases. Raises CannotBegin, ApiUnusable."""
    target = run.target
    with run.prepared("PREFLIGHT") as tool:
        answer = tool.upgrade()
        status = answer["status"]
        if status == 0:
            raise CannotBegin(f"--url: {target.url} does not answer: {_plain(answer['reason'])}")
        if status == 404:
            raise CannotBegin(
                f"--url: {target.url} knows nothing of a charge point that {target.api} knows: "
                "is the path right (without an identity), and are both of one central system?"
            )
        if status != 101:
            whose = "--charge-point, --authorization-key" if tool.played.stays else "--url, --api"
            raise CannotBegin(
                f"{whose}: {tool.charge_point_id} is not let in at {target.url}: HTTP {status}"
            )
        tool.disconnect()
        for option, url in (
            ("--tls-url", target.tls_url),
            ("--client-tls-url", target.client_tls_url),
        ):
            if url is None:
                continue
            found = tool.secure(url, client_context(target.ca_file))
            # Where a client certificate is wanted the server's own was good enough before.
            if found["version"] is None and not _wants_certificate(found["reason"]):
                hint = "; --ca names who vouches for it" if "CERTIFICATE" in found["reason"] else ""
                raise CannotBegin(f"{option}: no TLS with {url}: {_plain(found['reason'])}{hint}")


def _wants_certificate(reason: str) -> bool:
    return "ALERT" in reason


def _below(path: str) -> str:
    """The path without /api/v1, its parameters without their names."""
    return re.sub(r"\{[^}]*\}", "{}", re.sub(r"^/api/v\d+", "", path))


def _plain(error: object) -> str:
    """What OpenSSL and the operating system say, without their numbers."""
    text = re.sub(r"^\[[^\]]*\]\s*|\s*\(_ssl\.c:\d+\)", "", str(error))
    return text or type(error).__name__
