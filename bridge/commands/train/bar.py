"""How far a training run is: a bar on a terminal, plain lines in a pipe."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any, Protocol

from bridge.commands.output import Progress


class Group(Protocol):
    """This process among those that train together."""

    @property
    def leads(self) -> bool:
        """Whether it is the one that talks."""
        ...


class Trainer(Protocol):
    """A run of any kind."""

    loss: float | None
    heldout: float | None
    step: int

    @property
    def group(self) -> Group:
        """Its processes."""
        ...

    @property
    def progress(self) -> float:
        """How much of it lies behind, 0 to 1."""
        ...


class Bar:
    """Call it with the trainer after each step; writes to stderr."""

    def __init__(self, what: str, quiet: bool = False) -> None:
        """``what`` is being made. Plain lines are left out where ``quiet``."""
        self._what = what
        self._quiet = quiet
        self._rich: Any = None
        self._plain = Progress(f"training {what}")

    def __enter__(self) -> Bar:
        return self

    def __call__(self, trainer: Trainer) -> None:
        """One more step is done. Of several processes, only the first one shows it."""
        if not trainer.group.leads:
            return
        if sys.stderr.isatty():
            if self._rich is None:
                self._begin()
            self._rich.update(
                self._task, completed=trainer.progress, step=trainer.step,
                loss=_figure(trainer.loss), heldout=_figure(trainer.heldout),
            )  # fmt: skip
        elif not self._quiet:
            self._plain(trainer.progress)

    def _begin(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        self._rich = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%  step {task.fields[step]}"),
            TextColumn("loss {task.fields[loss]}  held out {task.fields[heldout]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._rich.start()
        self._task = self._rich.add_task(self._what, total=1.0, step=0, loss="", heldout="")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._rich is not None:
            self._rich.stop()


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"  # noqa: RUF001
