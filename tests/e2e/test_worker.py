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


def test_one_that_hangs_is_replaced(engine: Engine, client: Client, phrase: Music) -> None:
    worker = engine.worker()
    answer = client.start("continue", 1, bars=64, at=phrase.bars, seed=1)
    client.next_note(answer)
    worker.send_signal(signal.SIGSTOP)
    assert client.ask("/sideman/ping", 1).args[0] == 1
    assert end(client, answer).code in ("done", "worker-died")
    assert client.request("continue", 1, bars=1, at=phrase.bars, seed=1).code == "done"
    assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE
