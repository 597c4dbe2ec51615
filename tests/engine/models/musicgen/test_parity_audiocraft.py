"""What `make parity-audiocraft` compares by, on a model whose answers are transformers'."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from bench.parity_audiocraft.compare import LIMIT, compare, report
from engine.models.musicgen.model import MusicGen
from tests.support import audiocraft_layout as layout
from tests.support.musicgen_reference import encode, generate

PROMPT = "dry funk drums"
FRAMES = 12
"""Made after what comes first."""

NAME = "exported"

QUIETER = 0.125
"""What the heads of the tiny model are taken down by: its logits are larger than a real one's."""


@torch.no_grad()
def answers(model: MusicGen) -> tuple[dict[str, torch.Tensor], list[dict[str, Any]]]:
    """What audiocraft's side writes of a model, made by transformers."""
    audio = 0.3 * torch.randn(1, model.channels, 6000, generator=torch.Generator().manual_seed(3))
    codes = encode(model, audio)
    made = {"audio": audio, "codes": codes, "decoded": decode(model, codes)}
    cases: list[dict[str, Any]] = []
    for primed, guidance in ((0, 3.0), (codes.shape[2], 1.0)):
        name, first = f"case{len(cases)}", audio if primed else None
        frames = primed + FRAMES
        chosen = generate(model, [PROMPT], frames, guidance=guidance, audio=first)
        text, logits = told(model, chosen, guidance)
        made[f"{name}.codes"], made[f"{name}.wave"] = chosen, decode(model, chosen)
        made[f"{name}.text"], made[f"{name}.logits"] = text, QUIETER * logits[:, :, primed:]
        asked = {"prompt": PROMPT, "guidance": guidance, "primed": primed, "rounding": 1e-6}
        cases.append(asked | {"name": name})
    return made, cases


def decode(model: MusicGen, codes: torch.Tensor) -> torch.Tensor:
    sides = [
        model.codec.decode(codes[None, :, side :: model.channels], [None]).audio_values
        for side in range(model.channels)
    ]
    return torch.cat(sides, dim=1)


def told(model: MusicGen, codes: torch.Tensor, guidance: float) -> tuple[torch.Tensor, ...]:
    """The text [S, D], and guided logits [1, K, T, V] from one pass over the whole sequence."""
    network, books, frames = model.network, model.codebooks, codes.shape[2]
    ids = torch.tensor([model.text.tokens(PROMPT)])
    text = network.enc_to_dec_proj(network.text_encoder(input_ids=ids).last_hidden_state)
    sequence = model.delay.sequence(codes, model.delay.places(frames), frames)[0, :, :-1]
    rows = network.decoder(
        input_ids=sequence.repeat(2, 1),
        encoder_hidden_states=torch.cat([text, torch.zeros_like(text)]),
    ).logits
    with_text, without = rows.view(2, books, -1, model.packed.card).split(1)
    guided = without + (with_text - without) * guidance
    kept = [guided[:, k, delay : delay + frames] for k, delay in enumerate(model.delay.delays)]
    return text[0], torch.stack(kept, dim=1)


def quieten(said: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
    for name, tensor in tensors.items():
        if name.startswith("linears."):
            tensor *= QUIETER


@pytest.mark.parametrize("channels", [1, 2], ids=["mono", "stereo"])
def test_what_is_the_same_holds_and_what_is_not_does_not(
    channels: int,
    mono: MusicGen,
    stereo: MusicGen,
    models: dict[int, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = mono if channels == 1 else stereo
    folder = layout.write(tmp_path, model, models[channels], change=quieten)
    made, cases = answers(model)
    save_file(made, folder / "expected.safetensors")
    lines = compare(tmp_path, {NAME: cases})
    assert len(lines) == 3 + 4 * len(cases)
    assert all(line.holds for line in lines), [line for line in lines if not line.holds]
    asked = {"versions": {"audiocraft": "none"}, "replaced": {}}
    assert report(asked, lines)
    assert "DOES NOT HOLD" not in capsys.readouterr().out

    for name, what in (
        ("codes", "audio prompt, codes"),
        ("case0.codes", "from nothing, codes"),
        ("case1.logits", "primed, logits"),
        ("case0.text", "from nothing, text"),
        ("case1.wave", "primed, waveform"),
    ):
        other = load_file(folder / "expected.safetensors")
        whole = not other[name].is_floating_point()
        other[name].view(-1)[-1] += 1 if whole else 3 * LIMIT
        save_file(other, folder / "expected.safetensors")
        changed = compare(tmp_path, {NAME: cases})
        assert any(line.what.endswith(what) and not line.holds for line in changed)
        assert not report(asked, changed)
        save_file(made, folder / "expected.safetensors")
