"""The sizes of an RWKV-7 model and the table of its tensors, with no numerical library at hand.

Names and shapes follow x070, the published RWKV-7 checkpoints, as the ``rwkv`` package 0.8.32 reads
them. Per-channel vectors are stored flat, ``[C]``; published files often write them ``[1, 1, C]``.
Matrices ``*.weight`` are ``[out, in]``; the low-rank pairs (``w1 w2``, ``a1 a2``, ``v1 v2``,
``g1 g2``) multiply from the right and are ``[in, rank]`` and ``[rank, out]``. The first layer has
no ``v0 v1 v2``: its value is what later layers mix in.

Source: Peng et al., "RWKV-7 'Goose' with Expressive Dynamic State Evolution", arXiv 2503.14456.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from math import prod

from engine.errors import Code, SidemanError

ARCHITECTURE = "rwkv7"
"""What ``model.json`` says under ``architecture``."""

HEAD_NORM_EPS = 64e-5
"""Epsilon of the group norm over heads (``att.ln_x``)."""

LAYER_NORM_EPS = 1e-5
"""Epsilon of every layer norm."""

DECAY_SCALE = 0.606531
"""The decay is ``exp(-DECAY_SCALE * sigmoid(w))``: e^-0.5 to six digits, as published."""

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Sizes:
    """Widths and ranks of one model; the keys of ``sizes`` in ``model.json``."""

    layers: int
    embed: int
    head: int
    ffn: int
    vocab: int
    decay_rank: int
    iclr_rank: int
    value_rank: int
    gate_rank: int

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise SidemanError(
                    Code.BAD_FILE,
                    f"model size '{name}' must be a whole number above 0, not {value!r}",
                )
        if self.embed % self.head:
            raise SidemanError(
                Code.BAD_FILE,
                f"model size 'embed' ({self.embed}) must be a multiple of 'head' ({self.head})",
            )

    @property
    def heads(self) -> int:
        """Heads of a layer."""
        return self.embed // self.head

    @property
    def parameters(self) -> int:
        """Numbers in the whole model."""
        return sum(prod(shape) for shape in tensors(self).values())

    @classmethod
    def from_json(cls, sizes: Mapping[str, int]) -> Sizes:
        """From ``sizes`` of a ``model.json``. Raises ``bad-file`` for missing or unknown keys."""
        names = {field.name for field in fields(cls)}
        if missing := sorted(names - sizes.keys()):
            raise SidemanError(Code.BAD_FILE, f"model.json: 'sizes' lacks {', '.join(missing)}")
        if unknown := sorted(sizes.keys() - names):
            raise SidemanError(
                Code.BAD_FILE, f"model.json: 'sizes' has unknown keys {', '.join(unknown)}"
            )
        return cls(**sizes)

    def to_json(self) -> dict[str, int]:
        """The object that ``model.json`` holds under ``sizes``."""
        return asdict(self)


def tensors(sizes: Sizes) -> dict[str, Shape]:
    """Every tensor of the model by its x070 name, with its shape, in file order."""
    table: dict[str, Shape] = {"emb.weight": (sizes.vocab, sizes.embed)}
    for layer in range(sizes.layers):
        table |= {f"blocks.{layer}.{name}": shape for name, shape in _block(sizes, layer).items()}
    return table | {
        "ln_out.weight": (sizes.embed,),
        "ln_out.bias": (sizes.embed,),
        "head.weight": (sizes.vocab, sizes.embed),
    }


def _block(sizes: Sizes, layer: int) -> dict[str, Shape]:
    """Tensors of one layer by their names inside it."""
    c = sizes.embed
    vector, square = (c,), (c, c)
    block: dict[str, Shape] = {}
    if layer == 0:
        block |= _norm("ln0", c)
    block |= _norm("ln1", c) | _norm("ln2", c)
    block |= {f"att.x_{name}": vector for name in "rwkvag"}
    block |= _low_rank("w", c, sizes.decay_rank) | _low_rank("a", c, sizes.iclr_rank)
    if layer > 0:
        block |= _low_rank("v", c, sizes.value_rank)
    block |= {"att.g1": (c, sizes.gate_rank), "att.g2": (sizes.gate_rank, c)}
    block |= {"att.k_k": vector, "att.k_a": vector, "att.r_k": (sizes.heads, sizes.head)}
    block |= {f"att.{name}.weight": square for name in ("receptance", "key", "value", "output")}
    block |= _norm("att.ln_x", c)
    return block | {
        "ffn.x_k": vector,
        "ffn.key.weight": (sizes.ffn, c),
        "ffn.value.weight": (c, sizes.ffn),
    }


def _norm(name: str, width: int) -> dict[str, Shape]:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _low_rank(letter: str, width: int, rank: int) -> dict[str, Shape]:
    """An offset and its low-rank correction: ``x0 + f(x @ x1) @ x2``."""
    return {
        f"att.{letter}0": (width,),
        f"att.{letter}1": (width, rank),
        f"att.{letter}2": (rank, width),
    }
