"""One step of the decoder, over buffers that stay where they are.

Everything that changes from step to step is in a tensor, the position too, so a step can be
captured as a CUDA graph and replayed; :mod:`engine.models.musicgen.capture` does that. The only
number that Python gives it is the span: how much of the past is looked at, rounded up.

Rows: the B sequences under their prompts come first, then G of them again without a prompt, which
guidance needs; attention to no text adds nothing, so these rows pass it by. Shapes below: R = B + G
rows, H heads of N numbers, D = H * N, K codebooks of V codes, C places, S places of text.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own idiom

from engine.models.audio import Sampling
from engine.models.musicgen.packed import Norm, Packed
from engine.models.musicgen.sampling import draw


class Buffers:
    """What a step reads and writes."""

    def __init__(
        self, packed: Packed, batch: int, guided: Sequence[int], places: int, text: int
    ) -> None:
        self.batch, self.guided_rows, self.places, self.text_places = batch, guided, places, text
        rows = batch + len(guided)
        heads, width, books = packed.heads, packed.width, packed.codebooks
        like, layers = packed.head, len(packed.layers)
        ints = torch.zeros((), dtype=torch.int64, device=packed.device)
        floats = torch.zeros((), dtype=torch.float32, device=packed.device)
        self.past = like.new_zeros(layers, rows, 2, heads, places, width // heads)
        """Keys and values of what came before."""

        self.text = like.new_zeros(layers, batch, 2, heads, text, width // heads)
        """Keys and values of the prompts; zeros, which add nothing, where there is none."""

        self.text_mask = like.new_zeros(batch, 1, 1, text)
        """0 where there is text, -inf behind it; all 0 for a sequence without a prompt."""

        self.sequence = ints.new_zeros(batch, books, places)
        self.position = ints.new_zeros(1)
        """The place whose codes the next step takes in."""

        self.past_mask = like.new_zeros(places)
        """0 for every place before that one, -inf behind; the step opens its own."""

        self.chances = floats.new_zeros(places, batch, books)
        self.guided = ints.new_tensor(guided)
        """The sequences that have a second row, ``[G]``."""

        self.guidance = floats.new_ones(batch, 1, 1)
        self.temperature = floats.new_ones(())
        self.top_p = floats.new_ones(())

    @property
    def rows(self) -> int:
        """R."""
        return self.batch + len(self.guided_rows)

    @property
    def nbytes(self) -> int:
        """Memory that they take, in bytes."""
        tensors = (value for value in vars(self).values() if isinstance(value, Tensor))
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    def go_to(self, place: int) -> None:
        """Have the next step take in the codes at ``place``."""
        self.position.fill_(place)
        self.past_mask.fill_(-torch.inf)[:place] = 0


class Step:
    """The step of one model over one set of buffers."""

    def __init__(self, packed: Packed, buffers: Buffers, sampling: Sampling) -> None:
        self.packed, self.buffers, self.sampling = packed, buffers, sampling
        device = packed.device
        books = torch.arange(packed.codebooks, device=device)
        self._tables = books * (packed.card + 1)
        self._positions = packed.positions(buffers.places)
        self._layers = list(buffers.past)
        self._text = [(layer[:, 0], layer[:, 1]) for layer in buffers.text]
        self._seen: tuple[int, list[tuple[Tensor, Tensor]]] = (0, [])

    def __call__(self, span: int) -> None:
        """Go on by one place, looking at the first ``span`` places, of which there may be less."""
        b, p = self.buffers, self.packed
        rows, heads, width = b.rows, p.heads, p.width
        x = self._embed(b.sequence.index_select(2, b.position).squeeze(2))
        x = x + self._positions.index_select(0, b.position)
        b.past_mask.index_fill_(0, b.position, 0)
        mask = b.past_mask[:span].expand(rows, 1, 1, span)
        told = x[: b.batch]
        for layer, past, seen, text in zip(
            p.layers, self._layers, self._past(span), self._text, strict=True
        ):
            qkv = torch.mm(_normed(x, layer.self_norm), layer.qkv)
            qkv = qkv.view(rows, 3, heads, 1, width // heads)
            past.index_copy_(3, b.position, qkv[:, 1:])
            found = F.scaled_dot_product_attention(qkv[:, 0], *seen, mask)
            x.addmm_(found.view(rows, width), layer.self_out)
            q = torch.mm(_normed(told, layer.text_norm), layer.text_q)
            q = q.view(b.batch, heads, 1, width // heads)
            found = F.scaled_dot_product_attention(q, *text, b.text_mask)
            told.addmm_(found.view(b.batch, width), layer.text_out)
            hidden = F.gelu(torch.mm(_normed(x, layer.feed_norm), layer.feed_in))
            x.addmm_(hidden, layer.feed_out)
        logits = torch.mm(_normed(x, p.norm), p.head).view(rows, p.codebooks, p.card).float()
        self._write(self._chosen(self._guide(logits)))

    def prefill(self, places: int) -> None:
        """Take in so many places from the first one, at once; the next step takes the one after."""
        b, p = self.buffers, self.packed
        rows, heads, width = b.rows, p.heads, p.width
        x = self._embed(b.sequence[:, :, :places].transpose(1, 2).flatten(0, 1))
        x = x.view(rows, places, width) + self._positions[:places]
        told = x[: b.batch]
        for layer, past, text in zip(p.layers, self._layers, self._text, strict=True):
            qkv = _normed(x, layer.self_norm) @ layer.qkv
            q, k, v = qkv.view(rows, places, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
            past[:, 0, :, :places] = k
            past[:, 1, :, :places] = v
            found = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x += found.transpose(1, 2).flatten(2) @ layer.self_out
            q = _normed(told, layer.text_norm) @ layer.text_q
            q = q.view(b.batch, places, heads, width // heads).transpose(1, 2)
            found = F.scaled_dot_product_attention(q, *text, b.text_mask)
            told += found.transpose(1, 2).flatten(2) @ layer.text_out
            hidden = F.gelu(_normed(x, layer.feed_norm) @ layer.feed_in)
            x += hidden @ layer.feed_out
        b.go_to(places)

    def _embed(self, tokens: Tensor) -> Tensor:
        """The sum of the codebooks' embeddings for ``[B * n, K]``, and the guided rows' again."""
        b = self.buffers
        x = F.embedding(tokens + self._tables, self.packed.embedding).sum(1)
        if not b.guided_rows:
            return x
        again = x.view(b.batch, -1).index_select(0, b.guided)
        return torch.cat([x, again.view(-1, self.packed.width)])

    def _guide(self, logits: Tensor) -> Tensor:
        """From R rows of logits to B: past what is likely with the prompt, by the guidance."""
        b = self.buffers
        if not b.guided_rows:
            return logits
        told, alone = logits[: b.batch], logits[b.batch :]
        if len(alone) != b.batch:
            alone = told.index_copy(0, b.guided, alone)
        guided: Tensor = alone + (told - alone) * b.guidance
        return guided

    def _chosen(self, logits: Tensor) -> Tensor:
        if self.sampling.greedy:
            return logits.argmax(-1)
        b = self.buffers
        chance = b.chances.index_select(0, b.position).squeeze(0)
        top_p = b.top_p if self.sampling.top_p < 1 else None
        return draw(logits, chance, b.temperature, self.sampling.top_k, top_p)

    def _write(self, chosen: Tensor) -> None:
        """Write down the codes that were not known yet, and move on."""
        b = self.buffers
        b.position.add_(1)
        known = b.sequence.index_select(2, b.position).squeeze(2)
        codes = torch.where(known < 0, chosen, known)
        b.sequence.index_copy_(2, b.position, codes.unsqueeze(2))

    def _past(self, span: int) -> list[tuple[Tensor, Tensor]]:
        if self._seen[0] != span:
            views = [(p[:, 0, :, :span], p[:, 1, :, :span]) for p in self._layers]
            self._seen = (span, views)
        return self._seen[1]


def _normed(x: Tensor, norm: Norm) -> Tensor:
    return torch.layer_norm(x, norm.shape, norm.weight, norm.bias, norm.eps)
