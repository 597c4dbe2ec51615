from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bridge import bench
from bridge.config import ServeOptions
from bridge.serve import Engine
from engine.conductor import Conductor

SPEED = {"step_seconds": 0.0005, "token_seconds": 0.001, "bar_tokens": 60.0}


def put(speed: object, **more: object) -> None:
    bench.file().parent.mkdir(parents=True, exist_ok=True)
    bench.file().write_text(json.dumps({"format": bench.FORMAT, "speed": speed, **more}))


def test_nothing_is_known_before_the_bench_was_run() -> None:
    assert bench.stored() is None


@pytest.mark.parametrize(
    "speed",
    [
        None, [], "fast", {}, SPEED | {"token_seconds": "soon"}, SPEED | {"bar_tokens": 0},
        SPEED | {"step_seconds": -1}, SPEED | {"step_seconds": float("nan")},
    ],
)  # fmt: skip
def test_what_makes_no_sense_counts_as_unknown(speed: object) -> None:
    put(speed)
    assert bench.stored() is None


def test_another_format_counts_as_unknown() -> None:
    put(SPEED, format=bench.FORMAT + 1)
    assert bench.stored() is None


@pytest.fixture
def conductor_after(tmp_path: Path) -> Iterator[Callable[[], Conductor]]:
    """Starts an engine and returns its conductor; stops it in order at the end."""
    engines: list[Engine] = []

    def start() -> Conductor:
        engines.append(Engine(ServeOptions(osc_port=0, sessions=tmp_path)))
        return engines[0].conductor

    yield start
    for engine in engines:
        engine.stop()
        engine.run(lambda: None)


def test_an_engine_begins_with_what_was_stored(
    conductor_after: Callable[[], Conductor],
) -> None:
    put(SPEED)
    conductor = conductor_after()
    speed = conductor.requests.speed
    assert (speed.token_seconds, speed.bar_tokens) == (0.001, 60.0)
    assert "speculation" not in conductor.settings.values
    speed.stepped(0.004)
    assert speed.token_seconds == pytest.approx(0.008), "grammar and sampling are still counted"


def test_a_slow_machine_makes_nothing_ahead(conductor_after: Callable[[], Conductor]) -> None:
    put(SPEED | {"token_seconds": 0.025})
    assert conductor_after().settings.values["speculation"] is False
