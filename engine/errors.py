"""What can go wrong, as one table of codes and one exception that carries a code."""

from __future__ import annotations

from enum import StrEnum


class Code(StrEnum):
    """The codes that `/sideman/fail` and the HTTP interface send."""

    UNKNOWN_ADDRESS = "unknown-address"
    BAD_ARGUMENTS = "bad-arguments"
    UNKNOWN_TRACK = "unknown-track"
    UNKNOWN_PRESET = "unknown-preset"
    UNKNOWN_MODEL = "unknown-model"
    BUSY = "busy"
    TOO_LATE = "too-late"
    CANCELLED = "cancelled"
    WORKER_DIED = "worker-died"
    OUT_OF_MEMORY = "out-of-memory"
    NO_CONTEXT = "no-context"
    NOT_ALLOWED = "not-allowed"
    BAD_FILE = "bad-file"


class SidemanError(Exception):
    """Something the user can mend. ``text`` says what is wrong and what to do, in one line."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
