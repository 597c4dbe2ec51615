"""Whether takes keep to given chords: on music whose chords are known."""

from __future__ import annotations

import pytest
import torch

from engine.chords import parse
from engine.errors import SidemanError
from engine.models.rwkv.architecture import Sizes
from engine.models.rwkv.torch_model import Rwkv7
from engine.music import DRUMS, Meter, Note
from training.chord_following import chart_of, following, share
from training.export import export_model
from training.samples import SampleConfig

CONFIG = SampleConfig(pieces=2, context_bars=4, bars=4, seed=2)
WALTZ = [Meter(3, 4)] * 2


def chord(bar: int, tick: int, pitches: tuple[int, ...], duration: int = 1920) -> list[Note]:
    return [Note(bar, tick, 0, pitch, duration, 80) for pitch in pitches]


def test_a_chart_goes_by_half_notes_across_bar_lines() -> None:
    bars = [
        [*chord(0, 0, (36, 60, 64, 67)), *chord(0, 1920, (41, 60, 65, 69))],
        [*chord(1, 960, (43, 62, 67, 71)), Note(1, 0, DRUMS, 38, 100, 80)],
    ]
    assert chart_of(bars, WALTZ) == "C:1920t|F:1920t|G:1920t"


def test_silence_is_free_and_the_last_chord_ends_with_the_bars() -> None:
    bars = [[], chord(1, 960, (36, 60, 64, 67), 2880)]
    meters = [Meter(3, 4), Meter(4, 4)]
    assert chart_of(bars, meters) == "auto:1920t|auto:1920t|C:1920t|C:960t"


def test_only_pitched_notes_under_a_chord_count() -> None:
    spans = parse("C:2|auto:2|G:2", WALTZ)
    bars = [
        [*chord(0, 0, (60, 61)), *chord(0, 1920, (61,)), Note(0, 0, DRUMS, 37, 100, 80)],
        chord(1, 960, (62, 67)),
    ]
    assert share(bars, WALTZ, spans) == 0.75
    assert share([[], []], WALTZ, spans) is None


def test_a_model_that_knows_nothing_keeps_to_the_chords(token_set, tmp_path) -> None:
    torch.manual_seed(0)
    network = Rwkv7(Sizes(1, 64, 64, 64, token_set.vocabulary.size, 4, 4, 4, 4))
    network.initialise()
    for weight in network.parameters():  # what is new likes silence: it has to be unsettled
        weight.data += 0.3 * torch.randn_like(weight)
    model = export_model(network, token_set, tmp_path / "model", {})
    found = following(model, token_set, "bands", CONFIG)
    assert found.pieces >= 1
    assert found.model >= 0.8
    assert found.real == 1.0
    with pytest.raises(SidemanError):
        following(model, token_set, "bands", SampleConfig(pieces=0))
