"""A MusicGen's text encoder and decoder as graphs without state, as exporters take them.

The decoder's keys and values are the caller's: a graph reads the past and gives back what is new of
it, so nothing is copied that is there already. It takes one place or many, so it is the prefill and
the step both.

Shapes: B pieces, K codebooks of V codes, n new places after p that may be read of C, L layers, H
heads of N numbers, S places of text. Importing this module imports torch.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own idiom

from engine.models.musicgen.model import MusicGen
from engine.models.musicgen.packed import Norm

FAR = -1e9
"""What is added to what must not be looked at: a float that int8 and half precision can hold."""


class Linear(nn.Module):
    """A matrix ``[in, out]`` without a bias, which an exporter writes as one MatMul."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.detach().float().contiguous().clone(), False)

    def forward(self, x: Tensor) -> Tensor:
        """``[..., out]``"""
        return x @ self.weight


class Layer(nn.Module):
    """One layer of the decoder."""

    def __init__(self, layer: Any, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.self_norm, self.text_norm = _norm(layer.self_norm), _norm(layer.text_norm)
        self.feed_norm = _norm(layer.feed_norm)
        self.qkv, self.self_out = Linear(layer.qkv), Linear(layer.self_out)
        self.text_q, self.text_out = Linear(layer.text_q), Linear(layer.text_out)
        self.feed_in, self.feed_out = Linear(layer.feed_in), Linear(layer.feed_out)

    def forward(
        self, x: Tensor, past: Tensor, past_mask: Tensor, text: Tensor, text_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """``x`` ``[B, n, D]`` goes on; and its keys and values ``[2, B, H, n, N]``."""
        batch, new, width = x.shape
        qkv = self.qkv(self.self_norm(x)).view(batch, new, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        q = q * (width // self.heads) ** -0.5
        order = torch.arange(new, device=x.device)
        causal = (order[None, :] > order[:, None]).float() * FAR
        scores = torch.cat(
            [q @ past[0].transpose(-1, -2) + past_mask, q @ k.transpose(-1, -2) + causal], -1
        )
        # Two sums instead of one over the past and the new put together, which would copy it.
        shares = torch.softmax(scores, -1)
        end = past.shape[-2]
        found = shares[..., :end] @ past[1] + shares[..., end:] @ v
        x = x + self.self_out(found.transpose(1, 2).reshape(batch, new, width))
        q = self.text_q(self.text_norm(x)).view(batch, new, self.heads, width // self.heads)
        q = q.transpose(1, 2) * (width // self.heads) ** -0.5
        shares = torch.softmax(q @ text[0].transpose(-1, -2) + text_mask, -1)
        found = (shares @ text[1]).transpose(1, 2).reshape(batch, new, width)
        x = x + self.text_out(found)
        x = x + self.feed_out(F.gelu(self.feed_in(self.feed_norm(x))))
        return x, torch.stack([k, v])


class DecoderGraph(nn.Module):
    """Codes in, what comes next out; prefill and step in one."""

    def __init__(self, model: MusicGen, places: int) -> None:
        """For sequences of up to so many ``places``."""
        super().__init__()
        packed = model.packed
        self.codebooks, self.card = packed.codebooks, packed.card
        self.table = nn.Parameter(packed.embedding.detach().float().clone(), False)
        self.layers = nn.ModuleList(Layer(layer, packed.heads) for layer in packed.layers)
        self.norm, self.head = _norm(packed.norm), Linear(packed.head)
        books = torch.arange(packed.codebooks)
        self.offsets: Tensor
        self.positions: Tensor
        self.register_buffer("offsets", (books * (packed.card + 1))[:, None])
        self.register_buffer("positions", packed.positions(places).float())

    def forward(
        self, tokens: Tensor, place: Tensor, past: Tensor, text: Tensor, text_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """What follows the last of ``tokens``, and the keys and values of all of them.

        ``tokens`` int64 ``[B, K, n]`` stand at ``place`` int64 ``[1]`` and after it; of ``past``
        ``[L, 2, B, H, C, N]`` only what is before ``place`` is read. ``text``
        ``[L, 2, B, H, S, N]`` is what `TextGraph` makes, ``text_mask`` ``[B, S]`` 1 where there is
        any. Logits ``[B, K, V]`` and ``[L, 2, B, H, n, N]``.
        """
        batch, _, new = tokens.shape
        x = F.embedding(tokens + self.offsets, self.table).sum(1)
        order = torch.arange(new, device=tokens.device)
        x = x + F.embedding(place + order, self.positions)
        behind = torch.arange(past.shape[-2], device=tokens.device) >= place
        past_mask = behind.float() * FAR
        hidden = (1 - text_mask)[:, None, None, :] * FAR
        made = []
        for index, layer in enumerate(self.layers):
            x, kept = layer(x, past[index], past_mask, text[index], hidden)
            made.append(kept)
        last = self.norm(x[:, -1])
        logits = self.head(last).view(batch, self.codebooks, self.card)
        return logits, torch.stack(made)


class TextGraph(nn.Module):
    """T5's tokens in, what the decoder looks at out: keys and values of each layer."""

    def __init__(self, model: MusicGen) -> None:
        super().__init__()
        self.encoder = model.network.text_encoder
        self.projection = getattr(model.network, "enc_to_dec_proj", None)
        self.heads = model.packed.heads
        self.keys_values = nn.ModuleList(Linear(layer.text_kv) for layer in model.packed.layers)

    def forward(self, tokens: Tensor) -> Tensor:
        """``[L, 2, 1, H, S, N]`` of int64 ``[1, S]``."""
        states = self.encoder(input_ids=tokens).last_hidden_state
        if self.projection is not None:
            states = self.projection(states)
        batch, places, width = states.shape
        found = [
            each(states).view(batch, places, 2, self.heads, width // self.heads)
            for each in self.keys_values
        ]
        return torch.stack(found).permute(0, 3, 1, 4, 2, 5)


def _norm(norm: Norm) -> nn.LayerNorm:
    made = nn.LayerNorm(norm.shape, norm.eps)
    with torch.no_grad():
        made.weight.copy_(norm.weight)
        made.bias.copy_(norm.bias)
    return made.requires_grad_(False)
