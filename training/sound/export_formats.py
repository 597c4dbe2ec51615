"""How graphs are written, by format: ONNX, torch.export and TorchScript; and ONNX in int8.

Importing this module imports torch.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from engine.errors import Code, SidemanError
from engine.models.musicgen.codec import Codec
from engine.models.musicgen.model import MusicGen
from training.sound.codec_graph import CodecGraph, EncoderGraph
from training.sound.export_check import HEARD
from training.sound.export_graph import DecoderGraph, TextGraph
from training.sound.exported import CODEC, DECODER, ENCODER, ENDINGS, INPUTS, OUTPUTS, TEXT

OPSET = 18
"""Of ONNX."""

LARGEST = 1 << 31
"""Bytes that one ONNX file can hold."""

Inputs = tuple[Tensor, ...]

FREE: dict[str, dict[str, dict[int, str]]] = {
    TEXT: {"tokens": {1: "words"}, "text": {4: "words"}},
    DECODER: {
        "tokens": {2: "new"},
        "past": {4: "places"},
        "text": {4: "words"},
        "text_mask": {1: "words"},
        "new": {4: "new"},
    },
    CODEC: {"codes": {2: "frames"}, "audio": {2: "samples"}},
    ENCODER: {"audio": {2: "samples"}, "codes": {2: "frames"}},
}
"""Axes whose length is free, and what they count. All else, one sequence at a time, is fixed.

In `to_torch_export` the codec's frames are `HEARD`: torch writes its LSTMs out frame by frame."""


def graphs_of(model: MusicGen, places: int) -> dict[str, tuple[nn.Module, Inputs]]:
    """The graphs of a model on the processor, each with inputs to trace it by."""
    text, decoder = TextGraph(model).eval(), DecoderGraph(model, places).eval()
    codec = Codec(model.codec, model.channels)
    words = torch.tensor([model.text.tokens("to trace by")])
    with torch.no_grad():
        heard = text(words)
    layers, _, _, heads, length, width = heard.shape
    tokens = torch.zeros(1, model.codebooks, 3, dtype=torch.long)
    past = torch.zeros(layers, 2, 1, heads, 8, width)
    return {
        TEXT: (text, (words,)),
        DECODER: (decoder, (tokens, torch.tensor([5]), past, heard, torch.ones(1, length))),
        CODEC: (
            CodecGraph(codec).eval(),
            (torch.zeros(1, model.codebooks, HEARD, dtype=torch.long),),
        ),
        ENCODER: (
            EncoderGraph(codec).eval(),
            (torch.zeros(1, model.channels, HEARD * codec.hop),),
        ),
    }


def to_onnx(name: str, graph: nn.Module, inputs: Inputs, path: Path) -> None:
    """By tracing, since torch's other way needs onnxscript.

    Raises ``not-allowed`` for what one file can't hold.
    """
    weights = sum(each.numel() * each.element_size() for each in graph.parameters())
    if weights >= LARGEST:
        raise SidemanError(
            Code.NOT_ALLOWED,
            f"the {name} has {weights / 2**30:.1f} GiB of weights, and an ONNX file holds 2: "
            "choose --format torch-export, torchscript or merged",
        )
    torch.onnx.export(
        graph,
        inputs,
        str(path),
        dynamo=False,
        opset_version=OPSET,
        input_names=list(INPUTS[name]),
        output_names=list(OUTPUTS[name]),
        dynamic_axes=FREE[name],
    )


def to_torchscript(name: str, graph: nn.Module, inputs: Inputs, path: Path) -> None:
    """By tracing."""
    traced: Any = torch.jit.trace(graph, inputs, check_trace=False)  # type: ignore[no-untyped-call]
    torch.jit.save(traced, str(path))  # type: ignore[no-untyped-call]


def to_torch_export(name: str, graph: nn.Module, inputs: Inputs, path: Path) -> None:
    """As a program of ATen's operators, with its weights."""
    free = [
        dict.fromkeys(
            {} if name in (CODEC, ENCODER) else FREE[name].get(given, {}), torch.export.Dim.DYNAMIC
        )
        for given in INPUTS[name]
    ]
    program = torch.export.export(graph, inputs, dynamic_shapes=tuple(free))
    torch.export.save(program, path)


WRITERS: dict[str, Callable[[str, nn.Module, Inputs, Path], None]] = {
    "onnx": to_onnx,
    "torchscript": to_torchscript,
    "torch-export": to_torch_export,
}
"""What writes a format of `ENDINGS`."""


def write(model: MusicGen, folder: Path, kind: str, places: int) -> None:
    """Write all graphs of a model into a folder."""
    with torch.no_grad(), hushed():
        for name, (graph, inputs) in graphs_of(model, places).items():
            WRITERS[kind](name, graph, inputs, folder / f"{name}{ENDINGS[kind]}")


def to_int8(folder: Path) -> None:
    """Put the decoder's matrices into int8, one scale a column; the inputs' scales are made as it
    runs. What it looks up, and the codec, stay as they are.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    path = folder / f"{DECODER}{ENDINGS['onnx']}"
    part = path.with_suffix(".int8")
    with hushed():
        quantize_dynamic(
            path,
            part,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            weight_type=QuantType.QInt8,
            extra_options={"MatMulConstBOnly": True},
        )
    part.replace(path)


@contextmanager
def hushed() -> Iterator[None]:
    """Without what exporters warn of: shapes that Python looks at, which the check tries out."""
    import logging

    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
