"""Which bars of a take are free."""

from __future__ import annotations

from engine.recall.freedom import FREE, PHRASE, TIED, Freedom


def shares(seed: int, variation: int = 0, bars: int = 16) -> list[float]:
    freedom = Freedom(seed, variation)
    found = []
    for _ in range(bars):
        found.append(freedom.share)
        freedom.enter_bar()
    return found


def test_each_phrase_has_its_free_bars() -> None:
    for variation, free in ((0, 1), (1, 1), (2, 2), (5, 3), (6, 4), (15, 4)):
        for seed in range(20):
            found = shares(seed, variation)
            assert set(found) <= {FREE, TIED}
            for start in range(0, len(found), PHRASE):
                assert found[start : start + PHRASE].count(FREE) == free


def test_the_seed_decides_which() -> None:
    assert shares(7) == shares(7)
    assert len({tuple(shares(seed)) for seed in range(50)}) > 20
    assert shares(7, 0) != shares(7, 1) or shares(8, 0) != shares(8, 1)
