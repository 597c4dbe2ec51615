"""Low-rank adapters at run time: PEFT folders, merged into weights that are made anew each time.

A merged weight is ``W0 + sum of strength * scale * B @ A``, made in float32 from the weight as it
was loaded, and written over what is there: no error adds up, nothing has to be captured again, and
with no adapter left the weights are bit for bit those of the file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from engine.errors import Code, SidemanError
from engine.models.folder import bad_file
from engine.models.musicgen.layout import read_config

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"

PREFIX = "base_model.model."
"""What PEFT puts before the name of each tensor."""

STRONGEST = 2.0
"""The most that an adapter may count."""

UNSUPPORTED = {
    "use_dora": (False, None),
    "fan_in_fan_out": (False, None),
    "bias": ("none", None),
    "modules_to_save": ([], None),
    "trainable_token_indices": ([], {}, None),
}
"""Settings of PEFT that a merge here has no way for, and the values at which they are off."""


@dataclass(frozen=True, slots=True)
class Correction:
    """What an adapter adds to one weight ``[out, in]``: ``up @ down``, scaled."""

    down: Tensor
    """``[rank, in]``"""

    up: Tensor
    """``[out, rank]``"""

    def delta(self, strength: float) -> Tensor:
        """``[out, in]`` in float32."""
        return strength * (self.up @ self.down)


@dataclass(frozen=True, slots=True)
class Adapter:
    """An adapter in memory, checked against its model."""

    name: str
    base: str
    """What its file says it was trained on."""

    corrections: Mapping[str, Correction]
    """Name of the network's parameter → what is added to it."""

    @property
    def nbytes(self) -> int:
        """Memory that it holds, in bytes."""
        return sum(
            t.numel() * t.element_size() for c in self.corrections.values() for t in (c.down, c.up)
        )


class Adapters:
    """The adapters of one network, and how much each counts now."""

    def __init__(self, model: str, network: Any) -> None:
        self.model = model
        self.version = 0
        """Goes up with every change of the weights."""

        self._parameters: dict[str, Any] = dict(network.named_parameters())
        self._pristine: dict[str, Tensor] = {}
        self._resident: dict[str, Adapter] = {}
        self._strengths: dict[str, float] = {}

    @property
    def strengths(self) -> Mapping[str, float]:
        """How much each adapter counts that does."""
        return dict(self._strengths)

    @property
    def resident(self) -> tuple[str, ...]:
        """The adapters in memory, whether they count or not."""
        return tuple(self._resident)

    def load(self, folder: Path, *, name: str | None = None, any_base: bool = False) -> Adapter:
        """Read and check a PEFT folder, and keep it under ``name``, or else the folder's.

        With ``any_base`` it may have been trained on another model of the same shapes, such as one
        that was made of this. Raises ``not-allowed`` for an adapter of another model, ``bad-file``
        for files that are damaged or of a kind that cannot be merged, ``unknown-model`` where there
        is none; then nothing has changed.
        """
        adapter = _read(folder, name or folder.name, self.model, self._parameters, any_base)
        if adapter.name in self._strengths:
            self.apply({k: v for k, v in self._strengths.items() if k != adapter.name})
        self._resident[adapter.name] = adapter
        return adapter

    def unload(self, name: str) -> None:
        """Let go of an adapter, which then counts nothing."""
        if name in self._strengths:
            self.apply({k: v for k, v in self._strengths.items() if k != name})
        self._resident.pop(name, None)

    @torch.no_grad()
    def apply(self, strengths: Mapping[str, float]) -> None:
        """Have these adapters count so much, 0 to 2, and no others.

        Streams under way go on with the new weights from their next frame. Raises
        ``unknown-model`` for one that is not in memory, ``bad-arguments`` for a strength out of
        range; then nothing has changed.
        """
        for name, strength in strengths.items():
            if name not in self._resident:
                raise SidemanError(Code.UNKNOWN_MODEL, f"no adapter {name[:80]!r} is loaded")
            if not 0 <= strength <= STRONGEST:
                raise SidemanError(
                    Code.BAD_ARGUMENTS, f"an adapter's strength is 0 to {STRONGEST:g}"
                )
        # In the order of their names: sums of floats hang on it.
        wanted = {name: float(strengths[name]) for name in sorted(strengths) if strengths[name]}
        if wanted == self._strengths:
            return
        touched = {
            name for one in {*wanted, *self._strengths} for name in self._resident[one].corrections
        }
        for name in sorted(touched):
            parameter = self._parameters[name]
            base = self._pristine.setdefault(name, parameter.detach().clone())
            added = [
                correction.delta(strength)
                for one, strength in wanted.items()
                if (correction := self._resident[one].corrections.get(name)) is not None
            ]
            # Written in place: whoever holds a view of the weight, a graph above all, sees it.
            parameter.data.copy_(sum(added, start=base.float()) if added else base)
        self._strengths = wanted
        self.version += 1


def _read(
    folder: Path, name: str, model: str, parameters: Mapping[str, Any], any_base: bool
) -> Adapter:
    config = read_config(folder / ADAPTER_CONFIG)
    path = folder / ADAPTER_WEIGHTS
    if config.get("peft_type") != "LORA":
        raise bad_file(path, f"is a {config.get('peft_type')} adapter, and only LORA is played")
    for setting, off in UNSUPPORTED.items():
        if config.get(setting) not in off:
            raise bad_file(folder / ADAPTER_CONFIG, f"{setting} is on, which cannot be merged here")
    base = str(config.get("base_model_name_or_path") or "a model that it does not name")[:100]
    other = SidemanError(
        Code.NOT_ALLOWED,
        f"adapter {name} was made for {base}, not for {model}: choose a preset that plays that",
    )
    if not any_base and _last(base) != _last(model):
        raise other
    tensors = _tensors(path)
    if not tensors:
        raise bad_file(path, "has no tensors")
    parts: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        module, part = _split(path, key)
        parts.setdefault(module, {})[part] = tensor
    corrections = {}
    for module, found in parts.items():
        if sorted(found) != ["A", "B"]:
            raise bad_file(path, f"{module} lacks half of its correction")
        target = f"{module}.weight"
        if target not in parameters:
            raise SidemanError(other.code, f"{other.text}; the first has {module[:100]}")
        embedding = f"{PREFIX}{module}.lora_embedding_A" in tensors
        down, up = found["A"], found["B"]
        if embedding:  # PEFT holds these the other way round: W [V, D] = (B @ A).T
            down, up = up.t(), down.t()
        shape = tuple(parameters[target].shape)
        if (len(up), *down.shape[1:]) != shape or up.shape[1:] != down.shape[:1]:
            raise SidemanError(
                other.code,
                f"{other.text}; {module[:100]} is {[len(up), *down.shape[1:]]} there and "
                f"{list(shape)} here",
            )
        scale = _scale(folder, config, module, found["A"].shape[0])
        device = parameters[target].device
        corrections[target] = Correction(down.float().to(device), scale * up.float().to(device))
    return Adapter(name, base, corrections)


def _tensors(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        pickled = path.with_suffix(".bin")
        what = (
            f"{pickled.name} may hold objects that run code: run `sideman train import "
            f"{path.parent}`"
            if pickled.is_file()
            else f"is missing from the adapter folder {path.parent}"
        )
        raise bad_file(path, what)
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise bad_file(path, f"cannot be read: {str(error)[:200]}") from error
    for name, tensor in tensors.items():
        if tensor.ndim != 2 or not tensor.is_floating_point() or not tensor.isfinite().all():
            raise bad_file(path, f"{name[:100]} is no matrix of finite numbers")
    return tensors


def _split(path: Path, key: str) -> tuple[str, str]:
    """The module that a tensor belongs to, and whether it is its A or its B."""
    found = re.fullmatch(
        rf"{re.escape(PREFIX)}(.+)\.(?:lora_([AB])\.weight|lora_embedding_([AB]))", key
    )
    if found is None:
        raise bad_file(path, f"has a tensor that no LoRA has: {key[:100]}")
    return found[1], found[2] or found[3]


def _scale(folder: Path, config: Mapping[str, Any], module: str, rank: int) -> float:
    """How much ``B @ A`` counts: alpha / r, or alpha / sqrt(r) where PEFT stabilised the rank."""
    said = _pattern(config.get("rank_pattern"), module, config.get("r"))
    alpha = _pattern(config.get("alpha_pattern"), module, config.get("lora_alpha"))
    if said != rank or not isinstance(alpha, int | float):
        raise bad_file(
            folder / ADAPTER_CONFIG, f"says rank {said} and alpha {alpha}; {module} has rank {rank}"
        )
    return float(alpha) / (rank**0.5 if config.get("use_rslora") else rank)


def _pattern(patterns: Any, module: str, otherwise: Any) -> Any:
    """What PEFT's pattern for a module says: its keys are ends of names, by regular expression."""
    for pattern, value in (patterns or {}).items():
        name = re.escape(pattern.lstrip("^")) if pattern.isidentifier() else pattern
        if re.fullmatch(rf"(?:.*\.)?(?:{name})", module):
            return value
    return otherwise


def _last(name: str) -> str:
    """The last part of a hub name or a path, by which models are compared."""
    return PurePosixPath(name.replace("\\", "/")).name.lower()
