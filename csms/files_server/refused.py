"""What a charge point is answered over FTP where it does not get what it wants."""


class Refused(Exception):
    """code: of RFC 959, in which 4 means that it may try again, and 5 that it need not."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text

    @property
    def reply(self) -> str:
        return f"{self.code} {self.text}"
