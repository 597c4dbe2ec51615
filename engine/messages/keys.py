"""The keys of a request for music: one table of ranges, and the typed values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from engine.messages.spec import Arg, Scalar, bad_arguments, nearest, shown

LAST_BAR: Final = 1_000_000
MOST_BARS: Final = 64
MOST_VARIATIONS: Final = 8
LARGEST_SEED: Final = 2**31 - 1

LATE_RULES: Final = ("move", "shorten", "loop", "drop")
WAYS: Final = ("osc", "midi")

Late = Literal["move", "shorten", "loop", "drop"]
At = int | Literal["next", "now"]

KEYS: Final[dict[str, Arg]] = {
    key.name: key
    for key in (
        Arg("bars", "int", "length of the take, or as long as the chords", 1, MOST_BARS, default=4,
            unit="bars"),
        Arg("at", "int|str", "where it begins: the next bar line, the next sixteenth, or a bar",
            0, LAST_BAR, choices=("next", "now"), default="next"),
        Arg("preset", "str", "a preset for this request alone", 1, 200, default=None),
        Arg("seed", "int", "the same seed gives the same take", 0, LARGEST_SEED, default=None),
        Arg("temperature", "float", "0 is the likeliest note each time", 0, 2, default=None),
        Arg("top_p", "float", "sample from the likeliest notes that make up this share",
            high=1, above=0, default=None),
        Arg("variations", "int", "how many takes are made", 1, MOST_VARIATIONS, default=1),
        Arg("chords", "str", 'chords to play over, such as "C:4|Am:4"', 1, default=None),
        Arg("key", "str", 'key to stay in, such as "Cmin"', 1, 40, default=None),
        Arg("density", "float", "how many notes", high=16, above=0, default=None,
            unit="notes per beat"),
        Arg("program", "int|str", "General MIDI program, or an instrument's name", 0, 127,
            default=None),
        Arg("low", "int", "lowest pitch allowed", 0, 127, default=None, unit="MIDI pitch"),
        Arg("high", "int", "highest pitch allowed", 0, 127, default=None, unit="MIDI pitch"),
        Arg("prompt", "str", "what it should sound like (audio)", default=None),
        Arg("late", "str", "what happens where the bar line was missed: move to the next one, "
            "shorten and enter in the middle, loop the last bars until then, or drop it",
            choices=LATE_RULES, default="move"),
        Arg("deliver", "str", "how the notes are sent; by default the way the request came in",
            choices=WAYS, joined=True, default=None),
        Arg("from", "int", "infill: the first bar to fill", 0, LAST_BAR, default=None),
        Arg("to", "int", "infill: the bar at whose line it ends", 0, LAST_BAR, default=None),
    )
}  # fmt: skip
"""Every key by its name on the wire. A default of None leaves it to the preset and the engine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """What a request said about the music it wants; None where it said nothing."""

    bars: int | None = None
    at: At | None = None
    preset: str | None = None
    seed: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    variations: int | None = None
    chords: str | None = None
    key: str | None = None
    density: float | None = None
    program: int | str | None = None
    low: int | None = None
    high: int | None = None
    prompt: str | None = None
    late: Late | None = None
    deliver: frozenset[str] | None = None
    from_: int | None = None
    to: int | None = None

    @classmethod
    def of(cls, given: Mapping[str, object], address: str = "request") -> Keys:
        """From a mapping by the names on the wire, as HTTP and the command line have it.

        Raises :class:`SidemanError` with ``bad-arguments`` that names the key.
        """
        values: dict[str, Any] = {}
        for name, value in given.items():
            key = KEYS.get(name)
            if key is None:
                raise bad_arguments(address, f"no key {shown(name)}{nearest(name, list(KEYS))}")
            try:
                values[_field(name)] = key.check(value)
            except ValueError as error:
                raise bad_arguments(address, f"{name} {error}") from None
        keys = cls(**values)
        if keys.low is not None and keys.high is not None and keys.low > keys.high:
            raise bad_arguments(address, f"low {keys.low} lies above high {keys.high}")
        return keys

    @classmethod
    def parse(cls, pairs: Sequence[object], address: str = "request") -> Keys:
        """From ``key, value, key, value …`` as they stand in an OSC message."""
        given: dict[str, object] = {}
        for i in range(0, len(pairs), 2):
            name = pairs[i]
            if not isinstance(name, str):
                raise bad_arguments(address, f"expected the name of a key, not {name}")
            if i + 1 == len(pairs):
                known = "" if name in KEYS else nearest(name, list(KEYS))
                raise bad_arguments(address, f"key {shown(name)} has no value{known}")
            if name in given:
                raise bad_arguments(address, f"key {shown(name)} stands there twice")
            given[name] = pairs[i + 1]
        return cls.of(given, address)

    def given(self) -> dict[str, Any]:
        """Only the keys that were given, by their names on the wire."""
        values = {name: getattr(self, _field(name)) for name in KEYS}
        return {name: value for name, value in values.items() if value is not None}

    def args(self) -> tuple[Scalar, ...]:
        """``key, value, key, value …`` as they stand in an OSC message."""
        flat: list[Scalar] = []
        for name, value in self.given().items():
            flat += [name, "+".join(sorted(value)) if isinstance(value, frozenset) else value]
        return tuple(flat)


def _field(name: str) -> str:
    return "from_" if name == "from" else name
