"""The sizes of an RWKV-4 model and the table of its tensors.

Names and shapes are those of published checkpoints; the mixes, which files write ``[1, 1, C]``, are
stored flat.

Source: Peng et al., "RWKV: Reinventing RNNs for the Transformer Era", arXiv 2305.13048.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from engine.errors import Code, SidemanError

ARCHITECTURE = "rwkv4"
"""What ``model.json`` says under ``architecture``."""

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Sizes:
    """The keys of ``sizes`` in ``model.json``."""

    layers: int
    embed: int
    ffn: int
    vocab: int

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise SidemanError(
                    Code.BAD_FILE,
                    f"model size '{name}' must be a whole number above 0, not {value!r}",
                )

    @classmethod
    def from_json(cls, sizes: Mapping[str, int]) -> Sizes:
        """From ``sizes`` of a ``model.json``. Raises ``bad-file`` for missing or unknown keys."""
        names = {field.name for field in fields(cls)}
        if odd := sorted(names ^ sizes.keys()):
            raise SidemanError(
                Code.BAD_FILE, f"model.json: 'sizes' lacks, or should not have, {', '.join(odd)}"
            )
        return cls(**sizes)

    def to_json(self) -> dict[str, int]:
        """The object that ``model.json`` holds under ``sizes``."""
        return asdict(self)


def tensors(sizes: Sizes) -> dict[str, Shape]:
    """Every tensor of the model by its name, with its shape, in file order."""
    c, f = sizes.embed, sizes.ffn
    table: dict[str, Shape] = {"emb.weight": (sizes.vocab, c)}
    table |= _norm("blocks.0.ln0", c)
    for layer in range(sizes.layers):
        block = f"blocks.{layer}"
        table |= _norm(f"{block}.ln1", c) | _norm(f"{block}.ln2", c)
        table |= {
            f"{block}.att.{name}": (c,)
            for name in ("time_decay", "time_first", "time_mix_k", "time_mix_v", "time_mix_r")
        }
        table |= {
            f"{block}.att.{name}.weight": (c, c)
            for name in ("key", "value", "receptance", "output")
        }
        table |= {f"{block}.ffn.time_mix_k": (c,), f"{block}.ffn.time_mix_r": (c,)}
        table |= {
            f"{block}.ffn.key.weight": (f, c),
            f"{block}.ffn.receptance.weight": (c, c),
            f"{block}.ffn.value.weight": (c, f),
        }
    return table | _norm("ln_out", c) | {"head.weight": (sizes.vocab, c)}


def _norm(name: str, width: int) -> dict[str, Shape]:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}
