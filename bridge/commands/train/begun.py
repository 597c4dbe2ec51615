"""Which run a command means: a new one, one begun with the same options, or a named one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self, TypeVar

from engine.errors import Code, SidemanError


class Config(Protocol):
    """All that decides a run: a dataclass with the folders ``data`` and ``run`` and more."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def to_json(self) -> dict[str, Any]:
        """What ``run.json`` keeps of it."""
        ...

    @classmethod
    def from_json(cls, table: dict[str, Any]) -> Self:
        """From what :meth:`to_json` made."""
        ...


C = TypeVar("C", bound=Config)


def fresh(kind: type[C], data: Path, output: Path, given: Mapping[str, Any]) -> C:
    """A new run beside its output, or the unfinished one that was begun with the same options."""
    from training import runs

    make: Any = kind
    number = 1
    while True:
        suffix = "" if number == 1 else f"-{number}"
        run = output.with_name(f"{output.name}.run{suffix}")
        config: C = make(data=data.resolve(), run=run.resolve(), **given)
        if not (run / runs.FILE).is_file():
            return config
        table = runs.read(run)
        if table["status"] != "completed" and table.get("config") == config.to_json():
            return config
        number += 1


def resumed(
    kind: type[C], resume: str, data: Path, given: Mapping[str, Any], may_differ: Collection[str]
) -> C:
    """The config that the run ``resume`` began with, but for what may differ.

    Raises ``bad-arguments`` where another of the options was given, ``bad-file`` where it is a run
    of another kind.
    """
    from training import runs

    run = runs.find(resume)
    begun = kind.from_json(runs.read(run).get("config", {}))
    for name, value in given.items():
        if name not in may_differ and getattr(begun, name) != value:
            raise SidemanError(
                Code.BAD_ARGUMENTS,
                f"the run {run} began with {name} {getattr(begun, name)}, not {value}: "
                "leave that option out, or train anew",
            )
    changed = {name: value for name, value in given.items() if name in may_differ}
    return replace(begun, data=data.resolve(), run=run.resolve(), **changed)
