"""The decoder's weights as a step reads them: matrices that are used together lie together.

The network's own parameters become views of these, so there is one copy, transformers' modules go
on working, and whoever writes into a parameter in place changes what the step reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Norm:
    """A layer normalisation."""

    weight: Tensor
    bias: Tensor
    eps: float
    shape: tuple[int]


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer; D is the width, F the feed-forward's."""

    self_norm: Norm
    qkv: Tensor
    """Queries, keys and values ``[D, 3D]``; matrices here are ``[in, out]``."""

    self_out: Tensor
    """``[D, D]``"""

    text_norm: Norm
    text_q: Tensor
    """``[D, D]``"""

    text_kv: Tensor
    """Keys and values of the prompt ``[D, 2D]``."""

    text_out: Tensor
    """``[D, D]``"""

    feed_norm: Norm
    feed_in: Tensor
    """``[D, F]``"""

    feed_out: Tensor
    """``[F, D]``"""


class Packed:
    """The weights of a ``MusicgenForCausalLM``, in evaluation mode."""

    def __init__(self, network: Any) -> None:
        config, inner = network.config, network.model.decoder
        if config.activation_function != "gelu":
            raise ValueError(f"activation {config.activation_function!r} is not gelu")
        self.width: int = config.hidden_size
        self.heads: int = config.num_attention_heads
        self.codebooks: int = config.num_codebooks
        self.card: int = config.vocab_size
        self.embedding = _join(*(table.weight for table in inner.embed_tokens))
        """``[K * (V + 1), D]``"""

        self.head = _join(*(head.weight for head in network.lm_heads)).t()
        """``[D, K * V]``"""

        self.norm = _norm(inner.layer_norm)
        self.layers = [_layer(layer) for layer in inner.layers]
        self._positions = inner.embed_positions.get_embedding

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.head.device

    @property
    def dtype(self) -> torch.dtype:
        """How the weights are stored, but for what is added up in float32."""
        return self.head.dtype

    def positions(self, places: int) -> Tensor:
        """Embeddings of the first so many places ``[places, D]``."""
        table: Tensor = self._positions(places, self.width)
        return table.to(self.device, self.dtype)


def _join(*parameters: Any) -> Tensor:
    """One matrix of several, of which each becomes a view."""
    joined = torch.cat([parameter.detach() for parameter in parameters])
    begin = 0
    for parameter in parameters:
        parameter.data = joined[begin : begin + len(parameter)]
        begin += len(parameter)
    return joined


def _norm(module: Any) -> Norm:
    return Norm(module.weight.detach(), module.bias.detach(), module.eps, (len(module.weight),))


def _layer(layer: Any) -> Layer:
    own, text = layer.self_attn, layer.encoder_attn
    return Layer(
        self_norm=_norm(layer.self_attn_layer_norm),
        qkv=_join(own.q_proj.weight, own.k_proj.weight, own.v_proj.weight).t(),
        self_out=own.out_proj.weight.detach().t(),
        text_norm=_norm(layer.encoder_attn_layer_norm),
        text_q=text.q_proj.weight.detach().t(),
        text_kv=_join(text.k_proj.weight, text.v_proj.weight).t(),
        text_out=text.out_proj.weight.detach().t(),
        feed_norm=_norm(layer.final_layer_norm),
        feed_in=layer.fc1.weight.detach().t(),
        feed_out=layer.fc2.weight.detach().t(),
    )
