"""Our half of the parity check: load what ``make_reference.py`` wrote, and hold ours against it.

    python bench/parity_audiocraft/compare.py FOLDER

audiocraft is not needed here. Greedy codes and the codes of a prompt must be the same, and logits,
text and waveforms the same to `LIMIT`; all in float32 on the processor. Exit status 1 where not.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from bench.tools import machine, table, verdict
from engine.models.audio import Sampling
from engine.models.musicgen.codec import Codec
from engine.models.musicgen.model import MusicGen
from engine.models.musicgen.step import Step
from engine.models.musicgen.stream_codec import StreamDecoder

Case = Mapping[str, Any]
"""What was asked of audiocraft once: prompt, guidance, and frames that came first."""

LIMIT = 1e-5
"""How far a number may be off, in absolute terms."""

HOP = 5
"""Frames that the streaming decoder gets at a time."""

HEADS = ("what", "ours is off by", "theirs is off by", "of", "largest")


@dataclass(frozen=True, slots=True)
class Line:
    """One comparison."""

    what: str
    off: float
    """The largest difference of a number, or how many codes are others."""

    count: int
    largest: float | None = None
    """The largest number in audiocraft's, which says what ``off`` is worth; None for codes."""

    rounding: float | None = None
    """How far audiocraft's own are from what it makes in float64, where that is known."""

    @property
    def holds(self) -> bool:
        """Whether ours is as near as it has to be."""
        return self.off <= (0 if self.largest is None else LIMIT)

    @property
    def cells(self) -> list[str]:
        """A row under `HEADS`."""
        if self.largest is None:
            return [self.what, f"{self.off:.0f} codes", "-", str(self.count), "-"]
        theirs = "-" if self.rounding is None else f"{self.rounding:.2e}"
        return [self.what, f"{self.off:.2e}", theirs, str(self.count), f"{self.largest:.3g}"]


def compare(folder: Path, cases: Mapping[str, Sequence[Case]]) -> list[Line]:
    """Every comparison of every model in ``folder``, for which ``cases`` say what was asked."""
    return [line for name, asked in cases.items() for line in _compare(folder / name, asked)]


def _compare(folder: Path, cases: Sequence[Case]) -> Iterator[Line]:
    model, name = MusicGen.load(folder), folder.name
    expected = load_file(folder / "expected.safetensors")
    codec = Codec(model.codec, model.channels)
    prompt = codec.encode(expected["audio"])
    yield _codes(f"{name}: audio prompt, codes", prompt, expected["codes"])
    sound = expected["decoded"]
    yield _numbers(f"{name}: these decoded", codec.decode(expected["codes"]), sound)
    streamed = streamed_sound(codec, expected["codes"])
    yield _numbers(f"{name}: decoded {HOP} frames at a time", streamed, sound)
    for case in cases:
        part = {p: expected[f"{case['name']}.{p}"] for p in ("text", "codes", "logits", "wave")}
        what, primed = f"{name}: {_name(case)}", case["primed"]
        said = model.text.encode(case["prompt"] or "")
        if said is not None:
            yield _numbers(f"{what}, text", said, part["text"][: len(said)])
        known = expected["codes"] if primed else None
        codes, logits = greedy(model, case, known, part["codes"].shape[2])
        yield _codes(f"{what}, codes", codes[..., primed:], part["codes"][..., primed:])
        yield _numbers(f"{what}, logits", logits, part["logits"], case["rounding"])
        yield _numbers(f"{what}, waveform", codec.decode(codes), part["wave"])


def greedy(model: MusicGen, case: Case, known: Tensor | None, frames: int) -> tuple[Tensor, Tensor]:
    """Codes [1, K, T] as they are streamed, and the logits [1, K, T - primed, V] they come from."""
    sampling = Sampling(temperature=0, guidance=case["guidance"])
    stream = model.open(1, frames=frames, sampling=sampling)
    with logits_of_steps() as steps:
        stream.prime(known, [case["prompt"] or ""], frames=frames)
        while stream.remaining:
            stream.step()
    # A codebook's first code of the first frame is made as many steps later as it is delayed.
    made = frames - case["primed"]
    books = [
        torch.stack([step[:, k] for step in steps[delay : delay + made]], dim=1)
        for k, delay in enumerate(model.delay.delays)
    ]
    return stream.codes, torch.stack(books, dim=1)


@contextmanager
def logits_of_steps() -> Iterator[list[Tensor]]:
    """The guided logits [B, K, V] of every step that is made meanwhile."""
    choose, heard = Step._chosen, []

    def listen(self: Step, logits: Tensor) -> Tensor:
        heard.append(logits.clone())
        return choose(self, logits)

    Step._chosen = listen  # type: ignore[method-assign]
    try:
        yield heard
    finally:
        Step._chosen = choose  # type: ignore[method-assign]


def streamed_sound(codec: Codec, codes: Tensor) -> Tensor:
    """What the streaming decoder makes of the codes [1, K, T], put together."""
    decoder = StreamDecoder(codec)
    chunks = [decoder.push(part) for part in codes.split(HOP, dim=2)]
    return torch.cat([*chunks, decoder.flush()], dim=2)


def _codes(what: str, ours: Tensor, theirs: Tensor) -> Line:
    _same_shape(what, ours, theirs)
    return Line(what, int((ours != theirs).sum()), theirs.numel())


def _numbers(what: str, ours: Tensor, theirs: Tensor, rounding: float | None = None) -> Line:
    _same_shape(what, ours, theirs)
    off = float((ours - theirs).abs().max())
    # What is not a number is near to none.
    off = math.inf if math.isnan(off) else off
    return Line(what, off, theirs.numel(), float(theirs.abs().max()), rounding)


def _same_shape(what: str, ours: Tensor, theirs: Tensor) -> None:
    if ours.shape != theirs.shape:
        sys.exit(f"error: {what}: {list(ours.shape)}, and audiocraft's is {list(theirs.shape)}")


def _name(case: Case) -> str:
    said = f"{len(case['prompt'])} letters" if case["prompt"] else "no text"
    heard = "primed" if case["primed"] else "from nothing"
    return f"{said}, guidance {case['guidance']:g}, {heard}"


def report(asked: Mapping[str, Any], lines: Sequence[Line]) -> bool:
    """Print what was compared and how it came out; whether all of it holds."""
    facts = machine() | {f"{name}, theirs": said for name, said in asked["versions"].items()}
    facts |= {f"in the place of {name}": what for name, what in asked["replaced"].items()}
    print("\n".join(f"- {name}: {value}" for name, value in facts.items()) + "\n")
    print(table(HEADS, [line.cells for line in lines]) + "\n")
    codes = all(line.holds for line in lines if line.largest is None)
    numbers = all(line.holds for line in lines if line.largest is not None)
    verdict("all codes are the same", codes)
    verdict(f"text, logits and waveforms are the same to {LIMIT:g}", numbers)
    return codes and numbers


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="what make_reference.py has written")
    folder = parser.parse_args().folder
    torch.set_num_threads(1)
    asked = json.loads((folder / "reference.json").read_text(encoding="utf-8"))
    sys.exit(0 if report(asked, compare(folder, asked["cases"])) else 1)


if __name__ == "__main__":
    main()
