"""What every run of training goes through: papers that say how it stands, and how it ended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from engine.errors import Code, SidemanError
from training.interrupt import Wish
from training.record import Record


class Config(Protocol):
    """All that decides a run."""

    @property
    def run(self) -> Path:
        """Its folder."""
        ...

    def to_json(self) -> dict[str, Any]:
        """What ``run.json`` keeps of it."""
        ...


class Runs(Protocol):
    """A trainer, as far as its papers go."""

    @property
    def config(self) -> Config:
        """What decides it."""
        ...

    step: int

    @property
    def progress(self) -> float:
        """How much of the schedule lies behind, 0 to 1."""
        ...

    def summary(self) -> dict[str, Any]:
        """What ``run.json`` says of how far it has come."""
        ...


@contextmanager
def recorded(run: Runs, leads: bool = True) -> Iterator[tuple[Record | None, Wish]]:
    """The papers of a run, of which the one that ``leads`` keeps any, and whether it is to stop.

    What goes wrong inside stands in ``run.json`` when it goes on. Raises ``cancelled`` where the
    run has been stopped: the first Ctrl-C (or SIGTERM) asks for it, the second ends at once.
    """
    folder = run.config.run
    record = Record(folder, run.config.to_json(), run.step) if leads else None
    if record is not None:
        record.state("running", run.summary())
    status, trouble = "failed", "it was ended at once"
    try:
        wish = Wish()
        with wish.heard():
            yield record, wish
        status, trouble = ("stopped", "") if run.progress < 1 else ("completed", "")
    except Exception as error:
        text = error.text if isinstance(error, SidemanError) else repr(error)
        trouble = " ".join(text.split())
        raise
    finally:
        if record is not None:
            record.state(status, run.summary(), trouble or None)
            record.close()
    if status == "stopped":
        raise SidemanError(
            Code.CANCELLED, f"stopped after {run.step} steps; go on with --resume {folder}"
        )
