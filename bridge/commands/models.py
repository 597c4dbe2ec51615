"""``sideman models``: what is installed, and what can be fetched or made."""

from __future__ import annotations

from typing import Annotated

import typer

from bridge.commands.output import Json, print_json, print_table, size

app = typer.Typer(help="List the models, or get one.", rich_markup_mode=None)


@app.callback(invoke_without_command=True)
def models(context: typer.Context, as_json: Json = False) -> None:
    """List the models: kind, size and licence."""
    if context.invoked_subcommand:
        return
    from engine.models import adapters, store

    entries = [store.entry(store.find(name)) for name in store.names()]
    added = [adapters.entry(adapters.find(name)) for name in adapters.names()]
    default = store.find(store.DEFAULT) if any(entry.shipped for entry in entries) else None
    if as_json:
        print_json(
            [
                {
                    "name": entry.name,
                    "kind": entry.info.kind,
                    "family": entry.info.family,
                    "architecture": entry.info.architecture,
                    "size_bytes": entry.size_bytes,
                    "licence": entry.info.licence,
                    "date": entry.info.date,
                    "shipped": entry.shipped,
                    "default": entry.folder == default,
                    "folder": str(entry.folder),
                }
                for entry in entries
            ]
            + [
                {
                    "name": adapter.name,
                    "kind": "adapter",
                    "family": adapter.info.family,
                    "base": adapter.info.base,
                    "size_bytes": adapter.size_bytes,
                    "licence": adapter.info.licence,
                    "date": adapter.info.date,
                    "default": False,
                    "folder": str(adapter.folder),
                }
                for adapter in added
            ]
        )
        return
    print_table(
        ("name", "kind", "family", "size", "licence", "date", ""),
        [
            (
                entry.name,
                entry.info.kind,
                entry.info.family,
                size(entry.size_bytes),
                entry.info.licence,
                entry.info.date,
                "default" if entry.folder == default else "",
            )
            for entry in entries
        ]
        + [
            (
                adapter.name,
                "adapter",
                adapter.info.family,
                size(adapter.size_bytes),
                adapter.info.licence,
                adapter.info.date,
                f"of {adapter.info.base}",
            )
            for adapter in added
        ],
    )


@app.command("get")
def get(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A model's name.")],
    as_json: Json = False,
) -> None:
    """Make sure that a model is on this machine, and print where."""
    from engine.models import store

    entry = store.entry(store.find(name))
    if as_json:
        print_json({"name": entry.name, "folder": str(entry.folder)})
    else:
        print(entry.folder)
