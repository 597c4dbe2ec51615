"""What the engine understands, as one JSON object, out of the same tables that validate."""

from __future__ import annotations

from typing import Any

from engine import __version__
from engine.errors import Code
from engine.messages.commands import PROTO, TRACK_KEYS
from engine.messages.keys import KEYS
from engine.messages.parameters import PARAMETERS
from engine.messages.replies import REPLIES
from engine.messages.spec import REQUIRED, Arg
from engine.messages.table import ENTRIES


def capabilities() -> dict[str, Any]:
    """Addresses, keys, parameters, replies and codes, with types, ranges and defaults."""
    return {
        "name": "sideman",
        "version": __version__,
        "proto": PROTO,
        "addresses": {
            entry.address: {
                "doc": entry.doc,
                "args": [_arg(argument) for argument in entry.arguments],
                "keys": entry.has_keys,
                "answer": entry.answer,
            }
            for entry in ENTRIES
        },
        "keys": [_arg(key) for key in KEYS.values()],
        "track_keys": [_arg(key) for key in TRACK_KEYS.values()],
        "parameters": [
            {**_arg(parameter.arg), "writable": parameter.writable}
            for parameter in PARAMETERS.values()
        ],
        "replies": {
            address: [_arg(argument) for argument in cls.arguments]
            for address, cls in REPLIES.items()
        },
        "codes": [str(code) for code in Code],
    }


def _arg(argument: Arg) -> dict[str, Any]:
    """An argument as JSON has it, without what it does not say."""
    said: dict[str, Any] = {
        "name": argument.name, "type": argument.kind, "low": argument.low, "high": argument.high,
        "above": argument.above, "choices": list(argument.choices), "joined": argument.joined,
        "unit": argument.unit, "doc": argument.doc,
    }  # fmt: skip
    said = {name: value for name, value in said.items() if value not in (None, [], False, "")}
    if argument.default is REQUIRED:
        said["required"] = True
    elif argument.default is not None:
        said["default"] = argument.default
    return said
