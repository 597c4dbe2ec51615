"""What ``/sideman/get``, ``/sideman/set`` and ``/sideman/listen`` name: one table.

A parameter holds for every request that does not say otherwise by a key of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from engine.errors import Code, SidemanError
from engine.messages.keys import LARGEST_SEED, LATE_RULES, MOST_BARS, MOST_VARIATIONS
from engine.messages.spec import Arg


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter: its type, range, default and line in the docs, and whether it can be set."""

    arg: Arg
    writable: bool = True

    @property
    def name(self) -> str:
        """Its name on the wire."""
        return self.arg.name

    def check(self, value: object) -> Any:
        """The value in the parameter's own type.

        Raises :class:`SidemanError` with ``bad-arguments``, or ``not-allowed`` if it is read-only.
        """
        if not self.writable:
            raise SidemanError(Code.NOT_ALLOWED, f"{self.name} can be read, not set")
        try:
            return self.arg.check(value)
        except ValueError as error:
            raise SidemanError(Code.BAD_ARGUMENTS, f"{self.name} {error}") from None


MODES: Final = ("manual", "punch-in", "call")
"""Whose turn it is: see :mod:`engine.turns`."""

PARAMETERS: Final[dict[str, Parameter]] = {
    parameter.name: parameter
    for parameter in (
        Parameter(Arg("preset", "str", "the preset of requests that name none", 1, 200,
                      default=None)),
        Parameter(Arg("bars", "int", "length of a take", 1, MOST_BARS, default=4, unit="bars")),
        Parameter(Arg("variations", "int", "takes a request makes", 1, MOST_VARIATIONS,
                      default=1)),
        Parameter(Arg("temperature", "float", "0 is the likeliest note each time", 0, 2,
                      default=None)),
        Parameter(Arg("top_p", "float", "sample from the likeliest notes that make up this share",
                      high=1, above=0, default=None)),
        Parameter(Arg("top_k", "int", "sample from this many of the likeliest notes; 0 is all",
                      0, 4096, default=None)),
        Parameter(Arg("density", "float", "how many notes; 0 leaves it to the model", 0, 16,
                      default=0.0, unit="notes per beat")),
        Parameter(Arg("seed", "int", "seed of requests that name none; -1 draws one each time",
                      -1, LARGEST_SEED, default=-1)),
        Parameter(Arg("late", "str", "what happens where a bar line was missed",
                      choices=LATE_RULES, default="move")),
        Parameter(Arg("speculation", "bool", "make the next bar ahead while you play",
                      default=True)),
        Parameter(Arg("tempo", "float", "the song's tempo", 10, 1000, default=120.0,
                      unit="beats per minute")),
        Parameter(Arg("meter", "str", 'the meter from the song\'s position on, such as "7/8"',
                      3, 5, default="4/4")),
        Parameter(Arg("clock_latency", "float", "how late MIDI clock comes, which the song is put"
                      " ahead by; below 0 it comes early", -500, 500, default=0.0,
                      unit="milliseconds")),
        Parameter(Arg("mode", "str", "what playing and pausing alone do: nothing; playing quiets"
                      " the player, a pause hands over to it; a phrase is answered by one as long",
                      choices=MODES, default="manual")),
        Parameter(Arg("pause", "float", "the rest that hands over, in the modes that do", 0.25, 64,
                      default=2.0, unit="quarter notes")),
        Parameter(Arg("rate", "int", "sample rate of takes of sound; 0 is the rate of what they go"
                      " on from", 0, 192_000, default=0, unit="Hz")),
        Parameter(Arg("clock", "str", "who leads the time now", default="internal"),
                  writable=False),
        Parameter(Arg("ports", "str", "the MIDI ports that are open", default=""),
                  writable=False),
        Parameter(Arg("learned", "str", "the last trigger that was learned", default=""),
                  writable=False),
        Parameter(Arg("playing", "bool", "whether the transport runs", default=False),
                  writable=False),
    )
}  # fmt: skip
"""Every parameter by its name. A default of None is the preset's own."""
