"""Fits a model's gate: how much each context of the song's past counts beside the network.

The network is done by then. Pieces of the training side, transposed at random so that the network
does not know them by heart, are read once; what the network expected of each token, and what each
context did, are the examples of a small mixture whose weights are found by Adam.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own idiom

from engine.models.rwkv.torch_model import Rwkv7
from engine.recall import contexts, loops
from engine.recall.blend import BASE_FEATURES, CONTEXT_FEATURES, SURE
from engine.recall.contexts import COUNT, KIND_COUNT
from engine.recall.gate import Gate
from engine.recall.memory import Findings, Past
from engine.tokens.vocabulary import Vocabulary
from training.data import TRANSPOSITIONS, TokenSet

SEGMENT = 2048
"""Tokens that the network reads at once."""

FIT_TOKENS = 400_000
"""Tokens that are read for fitting; each collection gets its weight's share of them."""

PIECE_TOKENS = 20_000
"""Tokens of a piece that are read; an eighth of all, where that is less, so that there are several
pieces."""

SHARE = 40
"""A run fits its gate to one token for so many that it learned from, …"""

FEWEST_TOKENS = 20_000
MOST_TOKENS = 200_000
"""… but to so many at least, which take about 10 s on one core, and at most: about 90 s."""

EXAMPLES = 120_000
FIT_STEPS = 300
RATE = 0.05
SMALLEST = 1e-9

Reals = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Examples:
    """What was seen at each of N tokens."""

    kind: NDArray[np.int64]
    """Kind of the token before ``[N]``."""
    dense: NDArray[np.float32]
    """Entropy (nats) and peak of the network's expectation ``[N, 2]``."""
    seen: NDArray[np.float32]
    """Weight and largest share of each context ``[N, COUNT, 2]``."""
    chances: NDArray[np.float32]
    """What the network, then each context gave the token that came ``[N, COUNT + 1]``."""

    @classmethod
    def joined(cls, parts: Sequence[Examples]) -> Examples:
        """All of them as one."""
        return cls(
            *(
                np.concatenate([getattr(part, name) for part in parts])
                for name in ("kind", "dense", "seen", "chances")
            )
        )


@torch.no_grad()
def network_logits(model: Rwkv7, tokens: NDArray[np.integer], begin: int) -> Iterator[Tensor]:
    """The network's logits before each token of a piece, segment by segment ``[t, V]``."""
    device = model.emb.weight.device
    whole = torch.from_numpy(np.concatenate(([begin], tokens.astype(np.int64)))).to(device)
    state = model.zero_state(1)
    for start in range(0, len(tokens), SEGMENT):
        logits, state = model(whole[None, start : start + SEGMENT + 1][:, :-1], state)
        yield logits[0].float().cpu()


def softmax(
    logits: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Probabilities ``[B, V]``, their entropy in nats and the largest of each row ``[B]``."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    chances = np.exp(shifted)
    total = chances.sum(axis=1)
    chances /= total[:, None]
    entropy = np.log(total) - np.einsum("bv,bv->b", chances, shifted)
    return chances, entropy, 1 / total


class Listening:
    """Reads a piece token by token and says what its own past makes of each."""

    def __init__(self, kinds: NDArray[np.int64], begin: int, gate: Gate) -> None:
        """``begin`` is the token that every context begins with."""
        loops.use_compiled()
        self._past = Past(kinds)
        self._past.add([begin])
        self._gate = gate
        self._blend = loops.fastest().blend
        self._nothing = (np.zeros(1, np.int32), np.zeros((1, COUNT), np.int64), 0, 0)
        self.findings = Findings()

    @property
    def kind(self) -> int:
        """The last token's kind."""
        return int(self._past.state[contexts.AT_KIND])

    def blend(self, chances: NDArray[np.float32], entropy: float, peak: float) -> None:
        """Mix what followed before into ``chances`` ``[V]``, in place."""
        past = self._past
        self._blend(
            chances, self.kind, entropy, peak, past.contexts[past.length],
            past.tokens, past.earlier, past.keys, past.latest, *self._nothing,
            self._gate.base, self._gate.experts, *self.findings.arrays,
        )  # fmt: skip

    def hear(self, token: int) -> None:
        """The token that came."""
        if self._past.length == len(self._past.tokens):
            self._past = self._past.copy(2 * self._past.length)
        self._past.add([token])


def nats(
    model: Rwkv7, gate: Gate, vocabulary: Vocabulary, tokens: NDArray[np.integer], begin: int
) -> NDArray[np.float64]:
    """Surprise of each token of a piece ``[T]``, in nats, for the network with its recall."""
    listening = Listening(contexts.kinds_of(vocabulary), begin, gate)
    found, at = np.zeros(len(tokens)), 0
    for logits in network_logits(model, tokens, begin):
        chances, entropy, peak = softmax(logits.numpy())
        for row in range(len(chances)):
            token = int(tokens[at])
            listening.blend(chances[row], float(entropy[row]), float(peak[row]))
            found[at] = -np.log(max(float(chances[row, token]), 1e-30))
            listening.hear(token)
            at += 1
    return found


def examples(
    model: Rwkv7, vocabulary: Vocabulary, tokens: NDArray[np.integer], begin: int
) -> Examples:
    """What one piece shows."""
    listening = Listening(contexts.kinds_of(vocabulary), begin, empty_gate())
    kinds, dense, seen, given = [], [], [], []
    at = 0
    for logits in network_logits(model, tokens, begin):
        chances, entropy, peak = softmax(logits.numpy())
        for row in range(len(chances)):
            token = int(tokens[at])
            alone = chances[row, token]
            kinds.append(listening.kind)
            listening.blend(chances[row], float(entropy[row]), float(peak[row]))
            what = listening.findings
            dense.append((entropy[row], peak[row]))
            seen.append(what.seen.astype(np.float32))
            hit = ((what.found == token) * what.shares).sum(axis=1)
            given.append(np.concatenate(([alone], hit)).astype(np.float32))
            listening.hear(token)
            at += 1
    return Examples(
        np.array(kinds, np.int64),
        np.array(dense, np.float32).reshape(-1, 2),
        np.array(seen, np.float32).reshape(-1, COUNT, 2),
        np.array(given, np.float32).reshape(-1, COUNT + 1),
    )


def empty_gate() -> Gate:
    """One that finds all equally likely to be right."""
    return Gate(
        np.zeros((BASE_FEATURES, COUNT + 1)), np.zeros((KIND_COUNT, COUNT, CONTEXT_FEATURES))
    )


def fit(seen: Examples, seed: int = 0, steps: int = FIT_STEPS) -> Gate:
    """The gate under which the examples are least surprising. The same seed gives the same gate."""
    chosen = np.random.default_rng(seed).permutation(len(seen.kind))[:EXAMPLES]
    kind = torch.from_numpy(seen.kind[chosen])
    dense, present, features = _features(seen, chosen)
    given = torch.from_numpy(seen.chances[chosen])
    base = torch.zeros(BASE_FEATURES, COUNT + 1)
    base[:, 0] = 1.0
    experts = torch.zeros(KIND_COUNT, COUNT, CONTEXT_FEATURES)
    optimizer = torch.optim.Adam([base.requires_grad_(), experts.requires_grad_()], lr=RATE)
    for _ in range(steps):
        scores = dense @ base
        own = (features * experts[kind]).sum(-1)
        scores = torch.cat([scores[:, :1], (scores[:, 1:] + own).masked_fill(~present, -1e30)], 1)
        loss = -(scores.softmax(1) * given).sum(1).add(SMALLEST).log().mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return Gate(base.detach().double().numpy(), experts.detach().double().numpy())


def _features(seen: Examples, chosen: NDArray[np.int64]) -> tuple[Tensor, Tensor, Tensor]:
    """As `engine.recall.blend` reckons them: of the network, who is present, of the contexts."""
    kind = torch.from_numpy(seen.kind[chosen])
    dense = torch.from_numpy(seen.dense[chosen])
    total, largest = torch.from_numpy(seen.seen[chosen]).unbind(-1)
    amount = torch.log1p(total)
    features = torch.stack(
        [torch.ones_like(total), amount, largest, largest * amount, -(SURE - largest).log()], -1
    )
    first = torch.cat([F.one_hot(kind, KIND_COUNT), dense / torch.tensor([4.0, 1.0])], 1)
    return first.float(), total > 0, features


def fit_to(model: Rwkv7, data: TokenSet, seed: int = 0, tokens: int = FIT_TOKENS) -> Gate:
    """A gate for ``model``, from the training side of its data."""
    vocabulary = Vocabulary.load(data.folder)
    parts = [
        examples(model, vocabulary, piece, data.vocabulary.begin)
        for piece in _pieces(data, seed, tokens)
    ]
    return fit(Examples.joined(parts), seed)


def tokens_for(learned: int) -> int:
    """Tokens that a run fits its gate to, which learned from so many: a small part of its time."""
    return min(max(learned // SHARE, FEWEST_TOKENS), MOST_TOKENS)


def check_fits(data: TokenSet) -> None:
    """Raise ``bad-file`` where the data's tokens are of a kind that contexts are not made for."""
    Vocabulary.load(data.folder)


def _pieces(data: TokenSet, seed: int, tokens: int) -> Iterable[NDArray[np.uint16]]:
    """Pieces of each collection, transposed, until it has its share of the tokens."""
    random = np.random.default_rng(seed)
    most = min(PIECE_TOKENS, max(1, tokens // 8))
    for name, weight in data.weights.items():
        share = tokens * weight / sum(data.weights.values())
        pieces = data.select("train", name)
        for i in random.permutation(len(pieces)):
            if share <= 0:
                break
            by = int(random.choice(TRANSPOSITIONS))
            piece = data.vocabulary.transpose(data.tokens(pieces[i])[:most], by)
            share -= len(piece)
            yield piece
