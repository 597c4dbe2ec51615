"""``sideman train export``."""

from __future__ import annotations

import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from bridge.commands.output import Json, print_table, size
from bridge.commands.train.common import report

if TYPE_CHECKING:
    from training.sound.export_audio import Exported


class Format(StrEnum):
    """Forms of a model."""

    ONNX = "onnx"
    TORCHSCRIPT = "torchscript"
    TORCH_EXPORT = "torch-export"
    MERGED = "merged"


def export(
    model: Annotated[str, Argument(metavar="MODEL", help="A model of sound: its name or folder.")],
    output: Annotated[Path, Option("-o", "--output", metavar="OUT", help="Folder to write.")],
    form: Annotated[Format, Option("--format", help="Graphs, or a folder for transformers.")],
    adapter: Annotated[
        str | None, Option(metavar="ADAPTER", help="A LoRA that is counted in.")
    ] = None,
    int8: Annotated[
        bool, Option("--int8", help="The decoder's matrices in int8; onnx only.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write a model of sound for other programs, and hold it against the original."""
    from engine.models import adapters, store
    from training.sound import export_audio

    started = time.monotonic()
    made = export_audio.export(
        store.resolve(model),
        output,
        form.value,
        adapter=adapters.resolve(adapter) if adapter else None,
        int8=int8,
        tell=lambda words: print(words, file=sys.stderr),
    )
    if as_json:
        report(
            made.folder,
            started,
            as_json,
            bytes_before=made.bytes_before,
            bytes_after=made.bytes_after,
            check=made.check.to_json(),
        )
        return
    _print(made, "decoder" if int8 else "model")
    print(made.folder)


def _print(made: Exported, what: str) -> None:
    check = made.check
    print_table(
        ("measured", "original", "exported"),
        [
            (f"size of the {what}", size(made.bytes_before), size(made.bytes_after)),
            ("a step", f"{check.step_ms_original:.2f} ms", f"{check.step_ms:.2f} ms"),
            (
                "cross-entropy",
                f"{check.cross_entropy:.4f}",
                f"{check.cross_entropy_exported:.4f} ({check.cross_entropy_percent:+.2f}%)",
            ),
            ("same greedy steps", "50", str(check.greedy_steps)),
            ("same likeliest code", "", f"{check.top1:.2%}"),
            ("cosine of logits", "", f"{check.cosine:.6f} ({check.cosine_least:.6f} at least)"),
            ("sample of the codec", "", f"{check.codec_error:.1e} off at most"),
            ("same codes of sound", "", f"{check.encoder_same:.2%}"),
        ],
    )
