"""A pitch that sounds is not struck again where there is another."""

from __future__ import annotations

import numpy as np

from engine.tokens.grammar import Writer
from engine.tokens.plan import BarPlan, Plan
from engine.tokens.vocabulary import Vocabulary
from tests.support.tiny_model import TOKENIZER


def test_hardly_any_pitch_is_struck_while_it_sounds() -> None:
    vocabulary = Vocabulary.load(TOKENIZER)
    random = np.random.default_rng(0)
    struck = restruck = 0
    for seed in range(40):
        plan = Plan((BarPlan(), BarPlan()), (33,), low=30, high=50, density=3.0 + seed % 3)
        writer = Writer(vocabulary, plan)
        ends: dict[int, int] = {}
        while not writer.finished:
            token = writer.forced()
            note = writer.accept(int(random.choice(writer.allowed())) if token is None else token)
            if note is not None:
                onset = note.bar * 3840 + note.tick
                restruck += ends.get(note.pitch, 0) > onset
                ends[note.pitch] = onset + note.duration
                struck += 1
    # It happens only where every pitch that may still come at this place sounds already; without
    # the rule it would be about every fifth note.
    assert restruck < struck / 20
