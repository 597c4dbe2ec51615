"""Which models have to go so that another one fits."""

from __future__ import annotations

import pytest

from engine.errors import Code, SidemanError
from engine.worker.room import MIB, Resident, make_room

HERE = {
    "old": Resident(300 * MIB, 1.0, busy=False),
    "new": Resident(200 * MIB, 3.0, busy=False),
    "busy": Resident(100 * MIB, 0.0, busy=True),
}


@pytest.mark.parametrize(
    ("mib", "gone"), [(400, ()), (401, ("old",)), (700, ("old",)), (900, ("old", "new"))]
)
def test_what_was_not_used_for_longest_goes_first(mib: int, gone: tuple[str, ...]) -> None:
    assert make_room("big", mib * MIB, HERE, 1000 * MIB) == gone


def test_what_is_being_played_stays() -> None:
    with pytest.raises(SidemanError) as caught:
        make_room("big", 901 * MIB, HERE, 1000 * MIB)
    assert caught.value.code == Code.OUT_OF_MEMORY
    for figure in ("901 MiB", "1,000 MiB", "900 MiB", "big"):
        assert figure in caught.value.text
