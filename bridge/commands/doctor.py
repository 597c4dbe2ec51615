"""``sideman doctor``: is everything there that the engine needs, and what to do where not."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from bridge import config as configs
from bridge.commands.output import Json, print_json
from bridge.config import Device


def doctor(
    config: Annotated[
        Path | None, Option(metavar="FILE", help="Config file instead of the user's own.")
    ] = None,
    audio: Annotated[
        str | None,
        Option(metavar="DIR", help="Prove this model of sound instead: its folder, or its name."),
    ] = None,
    device: Annotated[
        Device, Option(metavar="D", help="Where to prove it: auto, cpu or cuda.")
    ] = "auto",
    as_json: Json = False,
) -> None:
    """Check this machine, and say what to do.

    Exit status 1 where something fails that the engine cannot do without.
    """
    from bridge.doctor import Status, examine

    if audio is None:
        checks = examine(configs.load(config))
    else:
        from bridge import doctor_audio

        checks = doctor_audio.examine(audio, device)
    found = []
    for check in checks:
        found.append(check)
        if not as_json:
            print(f"{check.status:<4}  {check.name}: {check.text}", flush=True)
            if check.remedy:
                print(f"      → {check.remedy}")
    if as_json:
        print_json([asdict(check) for check in found])
    raise typer.Exit(int(any(check.status is Status.FAIL for check in found)))
