"""The vocabulary of a model folder, read from its ``tokenizer.json`` without the tokenizer library.

The file holds the settings of a REMI tokenizer [1, 2], not its tokens: those follow from the
settings, always in the same order. One stream holds all programs; a note is written as
``Position? Program Pitch|PitchDrum Velocity Duration``, and each bar opens with ``Bar TimeSig``.

Positions and durations count *written beats*, that is the lower number of the time signature: in
6/8 a beat is an eighth note, in 2/2 a half note. :class:`Grid` turns them into ticks.

[1] Huang and Yang 2020, Pop Music Transformer. [2] Fradet et al. 2021, MidiTok.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import Code, SidemanError
from engine.music import DRUMS, TICKS_PER_BEAT, Meter
from engine.tokens.conditions import names

Ids = NDArray[np.int32]

REQUIRED = {
    "use_programs": True,
    "one_token_stream_for_programs": True,
    "use_time_signatures": True,
    "use_pitchdrum_tokens": True,
    "use_velocities": True,
    "program_changes": False,
    "use_chords": False,
    "use_rests": False,
    "use_tempos": False,
    "use_key_signatures": False,
    "use_sustain_pedals": False,
    "use_pitch_bends": False,
    "use_control_changes": False,
    "use_pitch_intervals": False,
}
"""The settings that decide which types of token there are; the grammar is written for these."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Where notes of one meter may begin and how long they may be, in ticks."""

    meter: Meter
    """The meter of the bar."""
    written: Meter
    """The meter that stands in the stream for it: the same one, where the vocabulary has it."""
    time_signature: int
    """The TimeSig token."""
    step: int
    """Ticks from one position to the next."""
    positions: int
    """Positions inside the bar; position ``p`` lies at ``p * step``."""
    durations: tuple[int, ...]
    """Ticks of each Duration token, in the order of their ids, ascending."""

    def position(self, tick: int) -> int:
        """The nearest position, halves up; what rounds past the bar stays on its last position."""
        return min(max(0, (2 * tick + self.step) // (2 * self.step)), self.positions - 1)

    def duration(self, ticks: int) -> int:
        """Index of the nearest duration, halves up."""
        return nearest(self.durations, ticks)


def nearest(ascending: Sequence[int], value: int) -> int:
    """Index of the nearest of some ascending numbers, halves up."""
    i = bisect_left(ascending, value)
    if i == len(ascending):
        return i - 1
    return i - 1 if i and value - ascending[i - 1] < ascending[i] - value else i


@dataclass(frozen=True, eq=False, repr=False)
class Vocabulary:
    """Tokens and their ids. Ids of one type are contiguous and ascend with their value.

    Only the programs' ids are not in the order of their values: drums (-1) stand wherever the
    file lists them.
    """

    tokens: tuple[str, ...]
    """Every token as ``Type_value``, by id."""
    ids: dict[str, int]
    bar: int
    pitch: range
    """Ids of Pitch tokens, of ``lowest`` and up."""
    velocity: range
    duration: range
    position: range
    drum: range
    """Ids of PitchDrum tokens, of ``lowest_drum`` and up."""
    program: range
    time_signature: range
    lowest: int
    lowest_drum: int
    velocities: tuple[int, ...]
    programs: tuple[int, ...]
    meters: tuple[Meter, ...]
    resolution: int
    """Positions in a written beat."""
    music: range
    """Ids of all tokens but the conditions, which stand behind them; see `conditions`."""
    lengths: tuple[tuple[int, int, int], ...]
    """Durations as (beats, parts, parts in a beat), in written beats."""
    _grids: dict[Meter, Grid] = field(default_factory=dict)

    @classmethod
    def load(cls, path: str | Path) -> Vocabulary:
        """Read ``tokenizer.json``, or the one in a model folder.

        Raises ``bad-file`` where the file is no REMI tokenizer of the kind that models here use.
        """
        path = Path(path)
        if path.is_dir():
            path = path / "tokenizer.json"
        try:
            settings = json.loads(path.read_text(encoding="utf-8"))
            return cls.of(settings)
        except OSError as error:
            raise SidemanError(Code.BAD_FILE, f"cannot read {path}: {error.strerror}") from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            reason = f"no {error} in it" if isinstance(error, KeyError) else str(error)
            raise SidemanError(
                Code.BAD_FILE, f"{path} is not a REMI tokenizer that Sideman can use: {reason}"
            ) from None

    @classmethod
    def of(cls, settings: dict[str, Any]) -> Vocabulary:
        """From the parsed contents of ``tokenizer.json``; raises ``ValueError`` or ``KeyError``."""
        if settings["tokenization"] != "REMI":
            raise ValueError(f"its tokenization is {settings['tokenization']}, not REMI")
        if "_model" in settings:
            raise ValueError("its tokens are merged (BPE); train one without")
        config = settings["config"]
        for name, value in REQUIRED.items():
            if config[name] is not value:
                raise ValueError(f"{name} must be {str(value).lower()}")
        if any(config["additional_params"].values()):
            raise ValueError(f"it has additional_params {config['additional_params']}")
        programs = tuple(map(int, config["programs"]))
        if not set(programs) <= set(config["use_note_duration_programs"]):
            raise ValueError("some of its programs have no durations")

        beat_res = {_span(key): int(parts) for key, parts in config["beat_res"].items()}
        lengths = _lengths(beat_res)
        if any(Fraction(*a) >= Fraction(*b) for a, b in pairwise(map(_parts, lengths))):
            raise ValueError("the spans of its beat_res are not in order")
        resolution = max(beat_res.values())
        meters = tuple(
            Meter(int(num), int(den))
            for den, nums in config["time_signature_range"].items()
            for num in nums
        )
        count = int(config["num_velocities"])
        velocities = tuple(127 * i // count for i in range(1, count + 1))
        lowest, highest = map(int, config["pitch_range"])
        lowest_drum, highest_drum = map(int, config["drums_pitch_range"])
        positions = resolution * max(meter.num for meter in meters)

        tokens: list[str] = list(config["special_tokens"])
        conditions = settings.get("conditions", [])
        if conditions and conditions != names(programs):
            raise ValueError("its conditions are not those that this engine knows")

        def add(name: str, values: Iterable[object]) -> range:
            start = len(tokens)
            tokens.extend(f"{name}_{value}" for value in values)
            return range(start, len(tokens))

        return cls(
            bar=add("Bar", ["None"]).start,
            pitch=add("Pitch", range(lowest, highest + 1)),
            velocity=add("Velocity", velocities),
            duration=add("Duration", (".".join(map(str, length)) for length in lengths)),
            position=add("Position", range(positions)),
            drum=add("PitchDrum", range(lowest_drum, highest_drum + 1)),
            program=add("Program", programs),
            time_signature=add("TimeSig", meters),
            music=range(len(tokens)),
            tokens=(*tokens, *conditions),
            ids={token: i for i, token in enumerate((*tokens, *conditions))},
            lowest=lowest,
            lowest_drum=lowest_drum,
            velocities=velocities,
            programs=programs,
            meters=meters,
            resolution=resolution,
            lengths=lengths,
        )

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def all(self) -> Ids:
        """All ids, ``int32 [V]``, read-only: a set of consecutive ids is a slice of it."""
        ids = np.arange(len(self), dtype=np.int32)
        ids.flags.writeable = False
        return ids

    @property
    def told(self) -> bool:
        """Whether there are tokens for conditions."""
        return len(self.music) < len(self.tokens)

    @cached_property
    def types(self) -> tuple[str, ...]:
        """The type of each id, such as ``Pitch``."""
        return tuple(token.partition("_")[0] for token in self.tokens)

    @cached_property
    def program_ids(self) -> dict[int, int]:
        """The Program token of each program; drums are -1."""
        return dict(zip(self.programs, self.program, strict=True))

    @cached_property
    def velocity_ids(self) -> tuple[int, ...]:
        """The Velocity token nearest to each of the velocities 0 to 127, halves up."""
        return tuple(self.velocity.start + nearest(self.velocities, v) for v in range(128))

    def pitch_id(self, program: int, pitch: int) -> int | None:
        """The Pitch or PitchDrum token of a note; None where the vocabulary lacks it."""
        ids, lowest = self.pitches(program)
        i = pitch - lowest
        return ids[i] if 0 <= i < len(ids) else None

    def pitches(self, program: int) -> tuple[range, int]:
        """Ids of the pitches of a program, and the lowest pitch."""
        if program == DRUMS:
            return self.drum, self.lowest_drum
        return self.pitch, self.lowest

    def meter_for(self, meter: Meter) -> Meter:
        """The meter that is written for ``meter``: itself, where the vocabulary has it.

        Otherwise the known meter with the shortest bar that holds it (7/8 is written as 4/4 whose
        last eighth stays empty; of equal bars the one that counts in the same beats, then in
        quarters). Where no known bar is long enough, the longest bar in quarters, or else the
        longest of all: it has spare Position tokens for beats past its own end.
        """
        if meter in self.meters:
            return meter
        by_taste = sorted(self.meters, key=lambda m: (m.den != meter.den, m.den != 4))
        holding = [m for m in by_taste if m.ticks >= meter.ticks]
        if holding:
            return min(holding, key=lambda m: m.ticks)
        roomy = [m for m in by_taste if self._reach(m) >= meter.ticks]
        if roomy:
            return max(roomy, key=lambda m: (m.den == 4, m.ticks))
        return max(by_taste, key=lambda m: (self._reach(m), m.ticks))

    def grid(self, meter: Meter) -> Grid:
        """Positions and durations in a bar of ``meter``, never past the bar's own end.

        A bar that is longer than all Position tokens reach (24 quarter notes in the shipped
        vocabulary) has no positions in the rest.
        """
        grid = self._grids.get(meter)
        if grid is None:
            written = self.meter_for(meter)
            step = self._step(written)
            beat = step * self.resolution
            self._grids[meter] = grid = Grid(
                meter=meter,
                written=written,
                time_signature=self.time_signature[self.meters.index(written)],
                step=step,
                positions=min(len(self.position), -(-meter.ticks // step)),
                durations=tuple(
                    (beats * parts + part) * beat // parts for beats, part, parts in self.lengths
                ),
            )
        return grid

    def _step(self, meter: Meter) -> int:
        return 4 * TICKS_PER_BEAT // meter.den // self.resolution

    def _reach(self, meter: Meter) -> int:
        return len(self.position) * self._step(meter)


def _span(key: str) -> tuple[int, int]:
    start, end = map(int, key.split("_"))
    return start, end


def _lengths(beat_res: dict[tuple[int, int], int]) -> tuple[tuple[int, int, int], ...]:
    """Every duration as (beats, parts, parts in a beat), without the empty one, ascending."""
    lengths = [
        (beat, part, parts)
        for (start, end), parts in beat_res.items()
        for beat in range(start, end)
        for part in range(parts)
    ]
    last = max(beat_res)
    lengths.append((max(last), 0, beat_res[last]))
    return tuple(lengths[1:])


def _parts(length: tuple[int, int, int]) -> tuple[int, int]:
    """A duration as a fraction of a beat."""
    beats, part, parts = length
    return beats * parts + part, parts
