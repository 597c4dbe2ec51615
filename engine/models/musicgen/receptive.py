"""What the layers of an EnCodec need to see: the receptive field, read off the layers themselves.

EnCodec (Défossez et al., arXiv 2210.13438) is a stack of convolutions with one LSTM. A convolution
sees a fixed stretch to both sides, so which inputs some outputs depend on follows from the kernels,
strides, dilations and paddings, layer by layer from the last to the first. The LSTM sees all that
came before; it reaches nothing ahead, and its past is carried in its state, so it counts as seeing
only its own place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import nn
from transformers.models.encodec.modeling_encodec import (
    EncodecConv1d,
    EncodecConvTranspose1d,
    EncodecLSTM,
    EncodecResnetBlock,
)


class Span(NamedTuple):
    """Places from ``first`` to ``last``, both included."""

    first: int
    last: int


def needed(layers: Sequence[nn.Module], outputs: Span) -> Span:
    """The inputs of ``layers`` that ``outputs`` depend on, in a signal without ends.

    Places count from the same moment: input 0 of a stack is where its output 0 is. Raises TypeError
    for a layer that EnCodec does not have.
    """
    span = outputs
    for layer in reversed(layers):
        span = _inputs(layer, span)
    return span


def _inputs(layer: nn.Module, out: Span) -> Span:
    if isinstance(layer, EncodecConv1d):
        return _of_convolution(layer, out)
    if isinstance(layer, EncodecConvTranspose1d):
        return _of_transposed(layer, out)
    if isinstance(layer, EncodecResnetBlock):
        # The shortcut sees one place, which the block around it sees as well.
        return needed(list(layer.block), out)
    if isinstance(layer, EncodecLSTM | nn.ELU):
        return out
    raise TypeError(f"EnCodec has no layer of the kind {type(layer).__name__}")


def _of_convolution(layer: EncodecConv1d, out: Span) -> Span:
    stride = layer.conv.stride[0]
    width = (layer.conv.kernel_size[0] - 1) * layer.conv.dilation[0] + 1
    padding = width - stride
    before = padding if layer.causal else padding - padding // 2
    return Span(out.first * stride - before, out.last * stride - before + width - 1)


def _of_transposed(layer: EncodecConvTranspose1d, out: Span) -> Span:
    # Input i is spread over the outputs i * stride - before + (0 to width - 1).
    stride, width = layer.conv.stride[0], layer.conv.kernel_size[0]
    padding = width - stride
    after = -int(-padding * layer.trim_right_ratio // 1) if layer.causal else padding // 2
    before = padding - after
    return Span(-((width - 1 - before - out.first) // stride), (out.last + before) // stride)
