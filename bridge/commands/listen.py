"""``sideman listen``: watch what an engine sends."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Annotated

from typer import Option

from bridge.commands.output import Json


def listen(
    osc_host: Annotated[str, Option(help="Address of the engine.")] = "127.0.0.1",
    osc_port: Annotated[int, Option(min=1, max=65535, help="Port of the engine.")] = 9700,
    token: Annotated[str, Option(help="The shared token, where the engine wants one.")] = "",
    seconds: Annotated[
        float | None, Option(min=0, help="Stop after so long.  [when interrupted]")
    ] = None,
    as_json: Json = False,
) -> None:
    """Print every message that an engine sends."""
    from bridge.osc.listen import listen as run

    write = partial(print, flush=True)
    with suppress(KeyboardInterrupt):
        run(osc_host, osc_port, write, as_json=as_json, token=token, seconds=seconds)
