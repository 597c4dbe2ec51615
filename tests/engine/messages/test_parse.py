"""What a client may send, and what is refused with which words."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import Code, SidemanError
from engine.messages import (
    ENTRIES,
    KEYS,
    PARAMETERS,
    TABLE,
    Ask,
    Keys,
    capabilities,
    parse,
    request_number,
)
from engine.messages import commands as c

GOOD = {
    "/sideman/hello": (1, "Live", 9001, "secret"),
    "/sideman/ping": (7,),
    "/sideman/version": (),
    "/sideman/status": (),
    "/sideman/sync": (7,),
    "/sideman/notify": (1,),
    "/sideman/capabilities": (),
    "/sideman/get": ("tempo",),
    "/sideman/set": ("tempo", 96.0),
    "/sideman/listen": ("tempo", 1),
    "/sideman/transport": (1, 120.0, 16, 0.5, 4, 4),
    "/sideman/track/note": (3, 60, 100, 12, 1.5, 0.25),
    "/sideman/track/on": ("bass", 40, 90),
    "/sideman/track/off": ("bass", 40),
    "/sideman/track/load": (3, "phrase.mid"),
    "/sideman/track/clear": (3,),
    "/sideman/track/set": (3, "program", 33),
    "/sideman/continue": (1, 3, "bars", 8, "deliver", "midi+osc"),
    "/sideman/variation": (1, "bass", "seed", 5),
    "/sideman/infill": (1, 3, "from", 4, "to", 6),
    "/sideman/accompany": (1, 3, "program", "Violin"),
    "/sideman/audio": (1, 3, "prompt", "warm strings"),
    "/sideman/cancel": (0,),
    "/sideman/undo": (3,),
    "/sideman/redo": ("bass",),
    "/sideman/keep": (12,),
    "/sideman/discard": (12,),
    "/sideman/panic": (),
    "/sideman/preset": ("trio",),
    "/sideman/adapter": ("mine", 0.5),
    "/sideman/model/load": ("default",),
    "/sideman/model/unload": ("default",),
    "/sideman/learn": ("preset trio",),
}

ADDRESSES = pytest.mark.parametrize("address", list(GOOD))


def refusal(address, args):
    with pytest.raises(SidemanError) as caught:
        parse(address, args)
    assert "\n" not in caught.value.text
    return caught.value


def test_every_address_of_the_table_is_tried_here():
    assert list(GOOD) == list(TABLE) == [entry.address for entry in ENTRIES]


@ADDRESSES
def test_a_command_says_its_address_and_the_arguments_it_was_made_of(address):
    command = parse(address, GOOD[address])
    assert command.address == address
    assert command.args() == GOOD[address]
    assert parse(address, command.args()) == command


@ADDRESSES
def test_whole_floats_pass_for_ints(address):
    floats = tuple(float(a) if isinstance(a, int) else a for a in GOOD[address])
    assert parse(address, floats) == parse(address, GOOD[address])


@ADDRESSES
def test_an_argument_too_many_is_refused(address):
    surplus = refusal(address, (*GOOD[address], 1))
    assert surplus.code == Code.BAD_ARGUMENTS
    assert surplus.text.startswith(address + ":")


@ADDRESSES
def test_a_missing_argument_is_named(address):
    entry = TABLE[address]
    for i, argument in enumerate(entry.arguments):
        if argument.required:
            missing = refusal(address, GOOD[address][:i])
            assert missing.code == Code.BAD_ARGUMENTS
            assert f"{argument.name} is missing" in missing.text


@ADDRESSES
@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_nan_and_infinities_are_refused_everywhere(address, wrong):
    for i in range(len(GOOD[address])):
        args = list(GOOD[address])
        args[i] = wrong
        assert refusal(address, args).code == Code.BAD_ARGUMENTS


@ADDRESSES
def test_wrong_types_are_refused(address):
    for i, argument in enumerate(TABLE[address].arguments):
        args = list(GOOD[address])
        if argument.kind in ("int", "float", "bool"):
            args[i] = str(args[i])
        elif argument.kind == "str":
            args[i] = 1
        else:
            continue
        assert argument.name in refusal(address, args).text


@ADDRESSES
def test_values_beyond_the_range_are_refused(address):
    for i, argument in enumerate(TABLE[address].arguments):
        if argument.kind in ("int", "float", "int|str"):
            for beyond in (argument.low, argument.high, argument.above):
                if beyond is None:
                    continue
                args = list(GOOD[address])
                args[i] = beyond - 1 if beyond == argument.low else beyond + 1
                if beyond == argument.above:
                    args[i] = beyond
                assert refusal(address, args).code == Code.BAD_ARGUMENTS


def test_a_fraction_is_no_int():
    assert refusal("/sideman/ping", (1.5,)).text == (
        "/sideman/ping: n must be a whole number, not 1.5"
    )


@pytest.mark.parametrize(
    ("address", "near"),
    [
        ("/sideman/tranport", "/sideman/transport"),
        ("/sideman/track/3/continu", None),
        ("/sideman/track/3/ping", None),
        ("/sideman/track//undo", None),
        ("/sideman/track/3/", None),
        ("/nothing", None),
        ("/", None),
    ],
)
def test_unknown_addresses(address, near):
    error = refusal(address, (1, 2))
    assert error.code == Code.UNKNOWN_ADDRESS
    assert near is None or near in error.text


@pytest.mark.parametrize(
    ("path", "args", "plain", "plain_args"),
    [
        ("/sideman/track/3/continue", (9, "bars", 2), "/sideman/continue", (9, 3, "bars", 2)),
        ("/sideman/track/bass/audio", (9,), "/sideman/audio", (9, "bass")),
        ("/sideman/track/3/note", (60, 100, 1, 0, 1), "/sideman/track/note", (3, 60, 100, 1, 0, 1)),
        ("/sideman/track/3/set", ("drums", 1), "/sideman/track/set", (3, "drums", 1)),
        ("/sideman/track/bass/undo", (), "/sideman/undo", ("bass",)),
        ("/sideman/track/note/undo", (), "/sideman/undo", ("note",)),
    ],
)
def test_the_path_may_name_the_track(path, args, plain, plain_args):
    assert parse(path, args) == parse(plain, plain_args)


def test_text_is_never_a_number():
    assert parse("/sideman/undo", ("3",)) == c.Undo("3")
    assert refusal("/sideman/continue", (1, 3, "bars", "4")).code == Code.BAD_ARGUMENTS


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        (("bars", 0), "bars must be a whole number from 1 to 64, not 0"),
        (("bars", 10_000), "bars must be"),
        (("bar", 4), 'no key "bar" (did you mean "bars"?)'),
        (("bars", 4, "bars", 4), "twice"),
        (("bars",), 'key "bars" has no value'),
        ((4, "bars"), "expected the name of a key, not 4"),
        (("top_p", 0.0), "top_p must be a number above 0 and at most 1"),
        (("temperature", 2.5), "temperature must be a number from 0 to 2"),
        (("seed", -1), "seed"),
        (("at", "nxt"), 'did you mean "next"'),
        (("at", -1), "at must be"),
        (("late", "never"), "late must be"),
        (("deliver", "osc+file"), "deliver must be any of"),
        (("deliver", "osc+osc"), "deliver must be any of"),
        (("deliver", ""), "deliver must be any of"),
        (("program", 128), "program"),
        (("low", 70, "high", 60), "low 70 lies above high 60"),
        (("density", 0), "density"),
        (("from", 1, "to", 2), "belong to infill"),
        (("chords", "x" * 5000), "chords must have"),
    ],
)
def test_wrong_keys(pairs, words):
    error = refusal("/sideman/continue", (1, 3, *pairs))
    assert error.code == Code.BAD_ARGUMENTS
    assert words in error.text


@pytest.mark.parametrize("pairs", [(), ("from", 4), ("from", 4, "to", 4), ("from", 0, "to", 65)])
def test_infill_needs_its_bars(pairs):
    assert refusal("/sideman/infill", (1, 3, *pairs)).code == Code.BAD_ARGUMENTS


def test_keys_are_typed_and_none_where_nothing_was_said():
    ask = parse("/sideman/continue", (1, 3, "deliver", "osc+midi", "at", 8.0, "late", "loop"))
    assert ask == Ask("continue", 1, 3, Keys(deliver=frozenset({"osc", "midi"}), at=8, late="loop"))
    assert ask.keys.bars is None
    assert Keys.of({"from": 3, "to": 5}).given() == {"from": 3, "to": 5}


def test_every_key_has_its_field():
    assert {name.rstrip("_") for name in Keys.__slots__} == set(KEYS)


def test_set_checks_by_the_parameter():
    assert parse("/sideman/set", ("bars", 8.0)) == c.Set("bars", 8)
    assert parse("/sideman/set", ("speculation", 0)) == c.Set("speculation", False)
    assert refusal("/sideman/set", ("bars", 0)).code == Code.BAD_ARGUMENTS
    assert refusal("/sideman/set", ("bars", "8")).code == Code.BAD_ARGUMENTS
    assert refusal("/sideman/set", ("playing", 1)).code == Code.NOT_ALLOWED
    assert 'did you mean "tempo"' in refusal("/sideman/get", ("tempoo",)).text


def test_parameters_begin_inside_their_own_range():
    for parameter in PARAMETERS.values():
        if parameter.arg.default is not None:
            assert parameter.arg.check(parameter.arg.default) == parameter.arg.default


@pytest.mark.parametrize("den", [3, 0, 128])
def test_a_meter_that_cannot_be_written(den):
    assert "den" in refusal("/sideman/transport", (1, 120, 0, 0, 4, den)).text


def test_a_token_may_stand_without_a_return_port():
    assert parse("/sideman/hello", (1, "x", "secret")) == c.Hello(1, "x", 0, "secret")
    assert parse("/sideman/hello", (1, "x")) == c.Hello(1, "x")
    assert refusal("/sideman/hello", (2, "x")).code == Code.BAD_ARGUMENTS


def test_a_request_is_known_by_its_number_however_wrong_the_rest():
    assert request_number("/sideman/continue", (7.0, "no such")) == 7
    assert request_number("/sideman/track/3/continue", (7,)) == 7
    assert request_number("/sideman/continue", (math.nan,)) == 0
    assert request_number("/sideman/continue", ("7",)) == 0
    assert request_number("/sideman/undo", (7,)) == 0


def test_capabilities_tell_the_whole_table():
    said = capabilities()
    assert list(said["addresses"]) == list(TABLE)
    assert [key["name"] for key in said["keys"]] == list(KEYS)
    assert "no-context" in said["codes"]


SCALARS = st.integers(-(2**31), 2**31 - 1) | st.floats(width=32) | st.text(max_size=20)


ADDRESS_TEXT = st.sampled_from([*TABLE, "/sideman/track/3/continue"]) | st.text(max_size=20)


@given(ADDRESS_TEXT, st.lists(SCALARS, max_size=9))
def test_whatever_comes_is_a_command_or_one_clear_line(address, args):
    try:
        command = parse(address, args)
    except SidemanError as error:
        assert "\n" not in error.text
        assert len(error.text) < 1500
    else:
        assert parse(command.address, command.args()) == command


@given(st.sampled_from(list(KEYS)), SCALARS)
def test_whatever_a_key_is_given_is_in_range_or_refused(name, value):
    try:
        keys = Keys.parse((name, value))
    except SidemanError:
        return
    assert Keys.parse(keys.args()) == keys
