"""``sideman train export``: a model of sound in other forms, each run and compared before it is
there.

``merged`` is a folder in transformers' layout with an adapter counted in; the other forms are
graphs, with `EXPORT_JSON` beside them. Importing this module imports torch.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from msgspec.structs import replace
from transformers import EncodecFeatureExtractor

from engine.errors import Code, SidemanError
from engine.models import adapters
from engine.models.folder import MODEL_JSON, TrainingData, read_info, write_description
from engine.models.musicgen import licence
from engine.models.musicgen.adapters import Adapters
from engine.models.musicgen.checkpoint import quiet
from engine.models.musicgen.describe import describe
from engine.models.musicgen.layout import TOKENIZER_JSON
from engine.models.musicgen.loading import load_checkpoint
from engine.models.musicgen.model import TRAINED_SECONDS, MusicGen
from training.files import made_whole
from training.sound.dataset import write_json
from training.sound.export_check import HEARD, Check, hold, merged_check, original
from training.sound.export_formats import WRITERS, to_int8, write
from training.sound.exported import DECODER, ENDINGS, INPUTS, load

EXPORT_JSON = "export.json"

MERGED = "merged"

FORMATS = ("onnx", "torchscript", "torch-export", MERGED)

ALIKE = 0.999
"""Cosine of logits below which an export in full precision is wrong, and not written."""

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Exported:
    """What came of it."""

    folder: Path
    check: Check
    bytes_before: int
    """Of the model's weights: of a graph in int8, those of the decoder's graph in float32."""

    bytes_after: int


def export(
    model: Path,
    output: Path,
    kind: str,
    *,
    adapter: Path | None = None,
    int8: bool = False,
    tell: Tell = lambda words: None,
) -> Exported:
    """Write ``model``, with ``adapter`` counted in, in the form ``kind``.

    Raises ``bad-arguments`` for what there is not, ``bad-file`` for a form that does not play what
    the model plays; then nothing is written.
    """
    if kind not in FORMATS:
        raise SidemanError(Code.BAD_ARGUMENTS, f"forms are {', '.join(FORMATS)}, not {kind[:20]!r}")
    if int8 and kind != "onnx":
        raise SidemanError(Code.BAD_ARGUMENTS, f"--int8 is for --format onnx, not for {kind}")
    if read_info(model).kind != "audio":
        raise SidemanError(
            Code.BAD_ARGUMENTS,
            f"{model.name} plays notes, and only models of sound are exported: its folder is all "
            "there is to it",
        )
    if kind == MERGED:
        return _merged(model, output, adapter, tell)
    return _graphs(model, output, kind, adapter, int8, tell)


def _graphs(
    folder: Path, output: Path, kind: str, adapter: Path | None, int8: bool, tell: Tell
) -> Exported:
    model = _loaded(folder, adapter)
    with made_whole(output, (EXPORT_JSON,)) as part:
        tell(f"writing {kind}")
        write(model, part, kind, TRAINED_SECONDS * model.frame_rate + model.delay.longest + 1)
        before = size_of(part)
        if int8:
            before = (part / f"{DECODER}.onnx").stat().st_size
            tell("putting the decoder into int8")
            to_int8(part)
        tell("holding it against the original")
        check = hold(load(part, kind, torch.get_num_threads()), original(model))
        if not int8:
            _refuse_unlike(check, kind)
        after = (part / f"{DECODER}.onnx").stat().st_size if int8 else size_of(part)
        shutil.copyfile(folder / TOKENIZER_JSON, part / TOKENIZER_JSON)
        write_json(part / EXPORT_JSON, _about(model, folder, kind, adapter, int8, check))
    return Exported(output, check, before if int8 else _weights(folder), after)


def _merged(folder: Path, output: Path, adapter: Path | None, tell: Tell) -> Exported:
    with made_whole(output, (MODEL_JSON,)) as part:
        # Not `MusicGen`, which lays weights together: they are written as transformers has them.
        found = load_checkpoint(folder, precision="float32")
        if adapter is not None:
            merging = Adapters(found.name, found.network)
            merging.load(adapter, name=adapter.name)
            merging.apply({adapter.name: 1.0})
        tell("writing the folder")
        with quiet():
            found.network.save_pretrained(part)
            codec = found.network.config.audio_encoder
            kind: Any = EncodecFeatureExtractor
            kind(
                feature_size=found.network.config.decoder.audio_channels,
                sampling_rate=codec.sampling_rate,
            ).save_pretrained(part)
        found.tokenizer.save(str(part / TOKENIZER_JSON))
        base = read_info(folder)
        more = (TrainingData(adapter.name, _licence_of(adapter)),) if adapter else ()
        info = replace(
            describe(part, output.name),
            licence=found.licence,
            training_data=(*base.training_data, *more),
        )
        write_description(part / MODEL_JSON, info)
        del found
        tell("holding it against the original")
        check = merged_check(original(_loaded(folder, adapter)), original(_loaded(part, None)))
        _refuse_unlike(check, MERGED)
        after = size_of(part)
    return Exported(output, check, _weights(folder), after)


def size_of(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(file.stat().st_size for file in folder.iterdir() if file.is_file())


def _weights(folder: Path) -> int:
    weights = read_info(folder).weights
    names = [part.file for part in weights.parts] or [weights.file]
    return sum((folder / name).stat().st_size for name in names)


def _loaded(folder: Path, adapter: Path | None) -> MusicGen:
    model = MusicGen.load(folder, precision="float32")
    if adapter is not None:
        model.adapters.load(adapter, name=adapter.name)
        model.adapters.apply({adapter.name: 1.0})
    return model


def _licence_of(adapter: Path) -> str:
    return licence.of_card(adapter) if adapters.is_peft(adapter) else ""


def _refuse_unlike(check: Check, kind: str) -> None:
    if not check.cosine_least >= ALIKE:
        raise SidemanError(
            Code.BAD_FILE,
            f"what was written as {kind} does not play what the model plays (cosine of logits "
            f"{check.cosine_least:.4f}); nothing is kept: please report it",
        )


def _about(
    model: MusicGen, folder: Path, kind: str, adapter: Path | None, int8: bool, check: Check
) -> dict[str, Any]:
    """What `EXPORT_JSON` says: all that it takes to play the graphs without the model."""
    assert kind in WRITERS
    config = model.network.config.audio_encoder
    return {
        "format": 1,
        "kind": kind,
        "int8": int8,
        "graphs": {name: f"{name}{ENDINGS[kind]}" for name in INPUTS},
        "model": model.name,
        "model_sha256": read_info(folder).weights.sha256,
        "adapter": adapter.name if adapter else None,
        "licence": model.licence,
        "codebooks": model.codebooks,
        "card": model.packed.card,
        "channels": model.channels,
        "pad": model.delay.pad,
        "delays": list(model.delay.delays),
        "places": TRAINED_SECONDS * model.frame_rate + model.delay.longest + 1,
        "sample_rate": model.sample_rate,
        "hop": config.hop_length,
        "codec_frames": HEARD if kind == "torch-export" else None,
        "check": check.to_json(),
    }
