"""Exported graphs at work: loaded from their folder, and played greedily.

Shapes are those of :mod:`training.sound.export_graph`, in numpy.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.errors import Code, SidemanError

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

TEXT, DECODER, CODEC, ENCODER = "text", "decoder", "codec", "encoder"
"""The graphs of a folder; each is a file of that name, with its format's ending."""

INPUTS = {
    TEXT: ("tokens",),
    DECODER: ("tokens", "place", "past", "text", "text_mask"),
    CODEC: ("codes",),
    ENCODER: ("audio",),
}
OUTPUTS = {TEXT: ("text",), DECODER: ("logits", "new"), CODEC: ("audio",), ENCODER: ("codes",)}

ENDINGS = {"onnx": ".onnx", "torchscript": ".pt", "torch-export": ".pt2"}
"""Formats, and what their files end in."""


class Graphs(Protocol):
    """The graphs of one export."""

    def run(self, graph: str, *inputs: NDArray[Any]) -> list[NDArray[Any]]:
        """What a graph makes of its inputs, in the order of `INPUTS` and `OUTPUTS`."""
        ...


class OnnxGraphs:
    """Graphs in ONNX Runtime, on the processor."""

    def __init__(self, folder: Path, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self._sessions = {
            name: onnxruntime.InferenceSession(
                str(folder / f"{name}.onnx"), options, providers=["CPUExecutionProvider"]
            )
            for name in INPUTS
        }

    def run(self, graph: str, *inputs: NDArray[Any]) -> list[NDArray[Any]]:
        """What a graph makes of its inputs."""
        told = dict(zip(INPUTS[graph], inputs, strict=True))
        found: list[NDArray[Any]] = self._sessions[graph].run(list(OUTPUTS[graph]), told)
        return found


class TorchGraphs:
    """Graphs that torch loads without the code that they were made of."""

    def __init__(self, folder: Path, kind: str) -> None:
        self._graphs = {name: _load(folder / f"{name}{ENDINGS[kind]}", kind) for name in INPUTS}

    def run(self, graph: str, *inputs: NDArray[Any]) -> list[NDArray[Any]]:
        """What a graph makes of its inputs."""
        import torch

        with torch.inference_mode():
            found = self._graphs[graph](*map(torch.from_numpy, inputs))
        parts = found if isinstance(found, tuple | list) else (found,)
        return [part.numpy() for part in parts]


def _load(path: Path, kind: str) -> Callable[..., Any]:
    import torch

    if kind == "torchscript":
        script: Any = torch.jit.load(str(path))  # type: ignore[no-untyped-call]
        return script  # type: ignore[no-any-return]
    loaded: Any = torch.export.load(path)
    return loaded.module()  # type: ignore[no-any-return]


def load(folder: Path, kind: str, threads: int) -> Graphs:
    """The graphs of a folder that hold such a format. Raises ``bad-arguments`` for another."""
    if kind not in ENDINGS:
        raise SidemanError(Code.BAD_ARGUMENTS, f"there are no graphs in {kind}")
    return OnnxGraphs(folder, threads) if kind == "onnx" else TorchGraphs(folder, kind)


class Playing:
    """One sequence that exported graphs go on with."""

    def __init__(self, graphs: Graphs, text: list[int], places: int) -> None:
        """Under a prompt of these tokens, with room for so many ``places``."""
        self._graphs = graphs
        (self._text,) = graphs.run(TEXT, np.array([text], np.int64))
        layers, _, _, heads, length, width = self._text.shape
        self._mask = np.ones((1, length), np.float32)
        self._past = np.zeros((layers, 2, 1, heads, places, width), np.float32)
        self.place = 0

    def feed(self, tokens: Ints) -> Floats:
        """What follows ``[K, n]`` more places: logits ``[K, V]``."""
        count = tokens.shape[1]
        place = np.array([self.place], np.int64)
        logits, new = self._graphs.run(
            DECODER, tokens[None], place, self._past, self._text, self._mask
        )
        self._past[..., self.place : self.place + count, :] = new
        self.place += count
        found: Floats = logits[0]
        return found
