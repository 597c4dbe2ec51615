"""The codes of a data set's clips, made once by a model's codec and kept.

Importing this module imports torch and transformers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from torch import Tensor

from engine.errors import Code, SidemanError
from engine.models.musicgen.codec import Codec
from engine.models.musicgen.model import MusicGen
from training.files import unwritable, write_whole
from training.sound.dataset import CODES, RATE, Clip, Clips, CodecInfo, Told

TOGETHER = 8
"""Clips of one length that are encoded at a time. They stay together when a stopped run goes on:
the same batches give the same codes to the last bit."""

MADE = "made"
"""Key in a code file's metadata: by which codec, of which clip. One key, because safetensors writes
several in an order of chance."""


def encode(clips: Clips, model: MusicGen, progress: Told | None = None) -> int:
    """Give every clip its codes; see :meth:`Clips.encode`."""
    codec = Codec(model.codec, model.channels)
    if codec.rate != RATE:
        raise SidemanError(
            Code.BAD_ARGUMENTS,
            f"the codec of {model.name} hears {codec.rate} Hz, and the clips are at {RATE}",
        )
    info = describe(model.name, codec)
    if clips.codec is not None and not _same(clips.codec, info):
        clips.forget_codes()
    try:
        (clips.folder / CODES).mkdir(exist_ok=True)
    except OSError as error:
        raise unwritable(clips.folder / CODES, error) from error
    coded = [
        replace(clip, code_file=f"{CODES}/{number:06d}.safetensors")
        for number, clip in enumerate(clips.clips, 1)
    ]
    made = done = 0
    for batch in _batches(coded):
        if not all(_is_of(clip, info) for clip in batch):
            _encode(batch, codec, info)
            made += len(batch)
        done += len(batch)
        if progress:
            progress(done, len(coded))
    if clips.codec is None or clips.clips != coded:
        clips.codec, clips.clips = info, coded
        clips.save()
    return made


def describe(name: str, codec: Codec) -> CodecInfo:
    """What a data set says of the codec of the model ``name``."""
    return CodecInfo(
        model=name,
        sha256=fingerprint(codec),
        codebooks=codec.codebooks,
        card=codec.codebook_size,
        frame_rate=int(codec.frame_rate),
    )


def fingerprint(codec: Codec) -> str:
    """SHA-256 of a codec's tensors, with their names and shapes, as float32."""
    digest = hashlib.sha256()
    for name, tensor in sorted(codec.model.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().to("cpu", torch.float32).contiguous().numpy().data)
    return digest.hexdigest()


def _same(one: CodecInfo, other: CodecInfo) -> bool:
    return replace(one, model="") == replace(other, model="")


def _batches(clips: list[Clip]) -> Iterator[list[Clip]]:
    """Clips in the manifest's order, where neighbours are of one length."""
    for _, run in groupby(clips, key=lambda clip: clip.seconds):
        neighbours = list(run)
        for start in range(0, len(neighbours), TOGETHER):
            yield neighbours[start : start + TOGETHER]


def _is_of(clip: Clip, info: CodecInfo) -> bool:
    """Whether the clip's code file is there, and of that codec."""
    try:
        with safe_open(_path(clip), framework="numpy") as file:
            shape = file.get_slice("codes").get_shape()
            made = (file.metadata() or {}).get(MADE)
    except (SafetensorError, OSError):
        return False
    return made == _made(clip, info) and shape[0] == info.codebooks


def _made(clip: Clip, info: CodecInfo) -> str:
    return f"{info.sha256} {clip.audio}"


def _encode(batch: list[Clip], codec: Codec, info: CodecInfo) -> None:
    sounds = [_heard(clip, codec) for clip in batch]
    if len({sound.shape for sound in sounds}) > 1:
        raise SidemanError(
            Code.BAD_FILE,
            f"{batch[0].folder}: a clip is not as long as the manifest says: make the data anew "
            "with `sideman train audio-data`",
        )
    coded = codec.encode(torch.stack(sounds).to(codec.device)).cpu().numpy()
    for clip, codes in zip(batch, coded, strict=True):
        kept: NDArray[np.int16] = np.ascontiguousarray(codes, np.int16)
        data = save({"codes": kept}, metadata={MADE: _made(clip, info)})
        write_whole(_path(clip), data)


def _path(clip: Clip) -> Path:
    return clip.folder / str(clip.code_file)


def _heard(clip: Clip, codec: Codec) -> Tensor:
    """A clip [C, N] as the codec takes it: both sides of a stereo one mixed for a mono codec."""
    sound = clip.sound()
    if sound.shape[1] > codec.channels:
        sound = sound.mean(axis=1, keepdims=True)
    return torch.from_numpy(np.ascontiguousarray(sound.T))
