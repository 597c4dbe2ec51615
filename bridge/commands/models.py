"""``sideman models``: what is installed, and what can be fetched or made."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bridge.commands.output import Json, Progress, print_json, print_table, size

if TYPE_CHECKING:
    from engine.models.musicgen.hub import Offer

app = typer.Typer(help="List the models, or get one.", rich_markup_mode=None)


@app.callback(invoke_without_command=True)
def models(context: typer.Context, as_json: Json = False) -> None:
    """List the models: kind, size and licence; their adapters, and learned concepts."""
    if context.invoked_subcommand:
        return
    added = [*_adapters(), *_concepts()]
    rows = [*_models(added), *added]
    if as_json:
        print_json(rows)
        return
    print_table(
        ("name", "kind", "family", "size", "licence", "date", ""),
        [
            (
                row["name"],
                row["kind"],
                row["family"],
                size(row["size_bytes"]) if row["size_bytes"] else "-",
                row["licence"],
                row["date"],
                row["remark"],
            )
            for row in rows
        ],
    )


@app.command("get")
def get(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="A model's name; OWNER/NAME of one on the Hugging Face hub; or a folder to copy.",
        ),
    ],
    as_json: Json = False,
) -> None:
    """Make sure that a model is on this machine, and print where.

    A MusicGen comes from the hub with its licence, or as a copy of a folder, in transformers' or in
    audiocraft's layout. The tiny ones are made on the spot, of random weights.
    """
    from engine.models import store

    entry = store.entry(_got(name))
    if as_json:
        print_json(
            {
                "name": entry.name,
                "folder": str(entry.folder),
                "kind": entry.info.kind,
                "size_bytes": entry.size_bytes,
                "licence": entry.info.licence,
            }
        )
    else:
        print(entry.folder)


def _got(name: str) -> Path:
    """The folder of a model that is here now, whatever that took."""
    from engine.models import store
    from engine.models.musicgen import known

    if name in (store.DEFAULT, *store.names()):
        return store.find(name)
    if store.can_be_made(name):
        from engine.models.musicgen.installing import make

        return make(name)
    if Path(name).expanduser().is_dir():
        return _copied(Path(name))
    repository = known.on_the_hub(name) or name
    if "/" not in repository:
        return store.find(name)  # which says what there is
    return _fetched(repository)


def _copied(folder: Path) -> Path:
    from engine.models.folder import read_info
    from engine.models.musicgen.installing import copy

    info = read_info(folder.expanduser())
    print(_terms(str(folder), info.licence), file=sys.stderr)
    progress = Progress(f"copying {folder}")
    try:
        return copy(folder, progress)
    finally:
        progress.close()


def _fetched(repository: str) -> Path:
    from engine.models import store
    from engine.models.musicgen.hub import fetch
    from engine.models.musicgen.known import local_name

    if (here := local_name(repository)) in store.names():
        return store.find(here)

    def offered(offer: Offer) -> None:
        print(
            f"{_terms(offer.repository, offer.licence)}; {size(offer.size_bytes)} to fetch",
            file=sys.stderr,
        )

    progress = Progress(f"fetching {repository}")
    try:
        return fetch(repository, offered=offered, progress=progress)
    finally:
        progress.close()


def _terms(name: str, licence: str) -> str:
    """A model's licence, and what it forbids, in one line."""
    from engine.models.musicgen.licence import warning

    forbidden = warning(licence)
    return f"{name}: {licence}{f', {forbidden}' if forbidden else ''}"


def _models(added: list[dict[str, Any]]) -> list[dict[str, Any]]:
    from engine.models import store
    from engine.models.folder import read_info

    entries = [store.entry(store.find(name)) for name in store.names()]
    default = store.find(store.DEFAULT) if any(entry.shipped for entry in entries) else None
    rows = []
    for entry in entries:
        rows.append(
            _row(entry.name, entry.folder, entry.info, entry.size_bytes)
            | _own(entry.name, added)
            | {
                "shipped": entry.shipped,
                "installed": True,
                "default": entry.folder == default,
                "remark": "default" if entry.folder == default else "",
            }
        )
    for name in store.to_be_made():
        folder = store.find(name)
        rows.append(
            _row(name, folder, read_info(folder), 0)
            | _own(name, added)
            | {
                "shipped": False,
                "installed": False,
                "default": False,
                "remark": "made when it is first played",
            }
        )
    return rows


def _own(base: str, added: list[dict[str, Any]]) -> dict[str, Any]:
    """The names of a model's adapters and concepts."""
    return {
        f"{kind}s": [row["name"] for row in added if (row["base"], row["kind"]) == (base, kind)]
        for kind in ("adapter", "concept")
    }


def _adapters() -> list[dict[str, Any]]:
    from engine.models import adapters
    from engine.models.musicgen import peft

    rows = []
    for name in adapters.names():
        folder = adapters.find(name)
        entry = peft.entry(folder) if peft.is_one(folder) else adapters.entry(folder)
        rows.append(_added(entry, "adapter", f"of {entry.info.base}"))
    return rows


def _concepts() -> list[dict[str, Any]]:
    from engine.models.musicgen import concepts

    entries = [concepts.entry(concepts.find(name)) for name in concepts.names()]
    return [
        _added(entry, "concept", " ".join(f"<{word}>" for word in entry.info.concepts))
        for entry in entries
    ]


def _added(entry: Any, kind: str, remark: str) -> dict[str, Any]:
    from engine.models.musicgen.known import local_name

    row = _row(entry.name, entry.folder, entry.info, entry.size_bytes)
    base = local_name(entry.info.base)
    return row | {"kind": kind, "base": base, "default": False, "remark": remark}


def _row(name: str, folder: Path, info: Any, size_bytes: int) -> dict[str, Any]:
    return {
        "name": name,
        "kind": info.kind,
        "family": info.family,
        "architecture": getattr(info, "architecture", ""),
        "size_bytes": size_bytes,
        "licence": info.licence,
        "date": info.date,
        "folder": str(folder),
    }
