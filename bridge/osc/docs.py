"""The OSC reference, ``docs/osc.md``, out of the tables in ``engine.messages``.

``python -m bridge.osc.docs`` writes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

from engine.errors import Code
from engine.messages import ENTRIES, KEYS, PARAMETERS, PROTO, REPLIES, TRACK_KEYS, Arg, Entry
from engine.messages.spec import REQUIRED

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "osc.md"

_HEAD: Final = f"""# OSC reference

Written by `python -m bridge.osc.docs` from the tables that check each message; a test fails when
the two differ. Version of the protocol: {PROTO}.

UDP, and TCP with length-prefixed packets (a big-endian int32 before each) on the same port number,
9700 unless told otherwise. Arguments are of the types `i`, `f` and `s`; a whole float is taken for
an int, an int for a float, and 0 or 1 for a switch. Arguments in brackets may be left out.

* **Tracks** go by number or by name, or stand in the path: `/sideman/track/3/continue 1` is
  `/sideman/continue 1 3`, and `/sideman/track/bass/note 40 …` is `/sideman/track/note "bass" 40 …`.
* **A musical position** is a bar, counted from 0, and a beat in quarter notes from its bar line.
* **A bundle's time tag** is when its messages take effect, at most 8 bars ahead. A tag up to one
  second old still tells when it was; an older one counts as now. `/sideman/sync` is answered after
  the time-tagged messages that came before it.
* **Replies** go to the address that the message came from, and to the return port that `hello`
  named, which is one on the same host and by UDP.
* **A token** has to come with `hello` where the engine is bound to another address than
  127.0.0.1; all that comes before it fails with `not-allowed`.
* **What is wrong** gets `/sideman/fail` and changes nothing.
"""


def render() -> str:
    """The whole page."""
    parts = [_HEAD]
    for section, entries in groupby(ENTRIES, lambda entry: entry.section):
        parts.append(f"## {section}\n")
        if section == "Asking for music":
            parts.append(
                "`…` are keys and values, in any order: see Keys. A request that repeats a live "
                "one of the same client and `req` is the same request.\n"
            )
        rows = [(f"`{_signature(entry)}`", entry.doc, _answer(entry)) for entry in entries]
        parts.append(_table(("you send", "meaning", "you get"), rows))
    parts += ["## Arguments\n", _table(_COLUMNS, _entry_arguments())]
    parts += ["## Keys\n", _table(_COLUMNS[1:], map(_row, KEYS.values()))]
    parts += ["## Keys of a track\n", _table(_COLUMNS[1:], map(_row, TRACK_KEYS.values()))]
    parameters = [
        (*_row(p.arg), "get, set, listen" if p.writable else "get, listen")
        for p in PARAMETERS.values()
    ]
    parts += ["## Parameters\n", _table((*_COLUMNS[1:], "by"), parameters)]
    replies = [
        (f"`{' '.join((address, *map(_typed, cls.arguments)))}`", cls.doc)
        for address, cls in REPLIES.items()
    ]
    parts += ["## Replies\n", _table(("reply", "meaning"), replies)]
    parts += ["## Codes\n", ", ".join(f"`{code}`" for code in Code) + "\n"]
    return "\n".join(parts)


_COLUMNS: Final = ("address", "name", "type", "allowed", "default", "meaning")


def _entry_arguments() -> Iterable[Sequence[str]]:
    verbs_done = False
    for entry in ENTRIES:
        if entry.has_keys and verbs_done:
            continue  # what holds for one verb holds for all
        verbs_done = verbs_done or entry.has_keys
        address = "`/sideman/VERB`" if entry.has_keys else f"`{entry.address}`"
        for argument in entry.arguments:
            yield (address, *_row(argument))


def _row(argument: Arg) -> tuple[str, ...]:
    default = argument.default
    if isinstance(default, bool):
        default = int(default)
    shown = "" if default in (REQUIRED, None, "") else f"`{default}`"
    meaning = ", ".join(filter(None, (argument.doc, argument.unit)))
    return (f"`{argument.name}`", argument.letter, argument.allowed, shown, meaning)


def _signature(entry: Entry) -> str:
    words = [entry.address, *map(_typed, entry.arguments)]
    return " ".join([*words, "…"] if entry.has_keys else words)


def _typed(argument: Arg) -> str:
    name = argument.name if " " in argument.letter else f"{argument.name}:{argument.letter}"
    return name if argument.required else f"[{name}]"


def _answer(entry: Entry) -> str:
    return f"`{entry.answer}`" if entry.answer else ""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(c.replace("|", "\\|") for c in row) + " |\n" for row in lines)


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
