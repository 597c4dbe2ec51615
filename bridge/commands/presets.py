"""``sideman presets``: what can be played with."""

from __future__ import annotations

from bridge.commands.output import Json, print_json, print_table, size
from engine import presets as shelf


def presets(as_json: Json = False) -> None:
    """List the presets: kind, size and licence."""
    from engine.errors import SidemanError
    from engine.models import store

    rows = []
    for preset in map(shelf.load, shelf.names()):
        try:
            model = store.entry(store.find(preset.model))
        except SidemanError:
            model = None
        rows.append(
            {
                "name": preset.name,
                "kind": preset.kind,
                "title": preset.title,
                "description": preset.description,
                "model": preset.model,
                "available": model is not None,
                "size_bytes": model.size_bytes if model else 0,
                "licence": preset.licence or (model.info.licence if model else ""),
            }
        )
    if as_json:
        print_json(rows)
        return
    print_table(
        ("name", "kind", "model", "size", "licence", "title"),
        [
            (
                str(row["name"]),
                str(row["kind"]),
                str(row["model"]),
                size(model_bytes) if (model_bytes := int(str(row["size_bytes"]))) else lacking(row),
                str(row["licence"]),
                str(row["title"]),
            )
            for row in rows
        ],
    )


def lacking(row: dict[str, object]) -> str:
    """What stands in the place of the size of a model that is not here."""
    return "made when used" if row["available"] else "missing"
