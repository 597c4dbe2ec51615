"""Prompts out of what is said of a file."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import SidemanError
from training.sound.prompts import FIELDS, LONGEST, check_template, prompt_of, shortened, spelled
from training.sound.sources.said import Said

FULL = Said(
    description="A slow track.", title="Odessa", artist="Zola", genres=("dub", "slow"),
    tags=("tape",), key="C minor", bpm="92", about="An album.",
)  # fmt: skip


@pytest.mark.parametrize(
    ("said", "prompt"),
    [
        (Said(), "Deep House loop 7"),
        (Said(prompt="as written", genres=("dub",)), "as written"),
        (Said(title="Odessa"), "Odessa"),
        (Said(concept="lo-fi", title="Odessa"), "lo fi"),
        (Said(title="Odessa", genres=("dub", "pop")), "dub, pop"),
        (FULL, "A slow track, dub, tape, C minor, 92 bpm"),
    ],
)
def test_a_prompt_is_the_best_that_is_known(said, prompt):
    assert prompt_of(said, "Deep_House-loop__7") == prompt


@pytest.mark.parametrize(
    ("template", "prompt"),
    [
        ("{title}, {genres}", "Odessa, dub, slow"),
        ("{name}", "Deep House"),
        ("{moods}, {genres}, {instruments}, {tags}", "dub, slow, tape"),
        ("A track by {concept}, {title}", "A track by, Odessa"),
        ("{moods}", "Deep House"),
    ],
)
def test_a_template_leaves_no_gaps_where_nothing_is_known(template, prompt):
    check_template(template)
    assert prompt_of(FULL, "Deep_House", template) == prompt


@pytest.mark.parametrize("template", ["{path}", "{title.__class__}", "{0}", "{title", "{}"])
def test_a_template_that_cannot_be_is_refused(template):
    with pytest.raises(SidemanError, match="--template"):
        check_template(template)


@given(st.text(min_size=1))
def test_a_shortened_text_begins_the_whole_one(text):
    short = shortened(text, 20)
    assert len(short) <= 20 and text.startswith(short)
    assert short == text or len(text) > 20


@given(st.builds(Said, description=st.text(), genres=st.tuples(st.text(), st.text())))
def test_no_prompt_is_longer_than_the_model_has_heard(said):
    assert len(prompt_of(said, "x")) <= LONGEST


def test_a_long_description_ends_with_a_sentence():
    text = "It begins softly. " * 30
    assert shortened(text).endswith("softly.") and len(shortened(text)) <= LONGEST
    assert spelled("a__b--c") == "a b c"
    assert set(FIELDS) - {"name"} <= set(Said.__dataclass_fields__)
