"""RWKV-7 in torch: the one definition that trains, prefills and steps, on CPU and CUDA.

Parameter names are x070's (see :mod:`engine.models.rwkv.architecture`), so a state dict of this
module is a model file. Shapes below: B sequences, T tokens, C channels, H heads of N = C/H.

Source: Peng et al., arXiv 2503.14456. Time mixing keeps, for each head, a matrix S [N, N] (value x
key) and per token does

    S_t = S_{t-1} (diag(w_t) + a_t b_t^T) + v_t k_t^T,        y_t = S_t r_t

with decay w, and a = -kk, b = kk * (in-context learning rate) for the unit key kk. :func:`wkv`
computes this exactly, in fp32, a chunk of tokens at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own idiom
from torch.utils.checkpoint import checkpoint

from engine.models.rwkv.architecture import (
    DECAY_SCALE,
    HEAD_NORM_EPS,
    LAYER_NORM_EPS,
    Sizes,
)

CHUNK = 32
"""Tokens that :func:`wkv` takes at once. Decay is at least e^-0.607, so the product of 32 of them
and its inverse stay well inside fp32 (64 would, too; 32 is the fastest on CPUs)."""


class State(NamedTuple):
    """All that the model remembers: copy it to fork a sequence, keep it to rewind."""

    shift: Tensor
    """The last token's normed inputs [layers, 2, B, C]: time mixing, then channel mixing."""

    wkv: Tensor
    """The matrices S [layers, B, H, N, N], fp32."""

    def detach(self) -> State:
        """The same values, cut off from the graph that made them."""
        return State(self.shift.detach(), self.wkv.detach())


Recurrence = Callable[
    [Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]
]
"""What :func:`wkv` is; another may compute the same, as training's kernels for CUDA do."""


def wkv(
    r: Tensor, w: Tensor, k: Tensor, v: Tensor, a: Tensor, b: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    """Run the recurrence over T tokens, ``CHUNK`` at a time.

    ``r, w, k, v, a, b`` are [B, T, H, N], ``w`` being the logarithm of the decay; ``state`` is
    [B, H, N, N]. Returns y [B, T, H, N] and the state after the last token, both fp32.

    Autocast is switched off inside: it would send these matrix products to bf16 even though their
    inputs are fp32, and a run of equal tokens (a long rest) then has NaN as its gradient.
    """
    with torch.autocast(r.device.type, enabled=False):
        inputs = [x.float() for x in (r, w, k, v, a, b)]
        length = r.shape[1]
        whole = length - length % CHUNK
        pieces = []
        state = state.float()
        for start, stop, size in ((0, whole, CHUNK), (whole, length, length - whole)):
            if start < stop:
                y, state = _wkv_chunks([x[:, start:stop] for x in inputs], state, size)
                pieces.append(y)
        return torch.cat(pieces, 1) if len(pieces) > 1 else pieces[0], state


def _wkv_chunks(inputs: Sequence[Tensor], state: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """:func:`wkv` of ``r, w, k, v, a, b`` whose T is a multiple of ``size``.

    With W_t the product of decays from the chunk's start through t, and u_t = S_{t-1} a_t,

        S_t = (S_0 + sum_{s<=t} (u_s (b_s/W_s)^T + v_s (k_s/W_s)^T)) diag(W_t)

    so that u solves one unit lower-triangular system per chunk, whatever S_0 is. Everything but
    S_0's own way from chunk to chunk (one small matrix product) runs for all chunks at once.
    """
    batch, length, heads, width = inputs[0].shape
    chunks = length // size

    def split(x: Tensor) -> Tensor:  # [B, T, H, N] -> [B, H, chunks, size, N]
        return x.view(batch, chunks, size, heads, width).permute(0, 3, 1, 2, 4)

    r, w, k, v, a, b = (split(x) for x in inputs)
    log_decay = w.cumsum(-2)
    decay, growth = log_decay.exp(), (-log_decay).exp()
    end = decay[..., -1:, :]
    a_in, r_in = a * (log_decay - w).exp(), r * decay
    b_out, k_out = b * growth, k * growth

    ab = (a_in @ b_out.mT).tril(-1)
    ak = (a_in @ k_out.mT).tril(-1)
    rb = (r_in @ b_out.mT).tril()
    rk = (r_in @ k_out.mT).tril()

    # u = u_state S_0^T + u_own
    solve = _inverse_unit_lower(ab)
    u_state, u_own = solve @ a_in, solve @ (ak @ v)
    b_end, k_end = b_out * end, k_out * end
    carry = u_state.mT @ b_end + torch.diag_embed(end.squeeze(-2))
    added = u_own.mT @ b_end + v.mT @ k_end

    starts = []
    for carry_one, added_one in zip(carry.unbind(2), added.unbind(2), strict=True):
        starts.append(state)
        state = state @ carry_one + added_one

    y = (r_in + rb @ u_state) @ torch.stack(starts, 2).mT + (rb @ u_own + rk @ v)
    return y.permute(0, 2, 3, 1, 4).reshape(batch, length, heads, width), state


def _inverse_unit_lower(strict: Tensor) -> Tensor:
    """(I - L)^-1 for strictly lower-triangular L [..., n, n], as (I + L)(I + L^2)(I + L^4)…

    Exact, since L^n = 0, and all matrix products: a triangular solve is slower in batches.
    """
    size = strict.shape[-1]
    identity = torch.eye(size, dtype=strict.dtype, device=strict.device)
    inverse, power, reach = identity + strict, strict, 2
    while reach < size:
        power = power @ power
        inverse = inverse + inverse @ power
        reach *= 2
    return inverse


def _shifted(x: Tensor, last: Tensor) -> Tensor:
    """Each token's predecessor minus itself, [B, T, C]; ``last`` [B, C] precedes the first."""
    return torch.cat((last.unsqueeze(1).to(x.dtype), x[:, :-1]), 1) - x


def _empty(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(*shape))


def _low_rank(width: int, rank: int) -> tuple[nn.Parameter, nn.Parameter, nn.Parameter]:
    """An offset and the two factors of its correction."""
    return _empty(width), _empty(width, rank), _empty(rank, width)


class TimeMix(nn.Module):
    """The recurrent half of a layer: reads and writes the matrices S."""

    def __init__(self, sizes: Sizes, layer: int) -> None:
        super().__init__()
        self.layer, self.heads, self.width = layer, sizes.heads, sizes.head
        self.recurrence: Recurrence = wkv
        c = sizes.embed
        self.x_r, self.x_w, self.x_k = _empty(c), _empty(c), _empty(c)
        self.x_v, self.x_a, self.x_g = _empty(c), _empty(c), _empty(c)
        self.w0, self.w1, self.w2 = _low_rank(c, sizes.decay_rank)
        self.a0, self.a1, self.a2 = _low_rank(c, sizes.iclr_rank)
        if layer > 0:
            self.v0, self.v1, self.v2 = _low_rank(c, sizes.value_rank)
        self.g1, self.g2 = _empty(c, sizes.gate_rank), _empty(sizes.gate_rank, c)
        self.k_k, self.k_a, self.r_k = _empty(c), _empty(c), _empty(sizes.heads, sizes.head)
        self.receptance = nn.Linear(c, c, bias=False)
        self.key = nn.Linear(c, c, bias=False)
        self.value = nn.Linear(c, c, bias=False)
        self.output = nn.Linear(c, c, bias=False)
        self.ln_x = nn.GroupNorm(sizes.heads, c, eps=HEAD_NORM_EPS)

    def forward(
        self, x: Tensor, last: Tensor, state: Tensor, first_value: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """[B, T, C] in; out: the same shape, the new state, and the first layer's value."""
        batch, length, channels = x.shape
        shift = _shifted(x, last)
        xr, xw, xk, xv, xa, xg = (
            x + shift * mix for mix in (self.x_r, self.x_w, self.x_k, self.x_v, self.x_a, self.x_g)
        )
        r, k, v = self.receptance(xr), self.key(xk), self.value(xv)
        # The decay is made in fp32: bf16 has too few digits next to 1.
        w = -DECAY_SCALE * torch.sigmoid(self.w0 + (torch.tanh(xw @ self.w1) @ self.w2).float())
        rate = torch.sigmoid(self.a0 + (xa @ self.a1) @ self.a2)
        gate = torch.sigmoid(xg @ self.g1) @ self.g2
        if first_value is None:
            first_value = v
        else:
            v = v + (first_value - v) * torch.sigmoid(self.v0 + (xv @ self.v1) @ self.v2)

        def split(y: Tensor) -> Tensor:
            return y.view(batch, length, self.heads, self.width)

        unit_key = F.normalize(split(k.float() * self.k_k), dim=-1)
        k = k * (1 + (rate - 1) * self.k_a)
        r, k, v = split(r), split(k), split(v)
        y, state = self.recurrence(r, split(w), k, v, -unit_key, unit_key * split(rate), state)
        y = self.ln_x(y.reshape(batch * length, channels)).view(batch, length, channels)
        bonus = (r * k * self.r_k).sum(-1, keepdim=True) * v
        return self.output((y + bonus.reshape(batch, length, channels)) * gate), state, first_value


class ChannelMix(nn.Module):
    """The feed-forward half of a layer: squared ReLU."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.x_k = nn.Parameter(torch.empty(sizes.embed))
        self.key = nn.Linear(sizes.embed, sizes.ffn, bias=False)
        self.value = nn.Linear(sizes.ffn, sizes.embed, bias=False)

    def forward(self, x: Tensor, last: Tensor) -> Tensor:
        """[B, T, C] in and out."""
        hidden = self.key(x + _shifted(x, last) * self.x_k)
        return cast(Tensor, self.value(torch.relu(hidden).square()))


class Block(nn.Module):
    """One layer."""

    def __init__(self, sizes: Sizes, layer: int) -> None:
        super().__init__()
        if layer == 0:
            self.ln0 = nn.LayerNorm(sizes.embed, eps=LAYER_NORM_EPS)
        self.ln1 = nn.LayerNorm(sizes.embed, eps=LAYER_NORM_EPS)
        self.ln2 = nn.LayerNorm(sizes.embed, eps=LAYER_NORM_EPS)
        self.att = TimeMix(sizes, layer)
        self.ffn = ChannelMix(sizes)

    def forward(
        self, x: Tensor, shift: Tensor, state: Tensor, first_value: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """``x`` [B, T, C], ``shift`` [2, B, C]; returns x, shift, state and the first value."""
        if self.att.layer == 0:
            x = self.ln0(x)
        time_in = self.ln1(x)
        mixed, state, first_value = self.att(time_in, shift[0], state, first_value)
        x = x + mixed
        channel_in = self.ln2(x)
        x = x + self.ffn(channel_in, shift[1])
        return x, torch.stack((time_in[:, -1], channel_in[:, -1])), state, first_value


class Rwkv7(nn.Module):
    """The whole model: tokens in, logits out, and the state handed over."""

    def __init__(self, sizes: Sizes) -> None:
        """Weights are uninitialised noise: load a state dict, or call :meth:`initialise`."""
        super().__init__()
        self.sizes = sizes
        self.emb = nn.Embedding(sizes.vocab, sizes.embed)
        self.blocks = nn.ModuleList(Block(sizes, layer) for layer in range(sizes.layers))
        self.ln_out = nn.LayerNorm(sizes.embed, eps=LAYER_NORM_EPS)
        self.head = nn.Linear(sizes.embed, sizes.vocab, bias=False)
        self.start: nn.Parameter | None = None
        self.recompute = False
        """Whether training keeps only what passes between layers, and computes the rest twice."""

    def learn_start(self) -> None:
        """Let sequences start with matrices S that are learned [layers, H, N, N], zero at first."""
        s = self.sizes
        self.start = nn.Parameter(
            self.emb.weight.new_zeros(s.layers, s.heads, s.head, s.head, dtype=torch.float32)
        )

    def zero_state(self, batch: int = 1) -> State:
        """What a sequence starts with: nothing, or what was learned for it."""
        s, weight = self.sizes, self.emb.weight
        shape = (s.layers, batch, s.heads, s.head, s.head)
        start = weight.new_zeros(shape, dtype=torch.float32)
        if self.start is not None:
            start = start + self.start.unsqueeze(1)
        return State(weight.new_zeros(s.layers, 2, batch, s.embed), start)

    def forward(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """``tokens`` [B, T] to logits [B, T, vocab] and the state after the last token.

        The state passed in is left as it was.
        """
        if state is None:
            state = self.zero_state(tokens.shape[0])
        x = self.emb(tokens)
        shifts, matrices = [], []
        first_value: Tensor | None = None
        for block, shift, matrix in zip(self.blocks, state.shift, state.wkv, strict=True):
            inputs = (x, shift, matrix, first_value)
            if self.recompute and torch.is_grad_enabled():
                x, shift, matrix, first_value = checkpoint(block, *inputs, use_reentrant=False)
            else:
                x, shift, matrix, first_value = block(*inputs)
            shifts.append(shift)
            matrices.append(matrix)
        return self.head(self.ln_out(x)), State(torch.stack(shifts), torch.stack(matrices))

    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """One token a sequence: ``tokens`` [B] to logits [B, vocab] and the next state."""
        logits, state = self.forward(tokens.unsqueeze(1), state)
        return logits[:, 0], state

    @torch.no_grad()
    def initialise(self) -> None:
        """Fresh weights to train from; draws from torch's default generator.

        The published recipe: outputs of every layer start at zero, so that each layer starts as
        the identity; decays are spread over the channels from slow to fast; mixing coefficients
        run from one layer to the next.
        """
        s = self.sizes
        nn.init.uniform_(self.emb.weight, -1e-4, 1e-4)
        nn.init.orthogonal_(self.head.weight, gain=0.5 * max(1.0, s.vocab / s.embed) ** 0.5)
        for module in self.modules():
            if isinstance(module, nn.LayerNorm):
                nn.init.ones_(module.weight)
                nn.init.zeros_(module.bias)
        for layer, block in enumerate(self.blocks):
            depth = layer / max(1, s.layers - 1)
            remaining = 1 - layer / s.layers
            _initialise_time_mix(cast(Block, block).att, depth, remaining)
            _initialise_channel_mix(cast(Block, block).ffn, remaining)


_SHIFT_POWERS = {"r": 0.2, "w": 0.9, "k": 0.7, "v": 0.7, "a": 0.9, "g": 0.2}
"""How steeply each mixing coefficient runs over the channels at initialisation."""


def _initialise_time_mix(att: TimeMix, depth: float, remaining: float) -> None:
    channels = att.k_k.numel()
    channel = torch.arange(channels) / channels
    along = torch.arange(channels) / (channels - 1)
    for name, power in _SHIFT_POWERS.items():
        att.get_parameter(f"x_{name}").copy_(1 - channel ** (power * remaining))
    att.w0.copy_(-6.5 + 5 * along ** (0.85 + depth**0.5))
    att.a0.zero_()
    att.k_k.fill_(0.85)
    att.k_a.fill_(1.0)
    att.r_k.zero_()
    for letter in "wag" if att.layer == 0 else "wavg":
        att.get_parameter(f"{letter}1").zero_()
        nn.init.orthogonal_(att.get_parameter(f"{letter}2"), gain=0.1)
    if att.layer > 0:
        att.v0.fill_(1.0)
    bound = channels**-0.5
    nn.init.uniform_(att.receptance.weight, -0.5 * bound, 0.5 * bound)
    nn.init.uniform_(att.key.weight, -0.05 * bound, 0.05 * bound)
    nn.init.uniform_(att.value.weight, -0.5 * bound, 0.5 * bound)
    nn.init.zeros_(att.output.weight)
    nn.init.constant_(att.ln_x.weight, (1 + (1 - remaining) * 0.7))
    nn.init.zeros_(att.ln_x.bias)


def _initialise_channel_mix(ffn: ChannelMix, remaining: float) -> None:
    channels = ffn.x_k.numel()
    ffn.x_k.copy_(1 - (torch.arange(channels) / channels) ** remaining**4)
    bound = channels**-0.5
    nn.init.uniform_(ffn.key.weight, -0.5 * bound, 0.5 * bound)
    nn.init.zeros_(ffn.value.weight)
