"""Every model that can be played as a predictor: what a model folder expects of music.

A model that has recall is judged with it, since that is how it plays, and without it beside.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine.models import registry
from engine.models.base import Model
from engine.models.folder import read_info
from engine.models.rwkv.family import RwkvFamily, read
from engine.models.rwkv.torch_model import Rwkv7
from engine.recall.gate import Gate
from engine.tokens.vocabulary import Vocabulary
from training.data import Tokens, TokenSet
from training.evaluate.network import Network, report_with
from training.evaluate.scoring import Predictor
from training.recall import nats

MODEL, NETWORK = "model", "network alone"

ALONE = "network_alone"
"""What figures in ``model.json`` call the latter."""


class Recalling:
    """A network and the gate that says how much the piece's own past counts beside it."""

    def __init__(self, model: Rwkv7, gate: Gate, vocabulary: Vocabulary, begin: int) -> None:
        """``begin`` is the token that every piece follows."""
        self._model = model
        self._gate = gate
        self._vocabulary = vocabulary
        self._begin = begin

    def log_probs(self, tokens: Tokens) -> NDArray[np.float64]:
        """Nats ``[T]``, as a `training.evaluate.scoring.Predictor` gives them."""
        return -nats(self._model, self._gate, self._vocabulary, tokens, self._begin)


class Stepped:
    """A model of any family, read token by token through its own runtime."""

    def __init__(self, model: Model, begin: int) -> None:
        """``begin`` is the token that every piece follows."""
        self._model = model
        self._begin = begin

    def log_probs(self, tokens: Tokens) -> NDArray[np.floating[Any]]:
        """Nats ``[T]``, as a `training.evaluate.scoring.Predictor` gives them."""
        stream = self._model.open()
        result = np.zeros(len(tokens))
        token = self._begin
        for i, following in enumerate(tokens.tolist()):
            logits = stream.step([token])[0].astype(np.float64)
            result[i] = logits[following] - np.logaddexp.reduce(logits)
            token = following
        return result


def load_network(folder: Path, device: str = "cpu") -> Rwkv7:
    """The network of an RWKV-7 model folder in fp32, to be evaluated."""
    _, sizes, weights = read(folder)
    network = Rwkv7(sizes).eval()
    network.load_state_dict({name: torch.from_numpy(values) for name, values in weights.items()})
    return network.to(device)


def predictors_of(folder: Path, begin: int, device: str = "cpu") -> dict[str, Predictor]:
    """What the model in a folder expects: under `MODEL` as it plays, and its parts beside."""
    info = read_info(folder)
    if info.family != RwkvFamily.name:
        model = registry.load(folder, device=device)
        model.warm_up()
        return {MODEL: Stepped(model, begin)}
    return predictors_with(load_network(folder, device), Gate.of(folder, info), folder, begin)


def predictors_with(
    network: Rwkv7, gate: Gate | None, tokenizer: Path, begin: int
) -> dict[str, Predictor]:
    """What a network with this gate expects; ``tokenizer`` is a folder with the tokenizer."""
    alone = Network(network, begin)
    if gate is None:
        return {MODEL: alone}
    return {MODEL: Recalling(network, gate, Vocabulary.load(tokenizer), begin), NETWORK: alone}


def heldout_figures(predictors: dict[str, Predictor], data: TokenSet) -> dict[str, dict[str, Any]]:
    """Figures of the held-out pieces of each collection, whole, as ``model.json`` has them."""
    figures: dict[str, dict[str, Any]] = report_with(predictors[MODEL], data)
    if NETWORK in predictors:
        for name, entry in report_with(predictors[NETWORK], data).items():
            kept = ("bits_per_token", "bits_per_note")
            figures[name][ALONE] = {key: entry[key] for key in kept}
    return figures
