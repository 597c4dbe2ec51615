"""The worker dies, again and again, and hangs: every request is answered and the next one works."""

from __future__ import annotations

import signal

import psutil
import pytest

from tests.e2e.client import Answer, Client
from tests.e2e.engine import Engine
from tests.e2e.music import Music, own_phrase, play

KILLS = 20


@pytest.fixture(scope="module")
def phrase(engine: Engine) -> Music:
    """Little music: each new worker has to hear it all again."""
    music = own_phrase(4)
    with Client(engine) as client:
        play(client, music)
    return music


def end(client: Client, answer: Answer) -> Answer:
    """Its one last word. What comes after it is looked for by the caller."""
    client.finish(answer)
    assert answer.code in ("done", "worker-died"), answer.end
    return answer


def test_killed_20_times_while_it_plays(engine: Engine, client: Client, phrase: Music) -> None:
    ends = []
    for n in range(KILLS):
        worker = engine.worker()
        under_way = [
            client.start("continue", 1 + track, bars=4, at=phrase.bars, seed=n)
            for track in range(2)
        ]
        if n % 2:
            client.next_note(under_way[0])
        worker.kill()
        assert client.ask("/sideman/ping", n).args[0] == n  # the engine keeps answering
        ends += [end(client, answer).code for answer in under_way]
        after = client.request("continue", 1, bars=1, at=phrase.bars, seed=5)
        assert after.code == "done", after.end
        assert client.news() == []  # nothing came after a last word
        assert engine.worker().pid != worker.pid
    assert len(ends) == 2 * KILLS
    assert client.status()["state"] == "ready"


def test_after_it_died_the_same_seed_gives_the_same_take(
    engine: Engine, client: Client, phrase: Music
) -> None:
    keys = {"bars": 2, "at": phrase.bars, "seed": 5}
    before = client.request("continue", 2, **keys)
    engine.worker().kill()
    assert client.request("continue", 2, **keys).notes == before.notes


def test_a_take_that_the_song_is_in_goes_on(
    engine: Engine, client: Client, phrase: Music
) -> None:
    keys = {"bars": 64, "at": phrase.bars, "seed": 3}
    whole = client.request("continue", 1, **keys)
    client.ask("/sideman/discard", whole.clip.take)
    client.roll(phrase.bars - 1, 3.6, bpm=40.0)  # 0.6 s before the take's first bar line
    answer = client.start("continue", 1, **keys)
    client.next_note(answer)
    client.send_in(0.7, ("/sideman/ping", 77))
    client.next("/sideman/pong", 77)  # the song is in the take's first bar
    assert client.status()["generating"], "it is still being made"
    engine.worker().kill()
    end(client, answer)
    assert answer.code == "done" and answer.notes == whole.notes
    client.stand(phrase.bars - 1)


def test_a_take_that_the_song_has_overtaken_is_answered(
    engine: Engine, client: Client, phrase: Music
) -> None:
    client.roll(phrase.bars - 1, 3.0, bpm=300.0)
    answer = client.start("continue", 1, bars=64, at=phrase.bars, seed=4)
    client.next_note(answer)
    engine.worker().send_signal(signal.SIGSTOP)  # it is found out some four bars later
    end(client, answer)
    assert answer.code == "worker-died"
    assert answer.end is not None and "in the middle of the take" in str(answer.end.args[2])
    client.stand(phrase.bars - 1)
    assert client.request("continue", 1, bars=1, at=phrase.bars, seed=5).code == "done"


def test_one_that_hangs_is_replaced(engine: Engine, client: Client, phrase: Music) -> None:
    worker = engine.worker()
    answer = client.start("continue", 1, bars=64, at=phrase.bars, seed=1)
    client.next_note(answer)
    worker.send_signal(signal.SIGSTOP)
    assert client.ask("/sideman/ping", 1).args[0] == 1
    assert end(client, answer).code in ("done", "worker-died")
    assert client.request("continue", 1, bars=1, at=phrase.bars, seed=1).code == "done"
    assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE
