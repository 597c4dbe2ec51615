"""Memory for models: which of them have to go so that another one fits. A pure decision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from engine.errors import Code, SidemanError

SHARE = 0.7
"""Of a device's memory, which the models take where nobody says how much they may."""

MIB = 2**20


class Resident(NamedTuple):
    """A model in memory."""

    nbytes: int
    used_at: float
    """When it last played; what waits the longest goes first."""
    busy: bool
    """Whether something is being made with it, so that it has to stay."""


def make_room(
    name: str, nbytes: int, resident: Mapping[str, Resident], budget: int
) -> tuple[str, ...]:
    """The models to unload, the least recently used first, for one of ``nbytes`` to fit.

    Raises ``out-of-memory``, with the figures, where no unloading helps.
    """
    free = budget - sum(model.nbytes for model in resident.values())
    gone: list[str] = []
    for other in sorted(resident, key=lambda model: resident[model].used_at):
        if free >= nbytes:
            break
        if not resident[other].busy:
            free += resident[other].nbytes
            gone.append(other)
    if free < nbytes:
        raise SidemanError(
            Code.OUT_OF_MEMORY,
            f"the model {name} takes {_mib(nbytes)}, and of the {_mib(budget)} for models "
            f"{_mib(max(0, free))} can be had: choose a smaller model, or set audio.memory_mb "
            "in the config",
        )
    return tuple(gone)


def _mib(nbytes: int) -> str:
    return f"{nbytes / MIB:,.0f} MiB"
