"""Prints what an engine sends: what stands behind ``sideman listen``."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Final

from bridge.osc.client import OscClient, nobody
from bridge.osc.codec import Received

_AGAIN_SECONDS: Final = 5.0
_OWN_ANSWERS: Final = ("/sideman/hello", "/sideman/notify")


def listen(
    host: str,
    port: int,
    write: Callable[[str], None],
    *,
    as_json: bool = False,
    token: str = "",
    seconds: float | None = None,
) -> int:
    """Writes a line for each message that the engine sends, for ``seconds`` or until interrupted.

    Says hello again every few seconds, so an engine that was started again is heard again. Returns
    how many messages came. Raises :class:`SidemanError` where no engine answers at first.
    """
    end = None if seconds is None else time.monotonic() + seconds
    heard = 0
    with OscClient(host, port, timeout=2.0) as client:
        try:
            client.hello("sideman listen", token=token)
        except TimeoutError:
            raise nobody(host, port) from None
        client.ask("/sideman/notify", 1)
        again = time.monotonic() + _AGAIN_SECONDS
        while end is None or time.monotonic() < end:
            until = again if end is None else min(again, end)
            try:
                message = client.receive(max(0.001, until - time.monotonic()))
            except (TimeoutError, ConnectionError):
                message = None
            if message is not None and not _is_own(message):
                heard += 1
                write(line(message, as_json))
            if time.monotonic() >= again:
                client.send("/sideman/hello", 1, "sideman listen", 0, token)
                client.send("/sideman/notify", 1)
                again = time.monotonic() + _AGAIN_SECONDS
    return heard


def line(message: Received, as_json: bool = False) -> str:
    """One message on one line, with the time of day, or as a JSON object."""
    if as_json:
        said = {"time": time.time(), "address": message.address, "args": message.args}
        return json.dumps(said)
    values = [
        json.dumps(a, ensure_ascii=False) if isinstance(a, str) else f"{a:g}" for a in message.args
    ]
    return " ".join((time.strftime("%H:%M:%S"), message.address, *values))


def _is_own(message: Received) -> bool:
    return message.address == "/sideman/done" and message.args[:1] in [(a,) for a in _OWN_ANSWERS]
