"""How good a model of sound is: what it foresees, what it plays from words, and how it goes on.

Everything is held against the same figures of real music: the data set's own held-out clips.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.audio import Audio
from engine.audio.continuation import Continuation
from engine.audio.grid import Grid
from engine.audio.guess import guess
from engine.audio.wanted import Wanted
from engine.errors import Code, SidemanError
from engine.models.musicgen.model import MusicGen
from engine.models.musicgen.player import Player
from training.parallel import device_for
from training.sound.dataset import RATE, Clip, Clips
from training.sound.delayed import delayed
from training.sound.embeddings import Clap, Embedding, Mel
from training.sound.fad import Estimate, Samples, check_enough, fad, fad_infinity, kad
from training.sound.foreseen import by_codebook
from training.sound.grid_measures import GridMeasures, measure_take

MODEL, REAL = "model", "real"

TOGETHER = 4
"""Clips that are scored at a time."""

LEAST_SECONDS = 1.0
"""Of a clip that is gone on from, and of what really follows."""

WORDLESS = "music"
"""What is asked for where a clip has no prompt: a text alone decides there."""


@dataclass(frozen=True, slots=True)
class AudioStudyConfig:
    """What is measured."""

    model: Path
    data: Path
    adapter: Path | None = None
    """A LoRA that counts throughout."""

    clap: Path | None = None
    """Folder of a CLAP; without one, sounds are compared by `Mel`."""

    takes: int = 50
    """Takes that are made from prompts alone; 0 for none."""

    seconds: float = 5.0
    """Length of each."""

    continued: int = 8
    """Held-out clips that are gone on from; 0 for none."""

    bars: int = 4
    """Bars of each continuation, at most."""

    bpm: float | None = None
    """Tempo of the clips; None guesses that of each."""

    few: bool = False
    """Whether distances are told of too few sounds, too."""

    seed: int = 0
    device: str = "auto"


@dataclass(frozen=True, slots=True)
class Loss:
    """Of held-out clips under their prompts, in nats a code."""

    codebooks: tuple[float, ...]
    clips: int
    chance: float

    @property
    def mean(self) -> float:
        """Over the codebooks."""
        return sum(self.codebooks) / len(self.codebooks)


@dataclass(frozen=True, slots=True)
class Distance:
    """How far some sounds are from the data's training clips."""

    vectors: int
    fad: float
    fad_infinity: Estimate
    kad: Estimate


@dataclass(frozen=True, slots=True)
class Continued:
    """One clip that was gone on from."""

    name: str
    bpm: float
    bars: int
    measures: dict[str, GridMeasures]
    """Of the model's take and of what really follows."""


@dataclass(slots=True)
class AudioStudy:
    """What was found."""

    config: AudioStudyConfig
    name: str
    licence: str
    embedding: str
    embedding_words: str
    reference_vectors: int = 0
    enough: bool = True
    """Whether there were sounds enough for distances to mean what they should."""

    loss: Loss | None = None
    distances: dict[str, Distance] = field(default_factory=dict)
    spectra: dict[str, list[float]] = field(default_factory=dict)
    """Mean levels in dB of mel bands, of the training clips' and the model's sound."""

    continued: list[Continued] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def means(self) -> dict[str, dict[str, float]]:
        """Mean measures of continuations, of the model's and of the real ones."""
        return {
            who: {
                name: float(np.mean([each.measures[who].values()[name] for each in self.continued]))
                for name in self.continued[0].measures[who].values()
            }
            for who in (MODEL, REAL)
            if self.continued
        }

    def figures(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        return {
            "embedding": self.embedding,
            "enough": self.enough,
            "heldout": self.loss and self.loss.mean,
            "heldout_codebooks": self.loss and list(self.loss.codebooks),
            "chance": self.loss and self.loss.chance,
            "distances": {
                who: {
                    "vectors": each.vectors,
                    "fad": each.fad,
                    "fad_infinity": _said(each.fad_infinity),
                    "kad": _said(each.kad),
                }
                for who, each in self.distances.items()
            },
            "continued": len(self.continued),
            "measures": self.means(),
            "notes": self.notes,
        }


def study(
    config: AudioStudyConfig, progress: Callable[[float], None] = lambda _: None
) -> AudioStudy:
    """Measure a model. Raises ``bad-file`` and ``bad-arguments`` before anything is played."""
    clips = Clips.open(config.data)
    device = str(device_for(config.device))
    model = MusicGen.load(config.model, device=device)
    player = Player(model)
    if config.adapter is not None:
        model.adapters.load(config.adapter, name=config.adapter.name)
        model.adapters.apply({config.adapter.name: 1.0})
    embedding: Embedding = Mel() if config.clap is None else Clap(config.clap, device)
    found = AudioStudy(config, _name(model, config), model.licence, embedding.name, embedding.words)
    held_out = clips.held_out
    if not held_out:
        found.notes.append("the data set holds no clips back: its training clips were used")
        held_out = clips.train
    reference = _check(clips.train, embedding, config, found) if config.takes else None
    clips.encode(model)
    held_out = clips.held_out or clips.train
    found.loss = heldout_loss(model, held_out)
    work = config.takes + min(config.continued, len(held_out))
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        progress(done / work)

    if reference is not None:
        _compare(player, held_out, embedding, reference, config, found, step)
    for clip in _spread(held_out, config.continued):
        one = go_on(player, clip, config)
        step()
        if one is None:
            found.notes.append(f"{clip.name} is too short to be cut and gone on from")
        else:
            found.continued.append(one)
    return found


@torch.inference_mode()
def heldout_loss(model: MusicGen, clips: Sequence[Clip]) -> Loss:
    """What the model foresees of clips under their prompts, with the weights as they are played."""
    sums = torch.zeros(model.codebooks, dtype=torch.float64)
    most = 30 * model.frame_rate
    for start in range(0, len(clips), TOGETHER):
        part = clips[start : start + TOGETHER]
        codes = [torch.from_numpy(clip.codes()[:, :most]) for clip in part]
        states, mask = _told(model, [clip.prompt for clip in part])
        batch = delayed(codes, model.delay).to(model.device)
        sums += len(part) * by_codebook(model.network.decoder, batch, states, mask).double().cpu()
    return Loss(tuple((sums / len(clips)).tolist()), len(clips), math.log(model.packed.card))


def go_on(player: Player, clip: Clip, config: AudioStudyConfig) -> Continued | None:
    """Cut a clip at a bar line near its middle, and measure how the model goes on there.

    None where it is too short for that.
    """
    sound = clip.sound()
    bpm = config.bpm or guess(sound, RATE)
    grid = Grid(RATE, Fraction(bpm).limit_denominator(10_000))
    whole = grid.bar_at(len(sound))
    bar = max(1, whole // 2)
    bars = min(config.bars, whole - bar)
    before, after = sound[: grid.line(bar)], sound[grid.line(bar) : grid.line(bar + bars)]
    if bars < 1 or min(len(before), len(after)) < LEAST_SECONDS * RATE:
        return None
    wanted = Wanted(before, grid, bar, bars, text=clip.prompt, seed=config.seed)
    take = played(player, wanted)
    return Continued(
        clip.name,
        float(bpm),
        bars,
        {
            MODEL: measure_take(before, take, grid, bar),
            REAL: measure_take(before, after, grid, bar),
        },
    )


def played(player: Player, wanted: Wanted) -> Audio:
    """A take ``[samples, channels]``, made by the engine as it is made live."""
    work = Continuation(player, [wanted])
    sounds = []
    while not work.done:
        sounds += [sound for _, sound in work.work()]
    return np.concatenate(sounds)


def from_words(player: Player, prompts: Sequence[str], config: AudioStudyConfig) -> Iterator[Audio]:
    """Takes of nothing but a prompt, each with its own seed."""
    # One bar of a slow grid is as long as a take is wanted.
    grid = Grid(RATE, Fraction(4 * 60) / Fraction(config.seconds).limit_denominator(1000))
    nothing = np.zeros((0, player.channels), np.float32)
    for index in range(config.takes):
        text = prompts[index % len(prompts)].strip() or WORDLESS
        yield played(player, Wanted(nothing, grid, 0, 1, text=text, seed=config.seed + index))


def _check(
    clips: Sequence[Clip], embedding: Embedding, config: AudioStudyConfig, found: AudioStudy
) -> Samples:
    """The training clips' vectors. Raises ``bad-arguments`` where there are too few of anything."""
    if not clips:
        raise SidemanError(Code.BAD_FILE, f"{config.data} holds no training clips to compare with")
    if config.seconds < LEAST_SECONDS:
        raise SidemanError(Code.BAD_ARGUMENTS, "takes of less than a second can't be compared")
    reference = _vectors((clip.sound() for clip in clips), embedding)
    found.reference_vectors = len(reference)
    of_take = len(embedding.embed(np.zeros((round(config.seconds * RATE), 1), np.float32), RATE))
    expected = np.zeros((config.takes * of_take, embedding.width))
    try:
        check_enough(reference, "the training clips")
        check_enough(expected, f"{config.takes} takes of {config.seconds:g} s")
    except SidemanError:
        if not config.few:
            raise
        found.enough = False
    return reference


def _compare(
    player: Player,
    held_out: Sequence[Clip],
    embedding: Embedding,
    reference: Samples,
    config: AudioStudyConfig,
    found: AudioStudy,
    step: Callable[[], None],
) -> None:
    """Distances of the model's takes, and of the held-out clips, from the training clips."""
    mel, vectors, levels = Mel(), [], []
    prompts = [clip.prompt for clip in held_out]
    for take in from_words(player, prompts, config):
        vectors.append(embedding.embed(take, RATE))
        levels.append(mel.levels(take, RATE))
        step()
    found.distances[MODEL] = _distance(reference, np.concatenate(vectors), config.seed)
    real = _vectors((clip.sound() for clip in held_out), embedding)
    if len(real) > embedding.width or config.few:
        found.distances[REAL] = _distance(reference, real, config.seed)
    else:
        found.notes.append(
            f"the held-out clips are {len(real)} vectors, too few for a distance of their own"
        )
    heard = [mel.levels(clip.sound(), RATE) for clip in held_out]
    for who, parts in ((MODEL, levels), (REAL, heard)):
        found.spectra[who] = [float(level) for level in np.concatenate(parts).mean(0)]


def _distance(reference: Samples, samples: Samples, seed: int) -> Distance:
    return Distance(
        len(samples),
        fad(reference, samples),
        fad_infinity(reference, samples, seed),
        kad(reference, samples),
    )


def _vectors(sounds: Iterator[Audio], embedding: Embedding) -> Samples:
    return np.concatenate([embedding.embed(sound, RATE) for sound in sounds])


def _told(model: MusicGen, prompts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """What the decoder looks at; places behind a text are zeros, which add nothing."""
    states = [model.text.encode(prompt) for prompt in prompts]
    longest = max((len(state) for state in states if state is not None), default=1)
    width = model.network.config.decoder.hidden_size
    told = torch.zeros(len(prompts), longest, width, device=model.device)
    mask = torch.zeros(len(prompts), longest, dtype=torch.long, device=model.device)
    for row, state in enumerate(states):
        if state is None:
            mask[row] = 1  # zeros that are looked at: a softmax over nothing is no number
        else:
            told[row, : len(state)], mask[row, : len(state)] = state, 1
    return told, mask


def _spread(clips: Sequence[Clip], most: int) -> Sequence[Clip]:
    """At most so many, from all over."""
    return clips[:: max(1, -(-len(clips) // most))] if most else []


def _name(model: MusicGen, config: AudioStudyConfig) -> str:
    return model.name if config.adapter is None else f"{model.name} with {config.adapter.name}"


def _said(estimate: Estimate) -> dict[str, float | None]:
    """An estimate for JSON, which has no infinity."""
    return {
        name: value if math.isfinite(value) else None for name, value in estimate._asdict().items()
    }
