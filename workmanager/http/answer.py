"""What comes of one request: an answer, or none."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any


class NoAnswer(Exception):
    """The connection could not be opened, broke, or was silent for too long; the message is the reason.

    Attributes:
        sent: the request may have reached the manager.
    """

    def __init__(self, reason: BaseException, *, sent: bool) -> None:
        # The first line of an answer that is no HTTP is quoted with its line break.
        super().__init__(str(reason).strip() or type(reason).__name__)
        self.sent = sent


class Answer:
    """An answer of a manager.

    Attributes:
        url: the manager's base address, and the path.
        status: the HTTP status.
        content: the body; empty if it is read line by line.
    """

    def __init__(self, url: str, status: int, headers: Mapping[str, str], content: bytes = b"") -> None:
        self.url = url
        self.status = status
        self._headers = {name.lower(): value for name, value in headers.items()}
        self.content = content

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def text(self) -> str:
        """The body, in UTF-8."""
        return self.content.decode(errors="replace")

    def header(self, name: str) -> str | None:
        """Return the value of a header field; None if there is no such field."""
        return self._headers.get(name.lower())

    def json(self) -> Any:
        """Return the body's JSON.

        Raises:
            ValueError: the body is no JSON.
        """
        return json.loads(self.content)
