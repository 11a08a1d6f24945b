"""Operators, their sessions, and the API keys of programs."""

import hashlib
import secrets
from dataclasses import dataclass

import orjson

from csms.domain.credentials import SALT_BYTES, hash_key, key_matches
from csms.errors import AlreadyExists, NotFound
from csms.state import keys
from csms.state.link import Link

SESSION_IDLE_S = 12 * 3_600
API_KEY_PREFIX = "csms"


@dataclass(frozen=True, slots=True)
class User:
    """password_hash: Argon2id, made and checked in web/."""

    name: str
    password_hash: str
    created_at_ms: int


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A program's key, without its secret."""

    key_id: str
    name: str
    created_at_ms: int


class Accounts:
    """pepper: the CREDENTIAL_PEPPER setting."""

    def __init__(self, link: Link, pepper: str) -> None:
        self._link = link
        self._pepper = pepper.encode()

    def create_user(self, user: User) -> None:
        """Raises AlreadyExists."""
        record = orjson.dumps(
            {"password_hash": user.password_hash, "created_at_ms": user.created_at_ms}
        )
        if not self._link.call("HSETNX", keys.USERS, user.name, record):
            raise AlreadyExists("user", user.name)

    def set_password(self, name: str, password_hash: str) -> None:
        """Raises NotFound."""
        user = self.find_user(name)
        if user is None:
            raise NotFound("user", name)
        record = {"password_hash": password_hash, "created_at_ms": user.created_at_ms}
        self._link.call("HSET", keys.USERS, name, orjson.dumps(record))

    def find_user(self, name: str) -> User | None:
        text = self._link.call("HGET", keys.USERS, name)
        return User(name, **orjson.loads(text)) if text else None

    def has_users(self) -> bool:
        return bool(self._link.call("EXISTS", keys.USERS))

    def open_session(self, name: str, now_ms: int) -> str:
        """The token for the browser; only its digest is kept."""
        token = secrets.token_urlsafe(32)
        self._link.call("SET", _session(token), name, "EX", SESSION_IDLE_S)
        return token

    def session_user(self, token: str) -> str | None:
        """Whose session this is; using it keeps it alive."""
        user: str | None = self._link.call("GETEX", _session(token), "EX", SESSION_IDLE_S)
        return user

    def peek_session(self, token: str) -> str | None:
        """Whose session this is, without keeping it alive: for what a page does by itself."""
        user: str | None = self._link.call("GET", _session(token))
        return user

    def close_session(self, token: str) -> None:
        self._link.call("DEL", _session(token))

    def create_api_key(self, name: str, now_ms: int) -> str:
        """The key, to be shown once: `csms_<key id>_<secret>`."""
        key_id = secrets.token_hex(6)
        secret = secrets.token_urlsafe(24)
        stored = hash_key(secret.encode(), secrets.token_bytes(SALT_BYTES), self._pepper)
        record = {"name": name, "hash": stored, "created_at_ms": now_ms}
        self._link.call("HSET", keys.API_KEYS, key_id, orjson.dumps(record))
        return f"{API_KEY_PREFIX}_{key_id}_{secret}"

    def find_api_key(self, presented: str) -> ApiKey | None:
        """The record of a right key, None for any other."""
        prefix, _, rest = presented.partition("_")
        key_id, _, secret = rest.partition("_")
        if prefix != API_KEY_PREFIX or not secret:
            return None
        text = self._link.call("HGET", keys.API_KEYS, key_id)
        if text is None:
            return None
        record = orjson.loads(text)
        if not key_matches(secret.encode(), record["hash"], self._pepper):
            return None
        return ApiKey(key_id, record["name"], record["created_at_ms"])

    def has_api_keys(self) -> bool:
        return bool(self._link.call("EXISTS", keys.API_KEYS))

    def api_keys(self) -> list[ApiKey]:
        reply = self._link.call("HGETALL", keys.API_KEYS)
        rows = zip(reply[::2], reply[1::2], strict=True)
        records = [(key_id, orjson.loads(text)) for key_id, text in rows]
        return [ApiKey(k, r["name"], r["created_at_ms"]) for k, r in records]

    def delete_api_key(self, key_id: str) -> None:
        """Raises NotFound."""
        if not self._link.call("HDEL", keys.API_KEYS, key_id):
            raise NotFound("API key", key_id)


def _session(token: str) -> str:
    return keys.session(hashlib.sha256(token.encode()).hexdigest())
