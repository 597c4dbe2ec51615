from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engine.audio.continuation import Continuation
from engine.audio.grid import Grid
from engine.audio.wanted import MOST_CANDIDATES, PROMPT_SECONDS, Wanted, check
from engine.errors import Code, SidemanError
from tests.support.sounds import noise, sine
from tests.support.tape import Tape

GRID = Grid(48_000, 120)
NOTHING = np.zeros((0, 2), np.float32)
GOOD = Wanted(noise(4), GRID, 2, 4, text="dry drums")


def tape() -> Tape:
    return Tape(lambda seed: noise(9))


def spoilt(value: float) -> np.ndarray:
    past = noise(4)
    past[-1, 0] = value
    return past


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        ({"past": noise(4) * 0}, Code.NO_CONTEXT, "silent"),
        ({"past": noise(4)[:20_000]}, Code.NO_CONTEXT, "less than one beat"),
        ({"past": spoilt(np.nan)}, Code.BAD_FILE, "no numbers"),
        ({"past": spoilt(np.inf)}, Code.BAD_FILE, "no numbers"),
        ({"past": np.clip(sine(90, 4) * 9, -1, 1)}, Code.BAD_FILE, "clipped"),
        ({"past": noise(4).repeat(2, axis=1)}, Code.BAD_FILE, "4 channels"),
        ({"past": noise(4)[:, :0]}, Code.BAD_FILE, "0 channels"),
        ({"grid": Grid(4_000, 120)}, Code.BAD_FILE, "4000 Hz"),
        ({"grid": Grid(500_000, 120)}, Code.BAD_FILE, "500000 Hz"),
        ({"text": "many words " * 50}, Code.BAD_ARGUMENTS, "too long"),
        ({"past": NOTHING, "text": " "}, Code.NO_CONTEXT, "nothing to go on from"),
        ({"bars": 0}, Code.BAD_ARGUMENTS, "0 bars"),
        ({"bars": -3}, Code.BAD_ARGUMENTS, "-3 bars"),
        ({"bars": 301}, Code.BAD_ARGUMENTS, "last 602 s"),
        ({"candidates": 0}, Code.BAD_ARGUMENTS, "candidates"),
        ({"candidates": MOST_CANDIDATES + 1}, Code.BAD_ARGUMENTS, "candidates"),
        ({"following": noise(1)[:, :1]}, Code.BAD_FILE, "does not fit"),
        ({"following": spoilt(np.nan)}, Code.BAD_FILE, "does not fit"),
    ],
)
def test_what_cannot_be_made_is_refused_and_nothing_is_done(
    change: dict[str, Any], code: Code, says: str
) -> None:
    model = tape()
    with pytest.raises(SidemanError, match=says) as refused:
        Continuation(model, [GOOD, replace(GOOD, **change)])
    assert refused.value.code is code
    assert "\n" not in refused.value.text
    assert not model.encoded and not model.streams


def test_what_can_be_made_passes() -> None:
    for change in (
        {},
        {"past": NOTHING},
        {"text": ""},
        {"bars": 300},
        {"past": noise(0.5)},
        {"candidates": MOST_CANDIDATES},
        {"following": noise(0.1)},
        {"following": NOTHING},
    ):
        check(replace(GOOD, **change), tape())


def test_only_what_the_model_will_hear_is_looked_at() -> None:
    """Long ago it was silent."""
    past = np.concatenate([noise(20) * 0, noise(12)])
    wanted = replace(GOOD, past=past, bar=16)
    check(wanted, tape())
    assert len(wanted.prompt) == PROMPT_SECONDS * 48_000


def test_the_prompt_is_the_last_whole_bars() -> None:
    past = noise(4.5)
    assert np.array_equal(replace(GOOD, past=past).prompt, past[-4 * 48_000 :])
    assert replace(GOOD, past=NOTHING).cut is None
    assert len(replace(GOOD, past=NOTHING).prompt) == 0
    # Before the song began as well.
    assert np.array_equal(replace(GOOD, past=past, bar=0).prompt, past[-4 * 48_000 :])
