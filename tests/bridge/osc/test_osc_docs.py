"""The reference is what the tables say."""

from bridge.osc.docs import PAGE, render
from engine.messages import KEYS, PARAMETERS, REPLIES, TABLE


def test_the_page_is_up_to_date():
    assert PAGE.read_text(encoding="utf-8") == render(), "run python -m bridge.osc.docs"


def test_the_page_leaves_nothing_out():
    page = render()
    for name in (*TABLE, *REPLIES, *(f"`{key}`" for key in (*KEYS, *PARAMETERS))):
        assert name in page
