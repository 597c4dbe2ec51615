"""A token data set as it is made, converted and written, whatever its layout."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from training.tokenize.config import Piece
from training.tokenize.encode import Tokens
from training.tokenize.tokenizer import unplayable


@dataclass(slots=True)
class TokenData:
    """Pieces, their tokens, and what has to be known of both."""

    settings: dict[str, Any]
    """The contents of ``tokenizer.json``, with every token's name under ``tokens``."""

    recipe: dict[str, Any]
    pieces: list[Piece]
    parts: Sequence[Tokens]
    """The tokens of each piece, read when they are asked for."""

    seed: int = 0
    skipped: list[dict[str, str]] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """Every token's name, by id."""
        names: list[str] = self.settings["tokens"]
        return names

    def manifest(self) -> dict[str, Any]:
        """The contents of ``pieces.json``."""
        return {
            "recipe": self.recipe,
            "seed": self.seed,
            "vocab": len(self.names),
            "unplayable": unplayable(self.settings),
            "pieces": [asdict(piece) for piece in self.pieces],
            "skipped": self.skipped,
        }


class Parts(Sequence[Tokens]):
    """Tokens of pieces that are read one at a time."""

    def __init__(self, read: Callable[[int], Tokens], count: int) -> None:
        """``read`` gives the tokens of piece 0 to ``count`` - 1."""
        self._read, self._count = read, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self._read(i) for i in range(*index.indices(self._count))]
        if not -self._count <= index < self._count:
            raise IndexError(index)
        return self._read(index % self._count)


def placed(pieces: Iterable[Piece], lengths: Iterable[int]) -> list[Piece]:
    """The same pieces, one after another, with the lengths that they have now."""
    result, position = [], 0
    for piece, length in zip(pieces, lengths, strict=True):
        fields = asdict(piece) | {"start": position, "length": length}
        result.append(Piece(**fields))
        position += length
    return result
