"""The checks behind ``sideman doctor --audio DIR``: one model of sound, proved on this machine.

It is loaded as the engine loads it, held against transformers' own ``generate``, timed, and made to
go on from a loop of two bars that is synthesised here.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.commands.output import size
from bridge.doctor import Check, Status
from engine.audio import Audio
from engine.errors import Code, SidemanError

if TYPE_CHECKING:
    from torch import Tensor

    from engine.models.folder import ModelInfo
    from engine.models.musicgen.model import MusicGen

PROMPT = "dry funk drums, warm round bass, 120 bpm"
PARITY_FRAMES = 10
LEAD_FRAMES = 25
"""Frames of the loop that parity is held after."""

HOPS = (1, 5, 25)
"""Frames at a time that the codec is streamed in."""

CODEC_TOLERANCE = 1e-5

WARM_UP_STEPS, TIMED_STEPS = 8, 60
TIMED_SECONDS = 10.0
"""Timing ends after so long, however few steps were made."""

COPIED = 1 << 28
"""Bytes that are copied to see how quickly memory is read."""

RATE, BPM = 48_000, 120
BASS = (55.0, 55.0, 65.41, 73.42, 55.0, 55.0, 82.41, 98.0)
"""Hz of a note on each beat of the loop."""

LEVEL_LU = 3.0
"""How far a take may be from its prompt's loudness."""

REMEDY_SLOW = "use musicgen-small or a GPU, or ask for takes some bars ahead"


def examine(text: str, device: str = "auto") -> Iterator[Check]:
    """All checks of the model that ``text`` names, or whose folder it is, each as it is done.

    The first that fails ends them where nothing can be looked at without it.
    """
    try:
        yield from _examine(text, device)
    except SidemanError as problem:
        yield Check("audio", Status.FAIL, problem.text, "mend what it names")
    except Exception as problem:  # whatever a damaged model makes of torch
        text = " ".join(f"{problem}".split())[:300] or repr(problem)
        yield Check("audio", Status.FAIL, f"{type(problem).__name__}: {text}", "see its folder")


def _examine(text: str, device: str) -> Iterator[Check]:
    folder = _folder(text)
    info, about = _described(folder)
    yield about
    import torch

    from engine.models.musicgen.checkpoint import quiet
    from engine.models.musicgen.model import MusicGen

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    started = time.perf_counter()
    # In float32, for codes are equal only where sums are.
    model = MusicGen.load(folder, device=device, precision="float32")
    seconds = time.perf_counter() - started
    threads = f", {torch.get_num_threads()} threads" if device == "cpu" else ""
    yield Check("audio load", Status.OK, f"in {seconds:.1f} s, float32 on {device}{threads}")
    with quiet():
        yield from _parity(model)
    yield from _codec(model)
    if device != "cpu":
        del model
        model = MusicGen.load(folder, device=device)
    yield from _speed(model)
    yield from _seam(model)
    yield from _memory(model, info)


def _folder(text: str) -> Path:
    from engine.models import store

    if store.can_be_made(text):
        from engine.models.musicgen.installing import make

        return make(text)
    return store.resolve(text)


def _described(folder: Path) -> tuple[ModelInfo, Check]:
    from engine.models.folder import MODEL_JSON, read_info
    from engine.models.musicgen.describe import verify

    info = read_info(folder)
    if info.kind != "audio":
        raise SidemanError(
            Code.UNKNOWN_MODEL,
            f"{folder.name} is a model for {info.kind}, and `--audio` is for sound",
        )
    sizes = info.sizes
    sealed = (folder / MODEL_JSON).is_file()
    if sealed:
        verify(folder, info)
    words = [
        f"{info.name}: {info.family}, {sizes['layers']} layers",
        "stereo" if sizes["channels"] == 2 else "mono",
        f"{sizes['sample_rate']} Hz",
        f"stored as {info.weights.dtype}",
        info.licence,
        "hash agrees" if sealed else f"hash {info.weights.sha256[:12]}",
    ]
    return info, Check("audio model", Status.OK, ", ".join(words))


def _parity(model: MusicGen) -> Iterator[Check]:
    """Ten greedy frames with guidance, ours and transformers', from nothing and after the loop."""
    import torch

    lead = _lead(model)
    for name, sound in (("from text", None), ("after a loop", lead)):
        theirs = _generate(model, sound)
        known = None if sound is None else theirs[:, :, :LEAD_FRAMES]
        ours = _greedy(model, known)
        label = f"audio parity {name}"
        if torch.equal(ours, theirs):
            frames = theirs.shape[2] - (0 if known is None else LEAD_FRAMES)
            text = f"{frames} guided greedy frames are those of transformers' generate"
            yield Check(label, Status.OK, text)
            continue
        first = int((ours != theirs).any(1)[0].float().argmax())
        text = f"frame {first} of {theirs.shape[2]} is the first that is not transformers'"
        # On a GPU sums are added up in another order, and the likeliest of two codes may change.
        close = model.device.type != "cpu" and first > (0 if known is None else LEAD_FRAMES)
        status = Status.WARN if close else Status.FAIL
        yield Check(label, status, text, "report it, with the model's name and this line")


def _greedy(model: MusicGen, known: Tensor | None) -> Tensor:
    from engine.models.audio import Sampling

    frames = PARITY_FRAMES + (0 if known is None else known.shape[2])
    stream = model.open(1, frames=frames, sampling=Sampling(temperature=0))
    stream.prime(known, [PROMPT], frames=frames)
    while stream.remaining:
        stream.step()
    return stream.codes


class _Codes(Exception):  # noqa: N818 - it ends `generate` where it would begin to decode
    pass


def _generate(model: MusicGen, sound: Tensor | None) -> Tensor:
    """Greedy codes ``[1, K, T]`` of transformers, those of the sound included."""
    import torch

    frames = PARITY_FRAMES + (0 if sound is None else LEAD_FRAMES)
    codec, taken = model.codec, []

    def take(codes: Tensor, **_: object) -> Any:
        taken.append(codes[0])
        if len(taken) == model.channels:
            raise _Codes
        return type("Output", (), {"audio_values": torch.zeros(0)})()

    decode, codec.decode = codec.decode, take
    try:
        model.network.generate(
            input_ids=torch.tensor([model.text.tokens(PROMPT)], device=model.device),
            do_sample=False,
            guidance_scale=3.0,
            max_length=model.delay.places(frames),
            **({} if sound is None else {"input_values": sound}),
        )
    except _Codes:
        pass
    finally:
        codec.decode = decode
    return torch.stack(taken, dim=2).flatten(1, 2)


def _codec(model: MusicGen) -> Iterator[Check]:
    """The streaming decoder against the whole decode of the loop's own codes."""
    import torch

    from engine.models.musicgen.codec import Codec
    from engine.models.musicgen.stream_codec import StreamDecoder

    codec = Codec(model.codec, model.channels)
    codes = codec.encode(_lead(model))
    whole = codec.decode(codes)
    worst = 0.0
    for hop in HOPS:
        decoder = StreamDecoder(codec)
        pieces = [decoder.push(codes[..., at : at + hop]) for at in range(0, codes.shape[2], hop)]
        made = torch.cat([*pieces, decoder.flush()], dim=-1)
        worst = max(worst, float((made - whole).abs().max()))
    text = (
        f"streamed by {', '.join(map(str, HOPS))} frames it is the whole decode to {worst:.0e}; "
        f"it holds back {StreamDecoder(codec).lookahead} frames"
    )
    status = Status.OK if worst <= CODEC_TOLERANCE else Status.FAIL
    remedy = "" if status is Status.OK else "report it, with the model's name and this line"
    yield Check("audio codec", status, text, remedy)


def _speed(model: MusicGen) -> Iterator[Check]:
    """How quickly frames are made, beside what reading the weights alone takes."""
    times = _step_seconds(model)
    p50, p95 = np.percentile(times, [50, 95])
    factor = 1 / (p50 * model.frame_rate)
    bound = _weights_bytes(model) / _bandwidth(model)
    text = (
        f"a guided frame takes {1000 * p50:.1f} ms (p50), {1000 * p95:.1f} ms (p95): "
        f"{1 / p50:.0f} a second, {factor:.2f} times real time; "
        f"reading the weights alone takes {1000 * bound:.1f} ms"
    )
    if factor >= 1:
        yield Check("audio speed", Status.OK, text)
    else:
        yield Check("audio speed", Status.WARN, text, REMEDY_SLOW)


def _step_seconds(model: MusicGen) -> list[float]:
    import torch

    stream = model.open(1, frames=WARM_UP_STEPS + TIMED_STEPS + 1)
    stream.prime(None, [PROMPT])
    times: list[float] = []
    begun = time.perf_counter()
    for step in range(WARM_UP_STEPS + TIMED_STEPS):
        started = time.perf_counter()
        stream.step()
        if model.device.type == "cuda":
            torch.cuda.synchronize()
        if step >= WARM_UP_STEPS:
            times.append(time.perf_counter() - started)
        if times and time.perf_counter() - begun > TIMED_SECONDS:
            break
    return times


def _weights_bytes(model: MusicGen) -> int:
    """What a step reads of the decoder: all its matrices but those for the prompt and the codes."""
    packed = model.packed
    read = [
        getattr(layer, name)
        for layer in packed.layers
        for name in ("qkv", "self_out", "text_q", "text_out", "feed_in", "feed_out")
    ]
    return sum(tensor.numel() * tensor.element_size() for tensor in (*read, packed.head))


def _bandwidth(model: MusicGen) -> float:
    """Bytes a second that the device's memory gives, by copying: the best of three."""
    import torch

    source = torch.ones(COPIED // 4, device=model.device)
    target = torch.empty_like(source)
    best = 0.0
    for _ in range(3):
        started = time.perf_counter()
        target.copy_(source)
        if model.device.type == "cuda":
            torch.cuda.synchronize()
        best = max(best, 2 * COPIED / (time.perf_counter() - started))
    return best


def _seam(model: MusicGen) -> Iterator[Check]:
    """A bar that goes on from the loop, as a session would have it."""
    from engine.audio.compare import Reference
    from engine.audio.continuation import Continuation
    from engine.audio.grid import Grid
    from engine.audio.level import true_peak
    from engine.audio.seam import CLICK, click
    from engine.audio.wanted import Wanted
    from engine.models.musicgen.player import Player

    past, grid = loop(RATE), Grid(RATE, BPM)
    wanted = Wanted(past, grid, 2, 1, text=PROMPT, following=past[: RATE // 2])
    making = Continuation(Player(model), [wanted])
    pieces: list[Audio] = []
    while not making.done:
        pieces += [sound for _, sound in making.work()]
    take = np.concatenate(pieces)
    if len(take) != wanted.samples or not np.isfinite(take).all():
        text = f"{len(take)} samples where a bar has {wanted.samples}, or numbers that are none"
        yield Check("audio seam", Status.FAIL, text, "report it, with the model's name")
        return
    found = Reference(past, grid, 2).measure(take)
    step, peak = click(past, take, RATE), true_peak(take, RATE)
    text = (
        f"a bar after two at {BPM} bpm: a step of {step:.2f} across it ({CLICK:g} is heard), "
        f"level {found.level_lu:.1f} LU apart, beat {found.offset_ms:.0f} ms aside, "
        f"tempo {found.tempo_percent:.1f} % off, true peak {peak:.1f} dBTP"
    )
    if not np.abs(take).max() > 0:
        yield Check("audio seam", Status.FAIL, f"{text}; it is silent", "is it the right model?")
    elif step > CLICK or found.level_lu > LEVEL_LU:
        remedy = "ask for several variations: the one that goes on best is taken"
        yield Check("audio seam", Status.WARN, text, remedy)
    else:
        yield Check("audio seam", Status.OK, text)


def _memory(model: MusicGen, info: ModelInfo) -> Iterator[Check]:
    import psutil
    import torch

    from engine.models.musicgen.player import Player

    stream = model.open(1)
    held = Player(model).nbytes
    if model.device.type == "cuda":
        peak = torch.cuda.max_memory_allocated()
        free, whole = torch.cuda.mem_get_info()
        where = f"peak on the GPU {size(peak)}, {size(free)} of {size(whole)} free"
    else:
        now = psutil.Process().memory_info().rss
        free = psutil.virtual_memory().available
        where = f"this process holds {size(now)}, {size(free)} are free"
    text = f"{info.name} holds {size(held)}, a take of 30 s {size(stream.nbytes)} more; {where}"
    if free < stream.nbytes:
        yield Check("audio memory", Status.WARN, text, "close other programs, or use a smaller one")
    else:
        yield Check("audio memory", Status.OK, text)


def _lead(model: MusicGen) -> Tensor:
    """The loop's beginning at the model's rate, ``[1, channels, samples]``."""
    import torch

    samples = LEAD_FRAMES * model.sample_rate // model.frame_rate
    sound = loop(model.sample_rate)[:samples].T
    if model.channels == 1:
        sound = sound.mean(axis=0, keepdims=True)
    return torch.from_numpy(np.ascontiguousarray(sound))[None].to(model.device)


def loop(rate: int) -> Audio:
    """Two bars of 4/4 at `BPM`: a kick on each beat, a hat between, a bass; ``[samples, 2]``."""
    beat = 60 * rate // BPM
    random = np.random.default_rng(0)
    sound = np.zeros((8 * beat, 2))
    seconds = np.arange(beat) / rate
    kick = np.sin(2 * np.pi * (50 * seconds + 3.75 * (1 - np.exp(-40 * seconds))))
    kick *= np.exp(-15 * seconds)
    hat = 0.1 * random.standard_normal(beat - beat // 2) * np.exp(-90 * seconds[: beat - beat // 2])
    for number, hertz in enumerate(BASS):
        at = number * beat
        tone = np.sin(2 * np.pi * hertz * seconds) * np.exp(-3 * seconds)
        tone *= np.minimum(1, (seconds[-1] - seconds) / 0.01)  # an end that does not click
        sound[at : at + beat] += (0.5 * kick + 0.3 * tone)[:, None]
        sound[at + beat // 2 : at + beat] += hat[:, None] * [0.8, 1.0]
    return np.asarray(sound * 0.5, np.float32)
