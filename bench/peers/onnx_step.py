"""One RWKV-7 step as an ONNX graph for onnxruntime, from the weights of a model folder.

Not a process of its own as the other peers are: `bench.decode` takes turns with it in one process.
Needs torch, onnx and onnxruntime.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import QuantType, quantize_dynamic
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own idiom

from engine.models.rwkv.architecture import DECAY_SCALE, HEAD_NORM_EPS, Sizes


class Step(nn.Module):
    """A token to logits, in two-dimensional products: onnxruntime makes integers of these."""

    def __init__(self, weights: Mapping[str, NDArray[np.float32]], sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        # Buffers, so that they are initialisers in the graph: others are not made integers of.
        for name, array in weights.items():
            tensor = torch.from_numpy(array)
            matrix = tensor.ndim == 2 and name.endswith("weight") and name != "emb.weight"
            self.register_buffer(_flat(name), tensor.T.contiguous() if matrix else tensor)
        self.names = list(weights)

    def forward(self, token: Tensor, shift: Tensor, wkv: Tensor) -> tuple[Tensor, ...]:
        """``token`` [1], ``shift`` [2 L, C], ``wkv`` [L, H, N, N]."""
        z, s = {name: self.get_buffer(_flat(name)) for name in self.names}, self.sizes
        x = self._norm(z, z["emb.weight"][token], "blocks.0.ln0")
        first: Tensor | None = None
        shifts, states = [], []
        for layer in range(s.layers):
            block = f"blocks.{layer}."
            att = {k.removeprefix(block + "att."): v for k, v in z.items() if k.startswith(block)}
            now = self._norm(z, x, block + "ln1")
            mixed, state, first = self._time(att, now, shift[2 * layer], wkv[layer], first)
            x = x + mixed
            between = self._norm(z, x, block + "ln2")
            k = between + (shift[2 * layer + 1] - between) * z[block + "ffn.x_k"]
            k = torch.relu(k @ z[block + "ffn.key.weight"]).square()
            x = x + k @ z[block + "ffn.value.weight"]
            shifts += [now, between]
            states.append(state)
        logits = self._norm(z, x, "ln_out") @ z["head.weight"]
        return logits, torch.cat(shifts), torch.stack(states)

    def _norm(self, z: Mapping[str, Tensor], x: Tensor, name: str) -> Tensor:
        return F.layer_norm(x, (self.sizes.embed,), z[name + ".weight"], z[name + ".bias"])

    def _time(
        self, z: Mapping[str, Tensor], x: Tensor, last: Tensor, state: Tensor, first: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        heads, width = self.sizes.heads, self.sizes.head
        xr, xw, xk, xv, xa, xg = (x + (last - x) * z[f"x_{name}"] for name in "rwkvag")
        r, k, v = (
            y @ z[f"{name}.weight"] for y, name in ((xr, "receptance"), (xk, "key"), (xv, "value"))
        )
        w = torch.exp(-DECAY_SCALE * torch.sigmoid(z["w0"] + torch.tanh(xw @ z["w1"]) @ z["w2"]))
        a = torch.sigmoid(z["a0"] + xa @ z["a1"] @ z["a2"])
        g = torch.sigmoid(xg @ z["g1"]) @ z["g2"]
        if first is None:
            first = v
        else:
            v = v + (first - v) * torch.sigmoid(z["v0"] + xv @ z["v1"] @ z["v2"])
        unit = (k * z["k_k"]).view(heads, width)
        unit = unit / unit.square().sum(-1, keepdim=True).sqrt()
        k = (k * (1 + (a - 1) * z["k_a"])).view(heads, 1, width)
        step = (unit * a.view(heads, width)).view(heads, 1, width)
        value = v.view(heads, width, 1)
        seen = state @ unit.view(heads, width, 1)
        state = state * w.view(heads, 1, width) - seen @ step + value @ k
        y = (state @ r.view(heads, width, 1)).view(1, heads * width)
        y = F.group_norm(y, heads, z["ln_x.weight"], z["ln_x.bias"], HEAD_NORM_EPS)
        bonus = (r.view(heads, width) * k.view(heads, width) * z["r_k"]).sum(-1, keepdim=True)
        y = y + (bonus * v.view(heads, width)).view(1, heads * width)
        return (y * g) @ z["output.weight"], state, first


def _flat(name: str) -> str:
    """Buffers have no dots in their names."""
    return name.replace(".", "/")


def onnx_steps(
    weights: Mapping[str, NDArray[np.float32]], sizes: Sizes, folder: Path
) -> dict[str, Callable[[int], NDArray[np.float32]]]:
    """Steppers of a sequence by precision: token to logits."""
    empty = (
        torch.zeros(1, dtype=torch.int64),
        torch.zeros(2 * sizes.layers, sizes.embed),
        torch.zeros(sizes.layers, sizes.heads, sizes.head, sizes.head),
    )
    plain, small = folder / "step.onnx", folder / "step-int8.onnx"
    names = ["token", "shift", "wkv"], ["logits", "next_shift", "next_wkv"]
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Step(weights, sizes), empty, str(plain), input_names=names[0], output_names=names[1],
            dynamo=False,
        )  # fmt: skip
    logging.getLogger().setLevel(logging.ERROR)  # advises other kinds of models
    quantize_dynamic(plain, small, weight_type=QuantType.QInt8)
    return {"float32": _stepper(plain, empty), "int8": _stepper(small, empty)}


def _stepper(path: Path, empty: tuple[Tensor, ...]) -> Callable[[int], NDArray[np.float32]]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    state = [tensor.numpy() for tensor in empty[1:]]

    def step(token: int) -> NDArray[np.float32]:
        inputs = {"token": np.array([token]), "shift": state[0], "wkv": state[1]}
        logits, *state[:] = session.run(None, inputs)
        return logits[0]

    return step
