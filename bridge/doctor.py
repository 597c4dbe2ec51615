"""The checks behind ``sideman doctor``: small functions, each of which looks at one thing.

A check that cannot even look fails; it never ends the examination.
"""

from __future__ import annotations

import platform
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

from bridge.config import Config, default_sessions
from engine import presets
from engine.errors import SidemanError
from engine.models.folder import ModelInfo, read_info


class Status(StrEnum):
    """How a check ended. WARN: the engine runs, but something that some users want is missing."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Check:
    """What a check found, and what to do about it."""

    name: str
    status: Status
    text: str
    remedy: str = ""


def examine(config: Config) -> Iterator[Check]:
    """All checks in order, each as soon as it is done."""
    for name, look in CHECKS.items():
        try:
            yield from look(name, config)
        except Exception as problem:
            yield Check(name, Status.FAIL, " ".join(f"{problem}".split()) or repr(problem))


def _python(name: str, _: Config) -> Iterator[Check]:
    text = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    yield Check(name, Status.OK, text)


def _osc(name: str, config: Config) -> Iterator[Check]:
    host, port = config.osc.host, config.osc.port
    place = f"UDP {host}:{port}"
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((host, port))
        yield Check(name, Status.OK, f"{place} is free")
    except OSError as problem:
        if ping(host, port):
            yield Check(name, Status.OK, f"{place}: an engine is running and answers")
        else:
            yield Check(
                name,
                Status.FAIL,
                f"{place}: {problem.strerror}, and nothing there answers as an engine does",
                "end the other program, or serve with --osc-port",
            )


MIDI_REMEDIES = {
    "alsa": "load the kernel module snd-seq (modprobe snd-seq), or serve with --no-midi",
    "jack": "start a JACK or PipeWire server where its ports are wanted",
}
"""What to do where a MIDI system is not available."""


def _midi(name: str, _: Config) -> Iterator[Check]:
    from bridge.midi_systems import systems

    try:
        found = systems()
    except SidemanError as problem:
        yield Check(name, Status.WARN, problem.text, "OSC works without; serve with --no-midi")
        return
    for system in found:
        if system.problem:
            remedy = MIDI_REMEDIES.get(system.name, "serve with --no-midi")
            text = f"not available: {system.problem}"
            yield Check(f"{name} {system.name}", Status.WARN, text, remedy)
        else:
            ports = f"{len(system.inputs)} inputs, {len(system.outputs)} outputs"
            yield Check(f"{name} {system.name}", Status.OK, ports)


def _midi_jitter(name: str, config: Config) -> Iterator[Check]:
    from bridge.midi.loopback import measure

    try:
        found = measure(config.midi.api)
    except SidemanError as problem:
        yield Check(name, Status.WARN, f"not measured: {problem.text}", "serve with --no-midi")
        return
    p50, p99 = found.percentile(0.5), found.percentile(0.99)
    text = f"notes by {found.api} arrive {p50:.2f} ms after their moment (p50), {p99:.2f} ms (p99)"
    if found.lost:
        yield Check(name, Status.FAIL, f"{text}; {found.lost} were lost", "close other programs")
    elif p99 - p50 > 5.0:
        yield Check(name, Status.WARN, text, "close other programs; give JACK a smaller buffer")
    else:
        yield Check(name, Status.OK, text)


def _clock(name: str, _: Config) -> Iterator[Check]:
    late = sleep_lateness_ms()
    text = f"wakes up {late[len(late) // 2]:.2f} ms late (p50), {late[-2]:.2f} ms (p99)"
    if late[-2] <= 5:
        yield Check(name, Status.OK, text)
    else:
        yield Check(name, Status.WARN, text, "close other programs; use a performance power plan")


def _cpu(name: str, _: Config) -> Iterator[Check]:
    import psutil

    cores = psutil.cpu_count(logical=False) or psutil.cpu_count() or 1
    text = f"{cores} cores, {psutil.virtual_memory().available / 2**30:.1f} GiB of memory free"
    try:
        import numba
    except Exception as problem:  # llvmlite reports a foreign CPU or a missing library as it likes
        yield Check(
            name,
            Status.WARN,
            f"{text}; the step cannot be compiled ({problem}), plain numpy plays instead",
            "pip install --force-reinstall numba llvmlite",
        )
    else:
        yield Check(name, Status.OK, f"{text}; numba {numba.__version__}")


def _gpu(name: str, _: Config) -> Iterator[Check]:
    try:
        version = metadata.version("torch")
    except metadata.PackageNotFoundError:
        yield Check(name, Status.OK, "torch is not installed; MIDI presets do not need it")
        return
    build = version.partition("+")[2] or "default build"
    driver = any(Path(path).exists() for path in ("/proc/driver/nvidia/version", "/dev/nvidia0"))
    said = "an NVIDIA driver is loaded" if driver else "no NVIDIA driver seen"
    yield Check(name, Status.OK, f"torch {version.partition('+')[0]} ({build}), {said}")


def _models(name: str, _: Config) -> Iterator[Check]:
    from engine.models import registry, store

    wanted = store.names()
    if not wanted:
        yield Check(name, Status.FAIL, "no model is installed", "is the checkout complete?")
    for model in wanted:
        try:
            started = time.perf_counter()
            folder = store.find(model)
            if (info := read_info(folder)).kind == "audio":
                yield _sound(f"{name} {model}", folder, info)
                continue
            loaded = registry.load(folder)
        except SidemanError as problem:
            yield Check(f"{name} {model}", Status.FAIL, problem.text, "install it again")
        else:
            seconds = time.perf_counter() - started
            text = f"hash agrees, loads in {seconds:.2f} s, {loaded.precision} by {loaded.runtime}"
            yield Check(f"{name} {model}", Status.OK, text)


def _sound(name: str, folder: Path, info: ModelInfo) -> Check:
    """A model of sound takes long to load: it is looked at, and proved by a command of its own."""
    parts = info.weights.parts or (info.weights,)
    if lacking := [part.file for part in parts if not (folder / part.file).is_file()]:
        return Check(name, Status.FAIL, f"{lacking[0]} is missing", "get it again")
    text = f"{info.family}, {info.licence}; `sideman doctor --audio {folder.name}` proves it"
    return Check(name, Status.OK, text)


def _presets(name: str, _: Config) -> Iterator[Check]:
    from engine.models import store

    good: list[str] = []
    bad: dict[str, list[str]] = {}
    for preset in presets.names():
        try:
            store.find(presets.load(preset).model)
            good.append(preset)
        except SidemanError as problem:
            bad.setdefault(problem.text, []).append(preset)
    if good:
        yield Check(name, Status.OK, ", ".join(good))
    for text, names in bad.items():
        yield Check(name, Status.FAIL, f"{', '.join(names)}: {text}", "mend what it names")


def _synth(name: str, config: Config) -> Iterator[Check]:
    from bridge.files import soundfont, synths

    try:
        font = soundfont.find(config.files.soundfont or None)
        engine, synth = synths.open_synth(font, 44_100)
    except SidemanError as problem:
        yield Check(name, Status.WARN, problem.text, "MIDI works without; audio files need it")
        return
    synth.close()
    yield Check(name, Status.OK, f"{engine} plays {font.path}")


def _writers(name: str, _: Config) -> Iterator[Check]:
    import soundfile

    formats = soundfile.available_formats()
    lacking = [each for each in ("WAV", "FLAC", "MP3") if each not in formats]
    if lacking:
        yield Check(
            name,
            Status.WARN,
            f"{soundfile.__libsndfile_version__} cannot write {', '.join(lacking)}",
            "pip install --force-reinstall soundfile",
        )
    else:
        yield Check(name, Status.OK, f"WAV, FLAC, MP3 by {soundfile.__libsndfile_version__}")


def _sessions(name: str, config: Config) -> Iterator[Check]:
    given = config.files.sessions
    folder = Path(given).expanduser() if given else default_sessions()
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as problem:
        yield Check(name, Status.FAIL, f"{folder}: {problem.strerror}", "serve with --sessions DIR")
    else:
        yield Check(name, Status.OK, str(folder))


def _link(name: str, _: Config) -> Iterator[Check]:
    installed = find_spec("link") is not None
    yield Check(name, Status.OK, "installed" if installed else "not installed (extra 'link')")


CHECKS: dict[str, Callable[[str, Config], Iterator[Check]]] = {
    "python": _python,
    "osc": _osc,
    "midi": _midi,
    "midi jitter": _midi_jitter,
    "clock": _clock,
    "cpu": _cpu,
    "gpu": _gpu,
    "model": _models,
    "presets": _presets,
    "sound": _synth,
    "audio files": _writers,
    "sessions": _sessions,
    "link": _link,
}


def sleep_lateness_ms(times: int = 200, interval_s: float = 0.002) -> list[float]:
    """How late this machine wakes a sleeping thread, in milliseconds, in ascending order."""
    moments = [time.perf_counter()]
    for _ in range(times):
        time.sleep(interval_s)
        moments.append(time.perf_counter())
    return sorted(1000 * (after - before - interval_s) for before, after in pairwise(moments))


def ping(host: str, port: int, timeout_s: float = 0.5) -> bool:
    """Whether a Sideman engine answers there by OSC over UDP."""
    from bridge.osc.client import OscClient

    with OscClient(host, port, timeout=timeout_s) as client:
        try:
            client.send("/sideman/ping", 1)
            client.wait_for("/sideman/pong")
        except (OSError, TimeoutError):
            return False
    return True
