from engine.music import Note
from training.baselines.players import markov_bars, repeat_last


def bar(*pitches):
    return [Note(0, 240 * i, 0, pitch, 240, 80) for i, pitch in enumerate(pitches)]


A, B, C, D = bar(60, 64), bar(62, 65), bar(67, 71), bar(48)


def test_the_last_bars_come_once_more():
    assert repeat_last([A, B, C], 2) == [B, C]


def test_a_short_past_goes_round():
    assert repeat_last([A, B], 5) == [A, B, A, B, A]


def test_a_song_of_two_bars_in_turn_goes_on_in_turn():
    assert markov_bars([A, B, A, B, A], 4, seed=0) == [B, A, B, A]


def test_bars_are_followed_as_often_as_they_were():
    past = [A, B, A, B, A, B, A, C, A]
    first = [markov_bars(past, 1, seed)[0] for seed in range(400)]
    assert set(map(str, first)) == {str(B), str(C)}
    assert 250 < first.count(B) < 350


def test_where_a_bar_is_new_the_one_most_like_it_stands_in():
    like_a = bar(60, 64, 67)
    assert markov_bars([A, C, B, D, like_a], 1, seed=0) == [C]


def test_one_bar_is_all_that_can_be_walked_over():
    assert markov_bars([A], 3, seed=0) == [A, A, A]


def test_the_same_seed_walks_the_same_way():
    past = [A, B, A, C, A, D, A]
    assert markov_bars(past, 16, seed=5) == markov_bars(past, 16, seed=5)
