"""Results on disk survive any end of the process."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.tokenize.encode import Encoded, Unusable
from training.tokenize.journal import Journal

SETTINGS = {"cleaning": "as ever"}

results = st.one_of(
    st.builds(Unusable, st.text(min_size=1).filter(lambda text: text.isprintable())),
    st.builds(
        lambda ids, notes: Encoded(np.array(ids, np.uint16), notes, hashlib.sha256().digest()),
        st.lists(st.integers(0, 65535), max_size=30),
        st.integers(0, 2**32 - 1),
    ),
)


def same(one, other):
    if isinstance(one, Unusable) or isinstance(other, Unusable):
        return one == other
    return one.tokens.tolist() == other.tokens.tolist() and (one.notes, one.tune) == (
        other.notes,
        other.tune,
    )


def key(number):
    return hashlib.sha256(str(number).encode()).digest()


@settings(max_examples=60, deadline=None)
@given(made=st.lists(results, max_size=8), data=st.data())
def test_what_was_written_whole_is_found_wherever_the_file_was_cut(made, data, tmp_path_factory):
    path = tmp_path_factory.mktemp("journal") / "journal"
    ends = []
    with Journal(path, SETTINGS) as journal:
        begin = path.stat().st_size
        for number, result in enumerate(made):
            journal.add(key(number), result)
            ends.append(path.stat().st_size)
    cut = data.draw(st.integers(begin, ends[-1] if ends else begin))
    with path.open("r+b") as file:
        file.truncate(cut)
    whole = sum(end <= cut for end in ends)
    with Journal(path, SETTINGS) as journal:
        assert len(journal) == whole
        for number in range(whole):
            assert same(journal[key(number)], made[number])
        for number in range(whole, len(made)):  # and it can be gone on with
            journal.add(key(number), made[number])
    with Journal(path, SETTINGS) as journal:
        assert all(same(journal[key(number)], made[number]) for number in range(len(made)))


def test_a_flipped_bit_ends_what_is_believed(tmp_path):
    path = tmp_path / "journal"
    with Journal(path, SETTINGS) as journal:
        for number in range(3):
            journal.add(key(number), Unusable(f"reason {number}"))
    damaged = bytearray(path.read_bytes())
    damaged[damaged.index(b"reason 1") + 2] ^= 4
    path.write_bytes(damaged)
    with Journal(path, SETTINGS) as journal:
        assert [key(number) in journal for number in range(3)] == [True, False, False]


def test_results_of_other_settings_are_forgotten(tmp_path):
    with Journal(tmp_path / "journal", SETTINGS) as journal:
        journal.add(key(0), Unusable("short"))
    with Journal(tmp_path / "journal", {"cleaning": "another"}) as journal:
        assert len(journal) == 0


@pytest.mark.parametrize("junk", [b"", b"\0" * 50, b"not a journal"])
def test_a_file_of_anything_else_is_begun_anew(tmp_path, junk):
    (tmp_path / "journal").write_bytes(junk)
    with Journal(tmp_path / "journal", SETTINGS) as journal:
        journal.add(key(0), Unusable("short"))
    with Journal(tmp_path / "journal", SETTINGS) as journal:
        assert journal[key(0)] == Unusable("short")
