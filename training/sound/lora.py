"""Low-rank corrections of a MusicGen, by peft: where they go, how many, and the folder they become.

Importing this module imports torch, transformers and peft.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from peft import LoraConfig, get_peft_model
from peft.tuners.lora import LoraLayer
from safetensors.torch import save
from torch import Tensor, nn

from engine.errors import Code, SidemanError
from engine.models.musicgen.adapters import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from training.files import write_whole

PLACES = ("decoder", "enc_to_dec_proj")
"""Parts of the network that may be corrected: T5 and EnCodec may not."""

OF_PROMPT = ("encoder_attn", "enc_to_dec_proj")
"""In the names of matrices that only a prompt reaches."""

ADAPTER = "default"
"""peft's name of the one adapter that is trained."""


@dataclass(frozen=True, slots=True)
class Share:
    """How many numbers are trained, and of how many."""

    trained: int
    matrices: int
    """Matrices that are corrected."""

    adapted: int
    """Numbers in those."""

    language_model: int
    """Numbers in the decoder: what audiocraft calls LM."""

    model: int
    """Numbers in the decoder, T5 and EnCodec together."""

    def to_json(self) -> dict[str, Any]:
        """Counts and parts of one."""
        parts = {
            f"of_{name}": self.trained / getattr(self, name)
            for name in ("adapted", "language_model", "model")
        }
        return {**asdict(self), **parts}

    def __str__(self) -> str:
        return (
            f"{self.trained:,} numbers are trained: {self.trained / self.adapted:.2%} of the "
            f"{self.matrices} matrices that they correct, {self.trained / self.language_model:.2%} "
            f"of the decoder, {self.trained / self.model:.2%} of the whole model"
        )


class Lora:
    """A network whose own weights stand still, and the corrections that are trained."""

    def __init__(
        self,
        network: Any,
        target: Sequence[str],
        *,
        rank: int,
        alpha: float,
        dropout: float,
        prompts: bool = True,
    ) -> None:
        """Put corrections on the matrices whose names end with one of ``target``.

        They are nothing at first. Without ``prompts`` those that only a prompt reaches are left
        out. Draws from torch's default generator. Raises ``bad-arguments`` for names that no
        matrix has.
        """
        hit = matrices(network, target)
        if not prompts:
            hit = {name: found for name, found in hit.items() if not of_prompt(name)}
        if not hit:
            raise SidemanError(
                Code.BAD_ARGUMENTS,
                f"{', '.join(target)} only listens to prompts, and no clip has one: write prompts, "
                "or choose another --target",
            )
        network.requires_grad_(False)
        counts = _count(network.decoder), _count(network)
        self.config = LoraConfig(
            r=rank,
            lora_alpha=alpha,  # type: ignore[arg-type]  # a float does as well
            lora_dropout=dropout,
            target_modules=sorted(hit),
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of transformers, about peft
            self.network: Any = get_peft_model(network, self.config)
        self.weights: dict[str, nn.Parameter] = {
            name.replace(f".{ADAPTER}", ""): weight
            for name, weight in self.network.named_parameters()
            if weight.requires_grad
        }
        """By the names that they have in a PEFT folder."""

        self.share = Share(
            trained=sum(weight.numel() for weight in self.weights.values()),
            matrices=len(hit),
            adapted=sum(hit.values()),
            language_model=counts[0],
            model=counts[1],
        )

    def without(self) -> AbstractContextManager[None]:
        """Inside this block the network is the base."""
        switched_off: AbstractContextManager[None] = self.network.disable_adapter()
        return switched_off

    def trust_autocast(self) -> None:
        """Leave numbers in the precision that layers are computed in, and make no detour."""
        for module in self.network.modules():
            if isinstance(module, LoraLayer):
                module.cast_input_dtype_enabled = False

    def write(self, folder: Path, base: str, weights: Mapping[str, Tensor]) -> None:
        """Write ``weights`` as a PEFT folder for the model ``base``, which must be there.

        Raises ``bad-file`` where it cannot be written.
        """
        table: dict[str, Any] = self.config.to_dict()  # type: ignore[no-untyped-call]
        table |= {
            "base_model_name_or_path": base,
            "inference_mode": True,
            "target_modules": sorted(self.config.target_modules or ()),
        }
        text = json.dumps(table, indent=2, sort_keys=True, default=_plain) + "\n"
        tensors = {name: w.detach().float().cpu().contiguous() for name, w in weights.items()}
        write_whole(folder / ADAPTER_WEIGHTS, save(tensors, metadata={"format": "pt"}))
        write_whole(folder / ADAPTER_CONFIG, text.encode())


def matrices(network: Any, target: Sequence[str]) -> dict[str, int]:
    """The matrices whose names end with one of ``target``, and how many numbers each has.

    A list's name stands for all of it. Raises ``bad-arguments`` for a name that there is none of.
    """
    known: dict[str, int] = {
        name: module.weight.numel()
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear | nn.Embedding) and name.partition(".")[0] in PLACES
    }
    hit: dict[str, int] = {}
    for wanted in target:
        found = {name: size for name, size in known.items() if _means(wanted, name)}
        if not found:
            ends = sorted({_end(name) for name in known})
            raise SidemanError(
                Code.BAD_ARGUMENTS,
                f"no matrix of the decoder is called {wanted[:60]!r}: there are {', '.join(ends)}",
            )
        hit |= found
    return hit


def of_prompt(name: str) -> bool:
    """Whether only a prompt reaches the matrix of that name."""
    return any(part in name for part in OF_PROMPT)


def _means(wanted: str, name: str) -> bool:
    last = name.rpartition(".")
    stems = (name, last[0]) if last[2].isdigit() else (name,)
    return any(stem == wanted or stem.endswith(f".{wanted}") for stem in stems)


def _end(name: str) -> str:
    """What is called so in ``--target``: the last part, or the list that it is in."""
    parts = name.split(".")
    return parts[-2] if parts[-1].isdigit() else parts[-1]


def _count(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, set) else str(value)
