"""``sideman train evaluate``."""

from __future__ import annotations

import time
from typing import Annotated

from typer import Argument, Option

from bridge.commands.output import Json, print_table
from bridge.commands.train.common import Tokens, report


def evaluate(
    model: Annotated[str, Argument(metavar="MODEL", help="A model's name, or its folder.")],
    tokens: Tokens,
    limit: Annotated[int | None, Option(min=1, help="Tokens of each piece.  [all]")] = None,
    as_json: Json = False,
) -> None:
    """Measure a model on pieces that it has not heard."""
    import torch

    from engine.models import store
    from engine.models.rwkv.family import read
    from engine.models.rwkv.torch_model import Rwkv7
    from training.data import TokenSet
    from training.evaluate import report as measure

    started = time.monotonic()
    folder = store.resolve(model)
    _, sizes, weights = read(folder)
    network = Rwkv7(sizes).eval()
    network.load_state_dict({name: torch.from_numpy(values) for name, values in weights.items()})
    with torch.inference_mode():
        scores = measure(network, TokenSet(tokens), limit=limit)
    if as_json:
        report(folder, started, as_json, collections=scores)
        return
    heads = ("pieces", "notes", "bits_per_token", "bits_per_note")
    print_table(
        ("collection", *(head.replace("_", " ") for head in heads)),
        [(name, *(str(score[head]) for head in heads)) for name, score in scores.items()],
    )
