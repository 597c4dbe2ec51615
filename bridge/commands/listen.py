"""``sideman listen``: watch what an engine sends."""

from __future__ import annotations

from typing import Annotated

from typer import Option


def listen(
    osc_host: Annotated[str, Option(help="Address of the engine.")] = "127.0.0.1",
    osc_port: Annotated[int, Option(min=1, max=65535, help="Port of the engine.")] = 9700,
) -> None:
    """Print every message that an engine sends."""
    from bridge.osc.listen import listen as run

    run(osc_host, osc_port)
