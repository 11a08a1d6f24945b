"""What lets one charge point fetch one file, or leave one here, for one transfer and for a while.

A grant has the id of its transfer, which is that of its command. Its secret is reckoned from the
id, so that none is kept anywhere: it stands in the URL that the charge point is sent, and nowhere
else. Over HTTP both are one token in the path, over FTP they are user and password.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import quote, urlsplit, urlunsplit

# The path under which the web processes serve files to charge points.
FILES_PATH = "/files"
_ID = re.compile(r"[0-9a-f]{32}")
_SECRET_LENGTH = 32
TOKEN_LENGTH = 64
_TOKEN = re.compile(r"[0-9a-f]{64}")


class GrantKind(StrEnum):
    """Whether the charge point fetches a file or leaves one."""

    DOWNLOAD = "download"
    UPLOAD = "upload"


class GrantState(StrEnum):
    """used: of an upload, whose file is here. A download may be fetched in parts and again."""

    OPEN = "open"
    USED = "used"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class FileGrant:
    """grant_id: also that of its transfer.

    Of a download: storage_key, file_name, size_bytes and sha256 are those of the file. Of an
    upload: max_bytes is its quota, and the rest is empty until it is there.
    """

    grant_id: str
    charge_point_id: str
    kind: GrantKind
    created_at_ms: int
    expires_at_ms: int
    state: GrantState = GrantState.OPEN
    storage_key: str = ""
    file_name: str = ""
    size_bytes: int = 0
    sha256: str = ""
    max_bytes: int = 0

    def is_open(self, now_ms: int) -> bool:
        return self.state is GrantState.OPEN and now_ms < self.expires_at_ms


def secret_of(grant_id: str, pepper: str) -> str:
    """What proves that somebody was sent this grant."""
    said = hmac.new(pepper.encode(), f"file grant {grant_id}".encode(), hashlib.sha256)
    return said.hexdigest()[:_SECRET_LENGTH]


def is_secret_of(grant_id: str, presented: str, pepper: str) -> bool:
    """In constant time."""
    expected = secret_of(grant_id, pepper)
    return hmac.compare_digest(presented.encode("utf-8", "replace"), expected.encode())


def token_of(grant_id: str, pepper: str) -> str:
    """Grant and secret as one part of a path."""
    return grant_id + secret_of(grant_id, pepper)


def read_token(token: str, pepper: str) -> str | None:
    """The grant a token is for; None where it is for none."""
    if not _TOKEN.fullmatch(token):
        return None
    grant_id, secret = token[:_SECRET_LENGTH], token[_SECRET_LENGTH:]
    return grant_id if is_secret_of(grant_id, secret, pepper) else None


def is_grant_id(text: str) -> bool:
    """Whether text may be one; the user of FTP may say anything."""
    return _ID.fullmatch(text) is not None


def location_of(grant: FileGrant, base_url: str, pepper: str) -> str:
    """The URL that a charge point is sent. base_url: FILES_URL or FILES_FTP_URL, without a slash
    at its end. That of an upload is a directory, to which charge points append a name."""
    name = quote(grant.file_name, safe="") if grant.kind is GrantKind.DOWNLOAD else ""
    parts = urlsplit(base_url)
    if parts.scheme in {"http", "https"}:
        return f"{base_url}{FILES_PATH}/{token_of(grant.grant_id, pepper)}/{name}"
    login = f"{grant.grant_id}:{secret_of(grant.grant_id, pepper)}@{parts.netloc}"
    return urlunsplit((parts.scheme, login, f"{parts.path}/{name}", "", ""))
