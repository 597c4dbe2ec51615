"""Proof that a concept learns: the music's own gradient must reach each of its vectors."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from torch import Tensor

from engine.errors import Code, SidemanError

TRIES = 2
"""Steps after which every vector of a concept that was heard in them must have had a gradient."""

SILENT = 3
"""Steps in a row without any gradient that end a run."""


class RowProof:
    """Watches the gradients of R vectors. What is said beside the music counts for nothing here."""

    def __init__(self, rows: Mapping[str, slice]) -> None:
        """``rows`` says where each concept's vectors are."""
        self._rows = dict(rows)
        self._reached = dict.fromkeys(rows, 0)
        self._tries = dict.fromkeys(rows, 0)
        self._silent = 0

    def see(self, gradient: Tensor, heard: Collection[str]) -> None:
        """A step's gradient ``[R, D]`` of the music, and the concepts that were in its prompts.

        Raises ``bad-arguments``, with what is wrong, for a run that cannot learn.
        """
        found = gradient.detach().abs().amax(-1).cpu() > 0
        self._silent = 0 if bool(found.any()) else self._silent + 1
        for word in heard:
            rows = self._rows[word]
            mask = self._reached[word] | _bits(found[rows])
            self._reached[word] = mask
            self._tries[word] += 1
            missing = _missing(mask, rows.stop - rows.start)
            if self._tries[word] >= TRIES and missing is not None:
                raise _dead(
                    f"token {missing} of <{word}> had no gradient in {self._tries[word]} steps"
                )
        if self._silent >= SILENT:
            raise _dead(f"there was no gradient in {SILENT} steps")


def _bits(found: Tensor) -> int:
    return sum(1 << place for place, each in enumerate(found.tolist()) if each)


def _missing(mask: int, count: int) -> int | None:
    return next((place for place in range(count) if not mask >> place & 1), None)


def _dead(what: str) -> SidemanError:
    return SidemanError(
        Code.BAD_ARGUMENTS,
        f"nothing is learned: {what}; the model's text encoder does not hear its prompts",
    )
