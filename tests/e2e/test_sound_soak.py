"""Two hundred requests for sound, cancelled, adapted and killed at random: nothing is lost or kept.

In CI there are fewer of them; ``SIDEMAN_FULL=1`` makes it two hundred.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import soundfile

from tests.e2e.client import Answer, Client
from tests.e2e.engine import Engine
from tests.support.sounds import hits

pytest.importorskip("torch")
pytest.importorskip("transformers")

FULL = bool(os.environ.get("SIDEMAN_FULL"))
REQUESTS = 200 if FULL else 40
KILLS = 10 if FULL else 2
WARM = 20
SOUND = "engine.worker.sound"
RATE = 44_100
PATIENCE = 120.0
LAST = ("/sideman/done", "/sideman/fail")
ENDS = {"done", "cancelled", "worker-died"}


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """An engine with two adapters."""
    from engine.models.musicgen import tiny
    from tests.support.peft_adapter import write

    source = tiny.write(tmp_path / "source")
    for seed, name in enumerate(("dub", "house")):
        write(tmp_path / "data" / "sideman" / "adapters" / name, source, seed=seed)
    running = Engine(tmp_path, "--preset", "tiny-audio")
    try:
        yield running
    finally:
        running.kill()


def memory(engine: Engine) -> int:
    """Of the engine and its workers, in bytes, without what they share."""
    processes = [psutil.Process(engine.process.pid), *engine.workers()]
    return sum(process.memory_full_info().uss for process in processes)


def memory_of_a_new_worker(client: Client) -> int:
    """Of the engine with a worker that has done the same as any other time this is asked."""
    client.ask("/sideman/adapter", "", 0.0)
    client.engine.worker(module=SOUND, patience=PATIENCE).kill()
    round_of(client, random.Random(1), WARM)
    return memory(client.engine)


def round_of(client: Client, chance: random.Random, requests: int, kills: int = 0) -> list[Answer]:
    """So many requests, a few at once, some cancelled and some with other adapters.

    So many times the worker is killed in the middle of them.
    """
    answers: list[Answer] = []
    every = requests // (kills + 1)
    while len(answers) < requests:
        several = [
            client.start("audio", chance.choice((1, 2)), bars=chance.randint(1, 3),
                         seed=chance.randrange(1000), variations=chance.choice((1, 1, 2)))
            for _ in range(min(chance.randint(1, 4), requests - len(answers)))
        ]  # fmt: skip
        if chance.random() < 0.3:
            client.ask("/sideman/adapter", chance.choice(("dub", "house")), chance.random())
        if chance.random() < 0.2:
            client.ask("/sideman/adapter", "", 0.0)
        if chance.random() < 0.4:
            client.next("/sideman/accepted", several[0].req, patience=PATIENCE)
            client.send("/sideman/cancel", several[0].req)
        if kills and len(answers) // every < (len(answers) + len(several)) // every:
            kills -= 1
            time.sleep(chance.random() * 0.3)  # anywhere in the middle
            client.engine.worker(module=SOUND, patience=PATIENCE).kill()
        answers += several
        for answer in several:
            finish(client, answer)
    return answers


def finish(client: Client, answer: Answer) -> None:
    """Wait for its last word; what came before was looked at elsewhere."""

    what = f"the end of request {answer.req}"
    answer.end = client.wait(
        lambda message: message.address in LAST and message.args[0] == answer.req, what, PATIENCE
    )
    client.inbox = [message for message in client.inbox if message.address in LAST]


def test_two_hundred_requests(engine: Engine) -> None:
    chance = random.Random(7)
    soundfile.write(engine.session / "loop.wav", hits([0, 0.5, 1, 1.5], 2.0, RATE), RATE)
    with Client(engine, patience=PATIENCE) as client:
        client.until("ready", patience=PATIENCE)
        client.stand(1)
        for track in (1, 2):
            client.ask("/sideman/track/load", track, str(engine.session / "loop.wav"))
        round_of(client, chance, WARM)
        before = memory_of_a_new_worker(client)
        answers = round_of(client, chance, REQUESTS, KILLS)
        after = memory_of_a_new_worker(client)
        assert {answer.code for answer in answers} <= ENDS
        assert sum(answer.code == "done" for answer in answers) > REQUESTS / 2
        status = client.status()
        assert (status["queued"], status["generating"]) == (0, 0)
        assert abs(after / before - 1) < 0.05, (before, after)
    wavs = {path.stem for path in engine.session.glob("take-*.wav")}
    assert wavs == {path.stem for path in engine.session.glob("take-*.json")}
