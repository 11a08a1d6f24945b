"""A master that forks the server's processes and keeps them running; it does nothing else.

It uses the operating system's own fork, wait, signal and select even where gevent has patched
them: the master must never start an event loop that its children would inherit.
"""

import ctypes
import errno
import logging
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, NoReturn

import gevent
from gevent.monkey import get_original

from csms import logs
from csms.config import Settings
from csms.errors import ConfigurationError

CONFIGURATION_ERROR: Final = 78
"""EX_CONFIG of sysexits.h: a restart does not mend it, so it ends the master too."""

STOP_DEADLINE_S = 8.0
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0
SHORT_LIFE_S = 5.0
"""A child that dies younger than this is restarted after a pause, twice as long each time."""

_PR_SET_PDEATHSIG = 1
_CAUGHT = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)
_fork = get_original("os", "fork")
_waitpid = get_original("os", "waitpid")
_signal = get_original("signal", "signal")
_set_wakeup_fd = get_original("signal", "set_wakeup_fd")
_select = get_original("select", "select")

log = logging.getLogger("csms.transport")


@dataclass(slots=True)
class _Slot:
    """A place for one child, filled again when the child dies."""

    index: int
    pid: int = 0
    started_at: float = 0.0
    start_at: float = 0.0
    pause_s: float = field(default=FIRST_PAUSE_S)


def main(environ: Mapping[str, str], child: Callable[[int], None]) -> int:
    """run() with WEB_CONCURRENCY children, once the settings and ports are known to be right."""
    try:
        settings = Settings.from_env(environ)
        check_port_is_free("PORT", settings.host, settings.port)
        for port in settings.tls_ports:
            check_port_is_free("TLS_PORTS", settings.host, port.port)
    except ConfigurationError as error:
        print(f"csms: {error}", file=sys.stderr)  # noqa: T201  # logs are not set up yet
        return CONFIGURATION_ERROR
    logs.configure(settings.log_level, settings.log_format)
    return run(child, settings.web_concurrency)


def check_port_is_free(variable: str, host: str, port: int) -> None:
    """Raises ConfigurationError, naming the variable, where somebody listens there already.

    The children share their port, so that each of them could listen beside a forgotten system of
    the same user, which would go on getting every other connection.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise ConfigurationError(variable, f"{port} is in use already.") from None
            raise ConfigurationError(variable, f"{host}:{port}: {error.strerror}.") from None


def run(child: Callable[[int], None], count: int) -> int:
    """Forks `count` processes that each call child(index), until SIGTERM or SIGINT.

    Either signal is passed on as SIGTERM, once; who is still there 8 s later is killed.
    Returns the exit code: 0 when all children ended with 0 after the signal, 78 when one found
    its configuration wrong, 1 otherwise.
    """
    return _Master(child, count).run()


class _Master:
    def __init__(self, child: Callable[[int], None], count: int) -> None:
        self._child = child
        self._slots = [_Slot(index) for index in range(count)]
        self._kill_at: float | None = None
        self._exit_code = 0
        self._wake_read, self._wake_write = os.pipe()

    def run(self) -> int:
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        # The handlers do nothing: each signal's number arrives through the pipe.
        before = [(number, _signal(number, _wake_only)) for number in _CAUGHT]
        wakeup_before = _set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        try:
            while not self._is_over():
                self._start_children()
                self._wait_for_news()
                self._reap()
                self._kill_the_late()
        finally:
            _set_wakeup_fd(wakeup_before)
            for number, handler in before:
                _signal(number, handler)
            os.close(self._wake_read)
            os.close(self._wake_write)
        return self._exit_code

    def _is_over(self) -> bool:
        return self._kill_at is not None and not any(slot.pid for slot in self._slots)

    def _start_children(self) -> None:
        if self._kill_at is not None:
            return
        now = time.monotonic()
        for slot in self._slots:
            if not slot.pid and slot.start_at <= now:
                slot.started_at = now
                slot.pid = self._start(slot.index)

    def _start(self, index: int) -> int:
        sys.stdout.flush()
        sys.stderr.flush()
        master = os.getpid()
        # Held back until the child has its own handlers, or it would swallow a SIGTERM.
        signal.pthread_sigmask(signal.SIG_BLOCK, _CAUGHT)
        pid: int = _fork()
        if not pid:
            self._become(index, master)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _CAUGHT)
        return pid

    def _become(self, index: int, master: int) -> NoReturn:
        code = 1
        try:
            _set_wakeup_fd(-1)
            os.close(self._wake_read)
            os.close(self._wake_write)
            _signal(signal.SIGCHLD, signal.SIG_DFL)
            _signal(signal.SIGTERM, signal.SIG_DFL)
            # Ctrl-C reaches the whole process group; the children get SIGTERM from the master.
            _signal(signal.SIGINT, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _CAUGHT)
            _end_with(master)
            gevent.reinit()
            self._child(index)
            code = 0
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        except BaseException:  # noqa: BLE001  # the edge: nothing may return into the master's code
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            logging.shutdown()
            os._exit(code)

    def _wait_for_news(self) -> None:
        now = time.monotonic()
        instants = [slot.start_at for slot in self._slots if not slot.pid]
        if self._kill_at is not None:
            instants = [self._kill_at]
        timeout = max(min(instants) - now, 0) if instants else None
        _select([self._wake_read], [], [], timeout)
        try:
            numbers = os.read(self._wake_read, 512)
        except BlockingIOError:
            return
        if signal.SIGTERM in numbers or signal.SIGINT in numbers:
            self._stop()

    def _stop(self) -> None:
        if self._kill_at is not None:
            return
        self._kill_at = time.monotonic() + STOP_DEADLINE_S
        for slot in self._slots:
            if slot.pid:
                os.kill(slot.pid, signal.SIGTERM)

    def _kill_the_late(self) -> None:
        if self._kill_at is not None and time.monotonic() >= self._kill_at:
            for slot in self._slots:
                if slot.pid:
                    log.error("process killed: it did not stop in time", extra={"pid": slot.pid})
                    os.kill(slot.pid, signal.SIGKILL)
            self._kill_at = time.monotonic() + STOP_DEADLINE_S

    def _reap(self) -> None:
        while True:
            try:
                pid, status = _waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            for slot in self._slots:
                if slot.pid == pid:
                    self._bury(slot, os.waitstatus_to_exitcode(status))

    def _bury(self, slot: _Slot, code: int) -> None:
        pid, slot.pid = slot.pid, 0
        if self._kill_at is not None:
            # -SIGTERM: the signal came before the child had its handler; it had nothing to end.
            if code not in (0, -signal.SIGTERM) and not self._exit_code:
                self._exit_code = 1
            return
        if code == CONFIGURATION_ERROR:
            self._exit_code = CONFIGURATION_ERROR
            self._stop()
            return
        now = time.monotonic()
        if now - slot.started_at >= SHORT_LIFE_S:
            slot.pause_s = FIRST_PAUSE_S
        slot.start_at = now + slot.pause_s
        slot.pause_s = min(2 * slot.pause_s, LONGEST_PAUSE_S)
        log.error(
            "process ended unexpectedly",
            extra={"pid": pid, "exit_code": code, "restart_in_s": slot.start_at - now},
        )


def _wake_only(number: int, frame: object) -> None:
    """What matters went through the wake-up pipe already."""


def _end_with(master: int) -> None:
    """Has the kernel send SIGTERM when the master dies, even by SIGKILL (Linux only)."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != master:  # it died before the line above
        raise SystemExit(1)
