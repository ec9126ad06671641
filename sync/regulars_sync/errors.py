"""The tree of errors.

    RegularsError            everything this product raises on purpose
    ├── Refused              a request can't be served; nothing was done
    ├── LocalError           this tablet or command can't go on; nothing is half done
    └── Offline              the server can't be reached, or what answered is not one

Each has a stable `code`, whose message in both languages stands in the catalogue
(`regulars_schema.messages`) and in docs/ERRORS.md. Verdicts, conflicts and held changes are
results, not errors.
"""

from __future__ import annotations

from typing import Any

from regulars_schema.messages import MESSAGES, text


class RegularsError(Exception):
    """Something that was foreseen went wrong; `code` names it, `detail` fills its message."""

    def __init__(self, code: str, **detail: Any) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.code}: {self.text()}"

    def text(self, lang: str = "en") -> str:
        """The message in a language, `zh` or `en`."""
        return text(self.code, self.detail, lang)

    @property
    def retryable(self) -> bool:
        message = MESSAGES.get(self.code)
        return message is not None and message.retryable

    @property
    def status(self) -> int:
        """The HTTP status that carries it."""
        message = MESSAGES.get(self.code)
        return message.status if message and message.status else 500


class Refused(RegularsError):
    """A request can't be served as it is."""


class LocalError(RegularsError):
    """This tablet or this command can't go on; nothing is half done."""


class Offline(LocalError):
    """The server can't be reached, or what answered is not one."""
