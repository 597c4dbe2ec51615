"""Sequences under way: primed with sound or silence, then a frame of codes at a time."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from engine.errors import Code, SidemanError
from engine.models.audio import Sampling
from engine.models.musicgen.capture import SPANS
from engine.models.musicgen.sampling import chances
from engine.models.musicgen.slots import Size

if TYPE_CHECKING:
    from engine.models.musicgen.model import MusicGen

LEAST_TEXT = 32
"""Places for a prompt; more are made by doubling, which the step's graphs have to follow."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A copy of a stream at one moment."""

    tensors: dict[str, Tensor]
    places: int
    guided: tuple[int, ...]
    primed: int
    length: int
    end: int | None
    prompts: tuple[str, ...]
    seeds: tuple[int, ...]
    turn: int
    version: int

    @property
    def batch(self) -> int:
        """Its sequences."""
        return len(self.seeds)

    @property
    def nbytes(self) -> int:
        """Memory that it holds, in bytes."""
        return sum(t.numel() * t.element_size() for t in self.tensors.values())


class Stream:
    """B sequences that are made side by side; it belongs to one thread, but for `cancel`."""

    def __init__(
        self,
        model: MusicGen,
        seeds: Sequence[int],
        *,
        frames: int,
        sampling: Sampling | None = None,
    ) -> None:
        """Room for so many ``frames``, the primed ones included, one sequence for each seed."""
        if not seeds:
            raise ValueError("a stream has at least one sequence")
        self._model = model
        self.sampling = sampling or Sampling()
        self._seeds = tuple(seeds)
        self._places = model.delay.places(frames)
        self._span = SPANS[model.packed.device.type]
        self._cancelled = False
        self._turn = self._length = 0
        self._give_back: Callable[[], object] = _nothing
        # Most prompts say something, and are guided.
        guided = () if self.sampling.guidance == 1 else tuple(range(self.batch))
        self._lay(self.batch, guided, LEAST_TEXT)
        self._begin(self._sequence(self._known(None), None), 0, ("",) * self.batch, None)

    @property
    def batch(self) -> int:
        """Sequences side by side, B."""
        return len(self._seeds)

    @property
    def seeds(self) -> tuple[int, ...]:
        """What each sequence's chance comes from."""
        return self._seeds

    @property
    def prompts(self) -> tuple[str, ...]:
        """What each sequence is told, B texts."""
        return self._prompts

    @property
    def guided(self) -> tuple[int, ...]:
        """The sequences that take a second row of work, because guidance changes them."""
        return self._guided

    @property
    def frames(self) -> int:
        """Whole frames that there are now, the primed ones included."""
        return max(self._primed, self._length - self._model.delay.longest)

    @property
    def remaining(self) -> int:
        """Frames that can still be made."""
        room = self._places - 1 - self._model.delay.longest
        return (room if self._end is None else self._end) - self.frames

    @property
    def nbytes(self) -> int:
        """Memory that the stream takes beside the model, in bytes."""
        return self._buffers.nbytes

    @property
    def codes(self) -> Tensor:
        """All whole frames, int64 ``[B, K, T]``, the primed ones included."""
        return self._model.delay.codes(self._buffers.sequence, self.frames)

    @torch.inference_mode()
    def prime(
        self,
        codes: Tensor | None,
        prompts: Sequence[str],
        *,
        frames: int | None = None,
        seeds: Sequence[int] | None = None,
    ) -> None:
        """Begin anew, after ``codes`` int64 ``[B or 1, K, T]`` or after nothing, under ``prompts``.

        ``prompts`` are B texts, or one for all; an empty one says nothing, and costs nothing. With
        ``frames`` the sequences end after so many, the primed ones included: the model is told so,
        and ends as the clips do that it learned from.
        Raises ``bad-arguments`` for a prompt that is too long, ``ValueError`` for more frames than
        there is room for, or codes that the model does not know; then the stream is as it was.
        """
        if seeds is not None and len(seeds) != self.batch:
            raise ValueError(f"{len(seeds)} seeds for {self.batch} sequences")
        told = self._spread(prompts)
        states = [self._model.text.encode(text) for text in told]
        known = self._known(codes)
        sequence, primed = self._sequence(known, frames), known.shape[2]
        guided = self._to_guide(states)
        text = _text_places(states)
        if guided != self._guided or text > self._buffers.text.shape[4]:
            self._lay(self.batch, guided, max(text, LEAST_TEXT))
        self._seeds = self._seeds if seeds is None else tuple(seeds)
        self._turn += 1
        self._begin(sequence, primed, told, frames)
        self._tell(states)
        if primed:
            self._slot.step.prefill(primed)
            self._length = primed

    @torch.inference_mode()
    def step(self) -> Tensor:
        """Make one more frame and return its codes, int64 ``[B, K]``.

        The first frame after `prime` takes as many steps of the model more as the last codebook
        comes after the first. Raises ``cancelled`` once `cancel` was called, and ``ValueError``
        where no frame remains.
        """
        if self.remaining <= 0:
            raise ValueError("the stream is at its end")
        if self._version != self._model.version:
            self._tell([self._model.text.encode(text) for text in self._prompts])
        goal = max(self._length + 1, self._primed + self._model.delay.longest + 1)
        while self._length < goal:
            if self._cancelled:
                raise SidemanError(Code.CANCELLED, "the request was cancelled")
            self._slot.run(min(self._places, (self._length // self._span + 1) * self._span))
            self._length += 1
        return self._model.delay.frame(self._buffers.sequence, self._length).clone()

    @torch.inference_mode()
    def set_prompt(self, prompts: Sequence[str]) -> None:
        """Go on under other prompts, from the next code on; what was made stays.

        A sequence that had no prompt gets a second row here, with its own past, for guidance. One
        that loses its prompt keeps that row until it is primed again, and is not guided.
        """
        told = self._spread(prompts)
        states = [self._model.text.encode(text) for text in told]
        guided = tuple(sorted({*self._guided, *self._to_guide(states)}))
        text = max(_text_places(states), self._buffers.text.shape[4])
        if guided != self._guided or text != self._buffers.text.shape[4]:
            self._relay(self.batch, guided, text, self._row_of(guided))
        self._prompts = told
        self._tell(states)

    @torch.inference_mode()
    def snapshot(self) -> Snapshot:
        """An independent copy, to go back to."""
        tensors = {name: tensor.clone() for name, tensor in self._state().items()}
        return Snapshot(
            tensors,
            self._places,
            self._guided,
            self._primed,
            self._length,
            self._end,
            self._prompts,
            self._seeds,
            self._turn,
            self._version,
        )

    @torch.inference_mode()
    def restore(self, snapshot: Snapshot) -> None:
        """Go back to ``snapshot``, bit by bit; or, where it is of one sequence, B times to that.

        B sequences that begin from one keep their own seeds, and so differ from there on.
        Raises ``ValueError`` where the batches don't fit, or the room is another one.
        """
        if snapshot.places != self._places or snapshot.batch not in (1, self.batch):
            raise ValueError("the snapshot is of another stream's size")
        alone = snapshot.batch == 1 < self.batch
        guided = tuple(range(self.batch)) if alone and snapshot.guided else snapshot.guided
        text = snapshot.tensors["text"].shape[4]
        if (guided, text) != (self._guided, self._buffers.text.shape[4]):
            self._lay(self.batch, guided, text)
        self._primed, self._length, self._end = snapshot.primed, snapshot.length, snapshot.end
        self._turn, self._version = snapshot.turn, snapshot.version
        told = [0] * self.batch + [1] * len(guided) if alone else range(self._buffers.rows)
        rows = torch.tensor(told, device=self._buffers.sequence.device)
        for name, tensor in self._state().items():
            kept = snapshot.tensors[name]
            if alone and (axis := _BATCH_AXES.get(name)) is not None:
                size = tensor.shape[axis]
                kept = kept.index_select(axis, rows[:size])
            tensor.copy_(kept)
        self._buffers.go_to(self._length)
        self._prompts = snapshot.prompts * (self.batch if alone else 1)
        if alone:
            self._deal()
        else:
            self._seeds = snapshot.seeds

    @torch.inference_mode()
    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these of the sequences only, in this order.

        Raises ``ValueError`` where there are none, one twice, or not so many.
        """
        if not rows or len({*rows}) < len(rows) or not all(0 <= r < self.batch for r in rows):
            raise ValueError(f"no sequences {list(rows)[:8]} of {self.batch}")
        guided = tuple(i for i, row in enumerate(rows) if row in self._guided)
        seconds = [self.batch + self._guided.index(rows[i]) for i in guided]
        self._prompts = tuple(self._prompts[row] for row in rows)
        self._seeds = tuple(self._seeds[row] for row in rows)
        self._relay(len(rows), guided, self._buffers.text.shape[4], [*rows, *seconds])

    def cancel(self) -> None:
        """Have `step` raise ``cancelled``, within one step of the model, until `prime`.

        Any thread may call it.
        """
        self._cancelled = True

    def _known(self, codes: Tensor | None) -> Tensor:
        """What comes first as ``[B, K, T]`` on the model's device, checked."""
        packed = self._model.packed
        if codes is None:
            codes = torch.zeros(self.batch, packed.codebooks, 0, dtype=torch.int64)
        if codes.ndim != 3 or codes.shape[0] not in (1, self.batch):
            raise ValueError(f"codes {list(codes.shape)} are not [{self.batch} or 1, K, T]")
        if codes.numel() and not 0 <= int(codes.min()) <= int(codes.max()) < packed.card:
            raise ValueError(f"codes are 0 to {packed.card - 1}")
        return codes.to(packed.device, torch.int64).expand(self.batch, -1, -1)

    def _spread(self, prompts: Sequence[str]) -> tuple[str, ...]:
        if isinstance(prompts, str) or len(prompts) not in (1, self.batch):
            raise ValueError(f"prompts are a list of 1 or {self.batch} texts")
        return tuple(prompts) * (self.batch if len(prompts) == 1 else 1)

    def _to_guide(self, states: Sequence[Tensor | None]) -> tuple[int, ...]:
        if self.sampling.guidance == 1:
            return ()
        return tuple(i for i, state in enumerate(states) if state is not None)

    def _lay(self, batch: int, guided: tuple[int, ...], text: int) -> None:
        """New buffers, with nothing in them."""
        slots = self._model.slots
        size = Size.of(batch, guided, self._places, text, self.sampling)
        slot = slots.take(size, self.sampling)
        self._slot, self._buffers, self._guided = slot, slot.buffers, guided
        given_back, self._give_back = self._give_back, weakref.finalize(self, slots.give_back, slot)
        given_back()

    def _relay(self, batch: int, guided: tuple[int, ...], text: int, rows: Sequence[int]) -> None:
        """New buffers that go on from rows of the old ones, B of them and then the guided ones."""
        old, give_back, self._give_back = self._buffers, self._give_back, _nothing
        self._lay(batch, guided, text)
        new, at = self._buffers, torch.tensor([*rows], device=old.position.device)
        old_text = old.text.shape[4]
        new.past.copy_(old.past.index_select(1, at))
        at = at[:batch]
        new.text[..., :old_text, :].copy_(old.text.index_select(1, at))
        new.text_mask.fill_(-torch.inf)[..., :old_text].copy_(old.text_mask.index_select(0, at))
        new.sequence.copy_(old.sequence.index_select(0, at))
        new.guidance.copy_(old.guidance.index_select(0, at))
        new.chances.copy_(old.chances.index_select(1, at))
        new.go_to(self._length)
        give_back()

    def _row_of(self, guided: tuple[int, ...]) -> list[int]:
        """Where the past of each row is now; that of a new second row is the sequence's own."""
        seconds = [self.batch + self._guided.index(i) if i in self._guided else i for i in guided]
        return [*range(self.batch), *seconds]

    def _sequence(self, known: Tensor, frames: int | None) -> Tensor:
        return self._model.delay.sequence(known, self._places, frames)

    def _begin(
        self, sequence: Tensor, primed: int, prompts: tuple[str, ...], end: int | None
    ) -> None:
        """At place 0, with nothing made; no prompt is told yet."""
        b = self._buffers
        b.past[..., : self._length, :].zero_()
        b.sequence.copy_(sequence)
        b.go_to(0)
        self._prompts, self._end = prompts, end
        self._primed, self._length = primed, 0
        self._version = self._model.version
        self._cancelled = False
        self._deal()

    def _deal(self) -> None:
        """Every sequence its own chance."""
        table = chances(self._seeds, self._turn, self._places, self._model.packed.codebooks)
        self._buffers.chances.copy_(table)

    def _tell(self, states: Sequence[Tensor | None]) -> None:
        """Write the prompts' keys and values over what is there."""
        b, packed = self._buffers, self._model.packed
        b.text.zero_()
        b.text_mask.zero_()
        for row, state in enumerate(states):
            b.guidance[row] = 1.0 if state is None else self.sampling.guidance
            if state is None:
                continue
            state, size = state.to(packed.dtype), len(state)
            b.text_mask[row, ..., size:] = -torch.inf
            for layer, kept in zip(packed.layers, b.text, strict=True):
                both = (state @ layer.text_kv).view(size, 2, packed.heads, -1)
                kept[row, :, :, :size] = both.permute(1, 2, 0, 3)
        self._version = self._model.version

    def _state(self) -> dict[str, Tensor]:
        """The tensors that a snapshot has: of the past, only what there is."""
        b = self._buffers
        return {
            "past": b.past[..., : self._length, :],
            "text": b.text,
            "text_mask": b.text_mask,
            "sequence": b.sequence,
            "chances": b.chances,
            "guidance": b.guidance,
        }


def _nothing() -> None:
    pass


_BATCH_AXES = {
    "past": 1,
    "text": 1,
    "text_mask": 0,
    "sequence": 0,
    "chances": 1,
    "guidance": 0,
}
"""Which axis of a snapshot's tensors are sequences, or rows."""


def _text_places(states: Sequence[Tensor | None]) -> int:
    """Places for the longest prompt: `LEAST_TEXT`, doubled as often as it takes."""
    longest = max((len(state) for state in states if state is not None), default=0)
    places = LEAST_TEXT
    while places < longest:
        places *= 2
    return places
