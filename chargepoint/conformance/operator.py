"""The operator's side of a case: the central system's HTTP API, over gevent's sockets.

Nothing of the standard library is patched: the connection of http.client is given its socket.
"""

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import gevent
from gevent import socket

from chargepoint.wire import client_context

TIMEOUT_S = 60.0


class ApiUnusable(Exception):
    """The API is not there, or refuses what it must not."""


class CannotBegin(Exception):
    """What the kit was given is not what it needs; says in a sentence what is wrong."""


@dataclass(frozen=True, slots=True)
class ApiAnswer:
    status: int
    body: Any

    @property
    def is_ok(self) -> bool:
        return 200 <= self.status < 300


class Operator:
    """url: up to and with /api/v1."""

    def __init__(self, url: str, key: str, ca_file: str | None = None) -> None:
        parts = urlsplit(url)
        self._secure = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if self._secure else 80)
        self._prefix = parts.path.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}", "Accept": "application/json"}
        self._ca_file = ca_file

    def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        prefix: str | None = None,
    ) -> ApiAnswer:
        """Refusals are statuses; prefix: instead of that of the API. Who is interrupted meanwhile
        goes on when there is an answer: what was entered by it can be deleted then.

        Raises ApiUnusable where nobody answers in HTTP.
        """
        asking = gevent.spawn(self._try, method, path, body, prefix)
        try:
            found = asking.get()
        finally:
            asking.join(TIMEOUT_S)
        if isinstance(found, ApiUnusable):
            raise found
        return found

    def _try(
        self, method: str, path: str, body: Mapping[str, Any] | None, prefix: str | None
    ) -> ApiAnswer | ApiUnusable:
        connection = http.client.HTTPConnection(self._host, self._port)
        where = (self._prefix if prefix is None else prefix) + path
        headers = dict(self._headers)
        content = None
        if body is not None:
            content = json.dumps(body)
            headers["Content-Type"] = "application/json"
        try:
            connection.sock = self._socket()
            connection.request(method, where, content, headers)
            response = connection.getresponse()
            return ApiAnswer(response.status, _body(response.read()))
        except (OSError, http.client.HTTPException) as error:
            unusable = ApiUnusable(f"{method} {path}: {error or type(error).__name__}")
            unusable.__cause__ = error
            return unusable
        finally:
            connection.close()

    def must(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The body. Raises ApiUnusable for a refusal too."""
        answer = self.request(method, path, body)
        if not answer.is_ok:
            raise ApiUnusable(f"{method} {path}: HTTP {answer.status} {answer.body}")
        return answer.body

    def forget(self, path: str) -> None:
        """Delete something at the end: who is not there any more has nothing to be deleted."""
        try:
            self.request("DELETE", path)
        except ApiUnusable:
            pass

    def command(
        self, charge_point_id: str, action: str, payload: Mapping[str, Any], wait_s: int
    ) -> ApiAnswer:
        """The command as it is at its end, or after wait_s."""
        return self.request(
            "POST",
            f"{charge_point_path(charge_point_id)}/commands?wait={wait_s}",
            {"action": action, "payload": payload},
        )

    def version(self) -> str:
        """What the central system says it is; GET /version. Raises ApiUnusable."""
        answer = self.request("GET", "/version", prefix="")
        return str(answer.body.get("version", "?")) if isinstance(answer.body, dict) else "?"

    def _socket(self) -> Any:
        plain = socket.create_connection((self._host, self._port), TIMEOUT_S)
        # The request's head and body are two small writes.
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not self._secure:
            return plain
        try:
            return client_context(self._ca_file).wrap_socket(plain, server_hostname=self._host)
        except BaseException:
            plain.close()
            raise


def charge_point_path(charge_point_id: str) -> str:
    return f"/charge-points/{quote(charge_point_id, safe='')}"


def id_tag_path(id_tag: str) -> str:
    return f"/id-tags/{quote(id_tag, safe='')}"


def _body(raw: bytes) -> Any:
    try:
        return json.loads(raw) if raw else {}
    except ValueError:
        return raw.decode(errors="replace")[:500]
