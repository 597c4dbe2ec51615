"""``sideman ports``: MIDI systems and their ports."""

from __future__ import annotations

from bridge.commands.output import Json, print_json, print_table


def ports(as_json: Json = False) -> None:
    """List MIDI ports, by the system that has them."""
    from bridge.midi_systems import systems

    found = systems()
    if as_json:
        print_json([system.as_json() for system in found])
        return
    print_table(
        ("system", "direction", "port"),
        [row for system in found for row in system.rows()],
    )
