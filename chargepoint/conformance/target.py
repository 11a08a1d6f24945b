"""Which central system is tried, how it is reached, and how patient the kit is."""

from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Target:
    """url: the endpoint without identity; api: up to and with /api/v1; ca_file: who vouches for
    both over TLS, None for the authorities this machine trusts.

    tls_url and client_tls_url are wanted by the cases of security profiles 2 and 3 only.
    """

    url: str
    api: str
    key: str = field(repr=False)
    tls_url: str | None = None
    client_tls_url: str | None = None
    ca_file: str | None = None
    answer_limit_s: float = 5.0  # for each CALLRESULT
    patience_s: float = 10.0  # for a CALL that an operator asked for
    heartbeat_wait_s: float = 60.0  # the longest heartbeat interval the kit waits for
    pauses: bool = True  # False: what a charge point would wait for is over at once

    def __post_init__(self) -> None:
        for name, schemes in (
            ("url", ("ws", "wss")),
            ("tls_url", ("wss",)),
            ("client_tls_url", ("wss",)),
            ("api", ("http", "https")),
        ):
            value = getattr(self, name)
            if value is not None and urlsplit(value).scheme not in schemes:
                option = f"--{name.replace('_', '-')}"
                raise ValueError(f"{option}: {value} is not an address of {' or '.join(schemes)}")
