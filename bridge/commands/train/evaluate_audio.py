"""``sideman train evaluate`` for models of sound."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.commands.output import Progress, print_table
from bridge.commands.train.common import report

if TYPE_CHECKING:
    from training.sound.audio_study import AudioStudy, AudioStudyConfig


def evaluate_audio(config: AudioStudyConfig, page: Path, as_json: bool) -> None:
    """Measure a model of sound, and write a report of it."""
    from training.report import prepare
    from training.sound.audio_report import write
    from training.sound.audio_study import study

    started = time.monotonic()
    prepare(page)
    progress = Progress(f"evaluating {config.model.name}")
    result = study(config, progress)
    progress.close()
    made = write(result, page)
    for note in result.notes:
        print(f"note: {note}", file=sys.stderr)
    if as_json:
        report(made, started, as_json, model=result.name, **result.figures())
        return
    _print(result)
    print(made)


def _print(result: AudioStudy) -> None:
    if result.loss is not None:
        print(
            f"held-out loss {result.loss.mean:.3f} nats a code over {result.loss.clips} clips "
            f"(chance {result.loss.chance:.3f})"
        )
    if result.distances:
        kind = result.embedding
        print_table(
            ("", "vectors", f"FAD ({kind})", f"FAD∞ ({kind})", f"KAD ({kind})"),
            [
                (
                    who,
                    str(each.vectors),
                    f"{each.fad:.3g}",
                    *(
                        f"{value:.3g} [{low:.3g}, {high:.3g}]"
                        for value, low, high in (each.fad_infinity, each.kad)
                    ),
                )
                for who, each in result.distances.items()
            ],
        )
    means = result.means()
    if means:
        print_table(
            ("going on", *means),
            [
                (name, *(f"{means[who][name]:.3g}" for who in means))
                for name in next(iter(means.values()))
            ],
        )
