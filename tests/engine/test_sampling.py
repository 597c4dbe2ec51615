from __future__ import annotations

import hashlib
import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.draw import WEIGHTS
from engine.errors import SidemanError
from engine.sampling import SHAPES, Curve, Sampler

IDS = np.arange(4, 20, dtype=np.int32)


def logits_of(*probabilities: float, size: int = 32) -> np.ndarray:
    """Logits in which the ids from 4 on have these probabilities and all others none."""
    logits = np.full(size, 50.0, dtype=np.float32)
    logits[4 : 4 + len(probabilities)] = np.log(probabilities)
    return logits


def shares(
    sampler: Sampler, logits: np.ndarray, ids: np.ndarray, draws: int = 20_000
) -> dict[int, float]:
    counts = Counter(sampler.choose(logits, ids) for _ in range(draws))
    return {token: count / draws for token, count in counts.items()}


def test_choices_follow_the_probabilities() -> None:
    found = shares(Sampler(1), logits_of(0.5, 0.3, 0.2), IDS[:3])
    assert found == pytest.approx({4: 0.5, 5: 0.3, 6: 0.2}, abs=0.02)


def test_temperature_sharpens_and_flattens() -> None:
    logits, ids = logits_of(0.8, 0.2), IDS[:2]
    assert shares(Sampler(1, temperature=0.5), logits, ids)[4] == pytest.approx(16 / 17, abs=0.02)
    assert shares(Sampler(1, temperature=2.0), logits, ids)[4] == pytest.approx(2 / 3, abs=0.02)
    assert shares(Sampler(1, temperature=0.0), logits, ids, 50) == {4: 1.0}
    assert shares(Sampler(1, temperature=1e-30), logits, ids, 50) == {4: 1.0}


def test_top_p_keeps_the_smallest_set_that_reaches_it() -> None:
    logits = logits_of(0.1, 0.45, 0.05, 0.4)
    assert set(shares(Sampler(1, top_p=0.44), logits, IDS[:4], 300)) == {5}
    assert set(shares(Sampler(1, top_p=0.8), logits, IDS[:4], 300)) == {5, 7}
    found = shares(Sampler(1, top_p=0.9), logits, IDS[:4])
    assert found == pytest.approx({4: 0.1 / 0.95, 5: 0.45 / 0.95, 7: 0.4 / 0.95}, abs=0.02)


def test_top_k_keeps_the_likeliest() -> None:
    logits = logits_of(0.1, 0.45, 0.05, 0.4)
    assert set(shares(Sampler(1, top_k=2), logits, IDS[:4], 300)) == {5, 7}
    assert set(shares(Sampler(1, top_k=9), logits, IDS[:4], 3000)) == {4, 5, 6, 7}


def test_only_the_ids_asked_for_are_chosen() -> None:
    logits = np.zeros(32, dtype=np.float32)
    logits[31] = 1000.0
    assert set(shares(Sampler(3), logits, IDS, 500)) <= set(IDS.tolist())


def test_a_bias_is_added_and_the_logits_stay_as_they_were() -> None:
    logits = logits_of(0.5, 0.5)
    before = logits.copy()
    bias = (np.array([4, 31], dtype=np.int32), np.array([30.0, 99.0], dtype=np.float32))
    sampler = Sampler(1)
    assert {sampler.choose(logits, IDS[:2], bias) for _ in range(100)} == {4}
    assert np.array_equal(logits, before)


def test_impossible_tokens_stay_impossible() -> None:
    logits = np.full(32, -np.inf, dtype=np.float32)
    logits[5] = -3.0
    assert Sampler(1).choose(logits, IDS) == 5


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_broken_logits_are_refused(broken: float) -> None:
    logits = np.zeros(32, dtype=np.float32)
    logits[6] = broken
    with pytest.raises(ValueError, match="finite"):
        Sampler(1).choose(logits, IDS)


def line(sampler: Sampler, count: int = 200) -> list[int]:
    logits = np.random.default_rng(5).normal(size=(count, 32)).astype(np.float32)
    return [sampler.choose(row, IDS) for row in logits]


def test_the_same_seed_makes_the_same_choices() -> None:
    for options in ({}, {"top_p": 0.9, "repetition_penalty": 1.2, "penalised": range(4, 20)}):
        assert line(Sampler(7, **options)) == line(Sampler(7, **options))
        assert line(Sampler(7, **options)) != line(Sampler(8, **options))
        assert line(Sampler(7, **options)) != line(Sampler(7, variation=1, **options))


def test_choices_are_the_same_on_every_machine() -> None:
    """Logits out of whole numbers, so that nothing but the sampler decides."""
    sampler = Sampler(
        -42,
        temperature=0.9,
        top_p=0.95,
        repetition_penalty=1.15,
        variation=3,
        penalised=range(4, 20),
        curve=Curve("sine", 0.2, 0.04, noise=0.5),
    )
    tokens = []
    for i in range(2000):
        sampler.enter_bar(i // 50)
        row = ((np.arange(32) * (i * 7 + 3)) % 97 / 16).astype(np.float32)
        tokens.append(sampler.choose(row, IDS[: 8 + i % 9]))
    assert hashlib.sha256(bytes(tokens)).hexdigest()[:16] == "0bb0f007f46f1015"
    assert hashlib.sha256(WEIGHTS.astype("<i8").tobytes()).hexdigest()[:16] == "62e0039c36213945"


def test_what_was_played_often_and_lately_is_played_less() -> None:
    logits, ids = logits_of(0.5, 0.5), IDS[:2]

    def second(penalty: float, decay: float, window: int, after: int) -> float:
        """Share of id 4 where it was chosen five times, and ``after`` others since."""
        found = 0
        for seed in range(1500):
            sampler = Sampler(
                seed, repetition_penalty=penalty, decay=decay, window=window, penalised=range(4, 10)
            )
            for token in [4] * 5 + [9] * after:
                sampler.choose(logits, np.array([token], dtype=np.int32))
            found += sampler.choose(logits, ids) == 4
        return found / 1500

    assert second(1.0, 1.0, 99, 0) == pytest.approx(0.5, abs=0.05)
    assert second(1.5, 1.0, 99, 0) == pytest.approx(1 / (1 + 1.5**5), abs=0.05)
    assert second(1.5, 0.5, 99, 3) == pytest.approx(1 / (1 + 1.5 ** (31 / 16 / 8)), abs=0.05)
    assert second(1.5, 1.0, 5, 5) == pytest.approx(0.5, abs=0.05)


def test_structure_is_not_penalised() -> None:
    sampler = Sampler(1, repetition_penalty=9.0, penalised=range(20, 30))
    assert shares(sampler, logits_of(0.5, 0.5), IDS[:2], 4000)[4] == pytest.approx(0.5, abs=0.04)


def test_curves_move_temperature_and_top_p_over_the_bars() -> None:
    assert set(SHAPES) == {"constant", "ramp", "sine"}
    sampler = Sampler(1, 1.0, 0.9, curve=Curve("ramp", temperature=0.4, top_p=0.2, period=4))
    seen = []
    for bar in range(6):
        sampler.enter_bar(bar)
        seen.append((sampler.temperature, sampler.top_p))
    temperatures, nuclei = zip(*seen, strict=True)
    assert temperatures == pytest.approx((0.6, 0.8, 1.0, 1.2, 1.4, 1.4))
    assert nuclei == pytest.approx((0.7, 0.8, 0.9, 1.0, 1.0, 1.0))
    sampler = Sampler(1, 1.0, 0.9, curve=Curve("sine", temperature=0.5, period=8))
    sampler.enter_bar(2)
    assert sampler.temperature == pytest.approx(1.5)
    sampler.enter_bar(6)
    assert sampler.temperature == pytest.approx(0.5)


def test_the_noise_of_a_curve_belongs_to_the_seed_and_the_bar() -> None:
    def temperatures(seed: int, bars: range) -> dict[int, float]:
        sampler = Sampler(seed, curve=Curve("constant", temperature=0.3, noise=1.0))
        found = {}
        for bar in bars:
            sampler.enter_bar(bar)
            found[bar] = sampler.temperature
        return found

    assert temperatures(1, range(8)) == temperatures(1, range(7, -1, -1))
    assert temperatures(1, range(8)) != temperatures(2, range(8))
    assert len(set(temperatures(1, range(8)).values())) == 8
    assert all(0.7 <= t <= 1.3 for t in temperatures(1, range(50)).values())


@given(st.floats(0, 5), st.floats(0.01, 1), st.integers(0, 40), st.integers(-(2**31), 2**63))
def test_any_settings_choose_one_of_the_ids(t: float, p: float, k: int, seed: int) -> None:
    logits = np.random.default_rng(1).normal(size=32).astype(np.float32) * 20
    sampler = Sampler(seed, t, p, k, 1.3, penalised=range(4, 20))
    assert all(sampler.choose(logits, IDS) in IDS for _ in range(20))


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": -1.0},
        {"temperature": float("nan")},
        {"top_p": 0.0},
        {"top_p": 1.1},
        {"top_k": -1},
        {"repetition_penalty": 0.0},
        {"decay": 2.0},
        {"window": 0},
    ],
    ids=str,
)
def test_impossible_settings_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(SidemanError):
        Sampler(1, **settings)  # type: ignore[arg-type]


def test_impossible_curves_are_refused() -> None:
    with pytest.raises(SidemanError, match="ramp"):
        Curve("square")
    with pytest.raises(SidemanError, match="period"):
        Curve("sine", period=0)


def test_a_choice_costs_little() -> None:
    logits = np.random.default_rng(1).normal(size=512).astype(np.float32)
    ids = np.arange(100, 190, dtype=np.int32)
    sampler = Sampler(1, 0.9, 0.95, repetition_penalty=1.1, penalised=range(100, 190))
    best = 1.0
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(200):
            sampler.choose(logits, ids)
        best = min(best, (time.perf_counter() - start) / 200)
    assert best < 100e-6
