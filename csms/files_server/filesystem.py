"""The one directory that whoever has logged in sees: with the one file of a download, or empty.

Nothing here has anything to do with the files of the machine. Whatever directories a path names, it
means the one there is; only its last part counts, and is kept as text.
"""

import os
import stat
from collections.abc import Callable
from typing import Any, BinaryIO, NoReturn

from pyftpdlib.exceptions import FilesystemError
from pyftpdlib.filesystems import AbstractedFS

from csms.domain.file_grant import FileGrant, GrantKind
from csms.files_server.exchange import Exchange, Upload, refusing
from csms.files_server.refused import Refused

ROOT = "/"


class GrantFilesystem(AbstractedFS):
    """What pyftpdlib asks about files, for one connection."""

    cmd_channel: Any

    @property
    def _grant(self) -> FileGrant:
        grant: FileGrant = self.cmd_channel.authorizer.grant
        return grant

    @property
    def _exchange(self) -> Exchange:
        exchange: Exchange = self.cmd_channel.server.exchange
        return exchange

    def _names(self) -> list[str]:
        grant = self._grant
        return [name_in(grant.file_name)] if grant.kind is GrantKind.DOWNLOAD else []

    # --- paths

    def ftp2fs(self, ftppath: str) -> str:
        return ROOT + name_in(ftppath)

    def fs2ftp(self, fspath: str) -> str:
        return fspath

    def validpath(self, _: str) -> bool:
        return True

    def realpath(self, path: str) -> str:
        return path

    def chdir(self, _: str) -> None:
        """To whatever directory, it is this one: FILES_FTP_URL may have a path, and charge points
        their own ideas."""
        self.cwd = ROOT

    # --- what is there

    def listdir(self, _: str) -> list[str]:
        return self._names()

    def isdir(self, path: str) -> bool:
        return path == ROOT

    def isfile(self, path: str) -> bool:
        return path != ROOT and path[1:] in self._names()

    def islink(self, _: str) -> bool:
        return False

    def lexists(self, path: str) -> bool:
        return self.isdir(path) or self.isfile(path)

    def stat(self, path: str) -> os.stat_result:
        if self.isdir(path):
            mode, size_bytes = stat.S_IFDIR | 0o555, 0
        elif self.isfile(path):
            mode, size_bytes = stat.S_IFREG | 0o444, self._grant.size_bytes
        else:
            raise FilesystemError("No such file")
        at_s = self._grant.created_at_ms // 1000
        return os.stat_result((mode, 0, 0, 1, 0, 0, size_bytes, at_s, at_s, at_s))

    lstat = stat

    def getsize(self, path: str) -> int:
        return self.stat(path).st_size

    def getmtime(self, path: str) -> float:
        return self.stat(path).st_mtime

    def get_user_by_uid(self, _: int) -> str:
        return "csms"

    get_group_by_gid = get_user_by_uid

    # --- files that travel

    def open(self, filename: str, mode: str) -> "OutboundFile | InboundFile":
        """For RETR or STOR. Raises Refused."""
        refuse = self.cmd_channel.refuse_transfer
        if mode == "rb":
            if not self.isfile(filename):
                raise Refused("550", "There is no such file here.")
            return OutboundFile(self._exchange.fetch(self._grant), refuse, filename)
        if mode != "wb":
            raise Refused("554", "An upload can't be resumed: send the file from its beginning.")
        if filename == ROOT:
            raise Refused("553", "A file needs a name.")
        channel = self.cmd_channel
        upload = self._exchange.receive(
            self._grant, filename[1:], channel.scheme, channel.remote_ip
        )
        return InboundFile(upload, refuse, filename)

    # --- what nobody may do, and pyftpdlib would do to the files of the machine

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise FilesystemError("Not permitted")

    mkdir = rmdir = remove = rename = chmod = utime = mkstemp = readlink = listdirinfo = _refuse


def name_in(path: str) -> str:
    """The last part of a path, as charge points write them; empty for a directory."""
    parts = [part for part in path.split("/") if part not in {"", ".", ".."}]
    return parts[-1] if parts else ""


class OutboundFile:
    """A file of the storage as pyftpdlib reads it. refuse: aborts the transfer with a reply."""

    def __init__(self, file: BinaryIO, refuse: Callable[[Refused], None], name: str) -> None:
        self._file = file
        self._refuse = refuse
        self.name = name

    @property
    def closed(self) -> bool:
        return self._file.closed

    def read(self, size: int) -> bytes:
        try:
            with refusing():
                return self._file.read(size)
        except Refused as refusal:
            self._refuse(refusal)
            return b""

    def seek(self, position: int) -> int:
        return self._file.seek(position)

    def tell(self) -> int:
        return self._file.tell()

    def fileno(self) -> int:
        """Raises OSError where there is none; where there is, the kernel sends the file."""
        return self._file.fileno()

    def close(self) -> None:
        self._file.close()


class InboundFile:
    """An upload as pyftpdlib writes it: closed before it is finished, nothing of it stays."""

    def __init__(self, upload: Upload, refuse: Callable[[Refused], None], name: str) -> None:
        self._upload = upload
        self._refuse = refuse
        self.name = name
        self.closed = False

    def write(self, chunk: bytes) -> None:
        try:
            self._upload.write(chunk)
        except Refused as refusal:
            self._refuse(refusal)

    def finish(self) -> None:
        """All of it is here. Raises Refused."""
        self._upload.finish()
        self.closed = True

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._upload.abandon()
