"""`make run`: everything on one machine, with nothing to set up beforehand.

Starts the embedded store (unless REDIS_URL names one), then what the Procfile says, and says where
everything is; on the first start it makes the secrets, the admin and an API key.
"""

import argparse
import os
import secrets
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from argon2 import PasswordHasher
from honcho.manager import Manager
from honcho.printer import Printer

from csms.clock import now_ms
from csms.config import Settings
from csms.development_certificates import DevelopmentFiles
from csms.errors import ConfigurationError, CSMSError
from csms.state.accounts import Accounts, User
from csms.state.embedded import EmbeddedStore
from csms.state.link_sync import SyncLink

ROOT = Path(__file__).resolve().parent.parent
SUPERVISE_S = 0.5
ADMIN = "admin"
# What honcho answers after SIGINT and SIGTERM.
STOPPED = (130, 143)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until Ctrl-C or SIGTERM; stops what it started, and only that."""
    parser = argparse.ArgumentParser(prog="python -m csms.local", description=__doc__)
    parser.add_argument("--demo", type=int, default=0, help="so many virtual charge points")
    demo_count = parser.parse_args(arguments).demo
    environ = dict(os.environ)
    var = Path(environ.get("CSMS_VAR", ROOT / "var"))
    # Ctrl-C reaches the whole terminal group; the launcher stops its children itself, in order.
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGHUP, _interrupt)
    try:
        _make_secrets(environ, var)
        _take_certificates(environ)
        if demo_count:
            environ.setdefault("CSMS_API_KEY", secrets.token_urlsafe(24))
        with _store(environ, var / "store"):
            settings = _host_files(environ, var)
            first_login = _first_accounts(settings)
            _say_where(settings, first_login)
            return _run_procfile(environ, _demo(settings, demo_count))
    except KeyboardInterrupt:
        return 0
    except CSMSError as error:
        print(f"csms: {error}", file=sys.stderr)  # noqa: T201
        return 78


def _make_secrets(environ: dict[str, str], var: Path) -> None:
    """Secrets this machine keeps for itself, where the environment gives none."""
    var.mkdir(mode=0o700, parents=True, exist_ok=True)
    for variable in ("SECRET_KEY", "CREDENTIAL_PEPPER"):
        if environ.get(variable):
            continue
        path = var / variable.lower()
        if not path.exists():
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_hex(32))
        environ[variable] = path.read_text().strip()


def _take_certificates(environ: dict[str, str]) -> None:
    """Those of `make certs`, where they are and no others are set."""
    if environ.get("TLS_CERTIFICATES"):
        return
    for variable, value in DevelopmentFiles.in_var(environ.get("CSMS_VAR")).environment().items():
        environ[variable] = environ.get(variable) or value


def _host_files(environ: dict[str, str], var: Path) -> Settings:
    """Files are kept here, for charge points on this machine, where nothing else is set."""
    settings = Settings.from_env(environ)
    for variable, value in {
        "FILES_DIRECTORY": str(var / "files"),
        "FILES_URL": f"http://localhost:{settings.port}",
        "FILES_FTP_URL": f"ftp://localhost:{settings.ftp_port}",
    }.items():
        environ[variable] = environ.get(variable) or value
    return Settings.from_env(environ)


@contextmanager
def _store(environ: dict[str, str], directory: Path) -> Iterator[None]:
    if environ.get("REDIS_URL"):
        yield
        return
    match environ.get("STORE_FSYNC") or "everysec":
        case "everysec" | "always" as fsync:
            store = EmbeddedStore(directory, fsync)
        case _:
            raise ConfigurationError("STORE_FSYNC", "must be everysec or always")
    store.start()
    environ["REDIS_URL"] = store.url
    done = threading.Event()
    supervisor = threading.Thread(target=_supervise, args=(store, done.wait), daemon=True)
    supervisor.start()
    try:
        yield
    finally:
        done.set()
        supervisor.join()
        store.stop()


def _supervise(store: EmbeddedStore, wait: Callable[[float], bool]) -> None:
    """A store that dies is started again: its append-only file has every confirmed record."""
    while not wait(SUPERVISE_S):
        try:
            store.restart_if_dead()
        except CSMSError as error:
            print(f"csms: the store can't be restarted: {error}", file=sys.stderr)  # noqa: T201


def _first_accounts(settings: Settings) -> tuple[str, str] | None:
    """(password, API key) of the first start; None ever after."""
    link = SyncLink(settings.redis_url)
    try:
        accounts = Accounts(link, settings.credential_pepper)
        if accounts.has_users():
            return None
        password = secrets.token_urlsafe(12)
        api_key = accounts.create_api_key("first", now_ms())
        # The user last: without one the next start begins anew.
        accounts.create_user(User(ADMIN, PasswordHasher().hash(password), now_ms()))
        return password, api_key
    finally:
        link.close()


def _say_where(settings: Settings, first_login: tuple[str, str] | None) -> None:
    lines = [
        "",
        f"  Dashboard       http://localhost:{settings.port}/",
        f"  Charge points   ws://<this machine>:{settings.port}{settings.ocpp_path}"
        "/<charge point id>",
        f"  API             http://localhost:{settings.port}/api/v1   (described at /api/docs)",
    ]
    for port in settings.tls_ports:
        lines.append(
            f"  With TLS        wss://<this machine>:{port.port}{settings.ocpp_path}"
            f"/<charge point id>   (client certificate: {port.client_certificates})"
        )
    lines.append(f"  Files           {settings.files_url} and {settings.files_ftp_url}")
    if first_login is not None:
        password, api_key = first_login
        lines += [
            "",
            "  Shown this once:",
            f"  Login           {ADMIN} / {password}",
            f"  API key         {api_key}",
        ]
    print("\n".join(lines), end="\n\n", flush=True)  # noqa: T201


def _demo(settings: Settings, count: int) -> Mapping[str, str]:
    """The process that plays the charge points; none where nobody asked for them."""
    if not count:
        return {}
    here = f"127.0.0.1:{settings.port}"
    return {
        "fleet": f"python -m chargepoint.demo --count {count} --patience 60"
        f" --url ws://{here}{settings.ocpp_path} --api http://{here}/api/v1"
    }


def _run_procfile(given: Mapping[str, str], more: Mapping[str, str]) -> int:
    """What the Procfile says and more, until one of them ends or we are told to."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{given.get('PATH', '')}"
    environ = {**given, "PATH": path, "PYTHONUNBUFFERED": "1"}
    if sys.stdout.isatty():
        # The children write into honcho's pipes and can't see the terminal behind it.
        environ.setdefault("LOG_FORMAT", "pretty")
    processes = dict(
        line.split(":", 1) for line in (ROOT / "Procfile").read_text().splitlines() if ":" in line
    )
    manager = Manager(Printer(sys.stdout))
    for name, command in {**processes, **more}.items():
        manager.add_process(name, f"exec {command.strip()}", env=environ, cwd=str(ROOT))
    manager.loop()
    # Told to stop is no failure; anything else is what the process that ended said.
    return 0 if manager.returncode in STOPPED else int(manager.returncode or 0)


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
