"""``sideman ports``: MIDI systems, their ports, and which of them an engine would open."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

from typer import Option

from bridge import config as configs
from bridge.commands.output import Json, print_json, print_table


def ports(
    config: Annotated[
        Path | None, Option(metavar="FILE", help="Config file instead of the user's own.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List MIDI ports by the system that has them, and say which of them `serve` would open."""
    from bridge.midi_systems import System, systems

    found = systems()
    plan = _plan(configs.load(config), found)
    if as_json:
        print_json([system.as_json() | {"opens": plan.get(system.name, [])} for system in found])
        return

    def rows(system: System) -> list[tuple[str, str, str, str]]:
        opens = plan.get(system.name, [])
        marks = {(port["way"], port["found"]): port["role"] for port in opens}
        listed = [
            (name, way, port, marks.pop((way, port), "")) for name, way, port in system.rows()
        ]
        for port in opens:
            if (port["way"], port["found"]) in marks:
                missing = "our own" if port["virtual"] else "waited for: it is not there"
                name = f"{port['name']} ({missing})"
                listed.append((system.name, port["way"], name, port["role"]))
        return listed

    print_table(
        ("system", "direction", "port", "serve opens it as"),
        [row for system in found for row in rows(system)],
    )


def _plan(settings: configs.Config, found: list[Any]) -> dict[str, list[dict[str, Any]]]:
    """By MIDI system, what `serve` with these settings would open."""
    from bridge.config import ServeOptions
    from bridge.midi import opening
    from bridge.midi.ports import ORDER, find, is_output

    options = ServeOptions(
        midi_in=configs.port_names(settings.midi.input),
        midi_out=configs.port_names(settings.midi.output),
        midi_api=settings.midi.api,
        no_midi=not settings.midi.enabled,
        config=settings,
    )
    asked = opening.wanted(options)
    tried = ORDER.get(sys.platform, ()) if options.midi_api == "auto" else (options.midi_api,)
    there = {system.name: system for system in found if not system.problem}
    name = next((name for name in tried if name in there), None)
    if asked is None or name is None:
        return {}
    plan = []
    for port in asked.ports:
        output = is_output(port.role)
        names = there[name].outputs if output else there[name].inputs
        plan.append(
            {
                "role": port.role,
                "way": "out" if output else "in",
                "name": port.name,
                "virtual": port.virtual,
                "found": None if port.virtual else find(port.name, names),
            }
        )
    return {name: plan}
