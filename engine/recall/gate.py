"""How much each context counts: the gate of a model, read strictly from its ``recall.json``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from engine.errors import Code, SidemanError
from engine.models.folder import ModelInfo, vouched
from engine.recall.blend import BASE_FEATURES, CONTEXT_FEATURES, Reals
from engine.recall.contexts import COUNT, KIND_COUNT, NAMES

FORMAT = 1
MOST_BYTES = 1 << 20


class GateFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the file holds."""

    format: int
    contexts: tuple[str, ...]
    base: tuple[tuple[float, ...], ...]
    experts: tuple[tuple[tuple[float, ...], ...], ...]


@dataclass(frozen=True, slots=True)
class Gate:
    """Weights of the gate; see :mod:`engine.recall.blend` for what they are multiplied with."""

    base: Reals
    """``[BASE_FEATURES, COUNT + 1]``: the network first, then each context."""
    experts: Reals
    """``[KIND_COUNT, COUNT, CONTEXT_FEATURES]``."""

    def save(self, path: Path) -> None:
        """Write the file; numbers to five digits, far finer than what can be heard."""
        file = GateFile(FORMAT, NAMES, _rounded(self.base), _rounded(self.experts))
        path.write_bytes(msgspec.json.encode(file) + b"\n")

    @classmethod
    def of(cls, folder: Path, info: ModelInfo) -> Gate | None:
        """That of the model in ``folder``; None where it has none. Raises ``bad-file``."""
        if info.recall is None:
            return None
        return cls.load(vouched(folder, info.recall.file, info.recall.sha256))

    @classmethod
    def load(cls, path: Path) -> Gate:
        """Read the file. Raises ``bad-file`` where it is not one that this runtime can follow."""
        try:
            with path.open("rb") as stream:
                text = stream.read(MOST_BYTES)
            file = msgspec.json.decode(text, type=GateFile)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            raise SidemanError(Code.BAD_FILE, f"{path.name}: not a gate: {error}") from error
        unknown = [name for name in file.contexts if name not in NAMES]
        if file.format != FORMAT or file.contexts != NAMES:
            what = f"contexts that this runtime lacks: {unknown[0][:40]!r}" if unknown else "others"
            raise SidemanError(
                Code.BAD_FILE, f"{path.name}: was fitted to {what}; known are {', '.join(NAMES)}"
            )
        try:
            base = np.array(file.base, dtype=np.float64)
            experts = np.array(file.experts, dtype=np.float64)
        except ValueError:
            base = experts = np.zeros(0)
        shapes = (BASE_FEATURES, COUNT + 1), (KIND_COUNT, COUNT, CONTEXT_FEATURES)
        sound = np.isfinite(base).all() and np.isfinite(experts).all()
        if (base.shape, experts.shape) != shapes or not sound:
            raise SidemanError(Code.BAD_FILE, f"{path.name}: its numbers are not those of a gate")
        return cls(base, experts)


def _rounded(array: Reals) -> tuple:  # type: ignore[type-arg]  # as deep as the array
    if array.ndim == 0:
        return float(f"{float(array):.5g}")  # type: ignore[return-value]
    return tuple(_rounded(part) for part in array)
