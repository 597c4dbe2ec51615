"""audiocraft's half of the parity check: tiny models in its own layout, and what it makes of them.

    make_reference.py CONFIG FOLDER

It runs in audiocraft's Python, not in ours, and in the environment that ``run.sh`` gives it: with
FOLDER/hub for the cache of downloads, so that what is asked for by a name on the hub is found.

CONFIG are the settings that audiocraft's source distribution has and its wheel has not. The models
are those of ``musicgen_base_32khz`` and ``encodec_musicgen_32khz`` but for their sizes, and are
written by audiocraft's own exports. FOLDER gets them as ``mono``, ``stereo`` and ``pointer``, with
an ``expected.safetensors`` in each, and ``reference.json``, which says what was asked.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from audiocraft.models import MusicGen
from audiocraft.models.builders import get_compression_model, get_lm_model
from audiocraft.modules.conditioners import ClassifierFreeGuidanceDropout, ConditioningAttributes
from audiocraft.utils import export
from hydra import compose, initialize_config_dir
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import EncodecConfig, EncodecModel, T5Config, T5EncoderModel, T5Tokenizer

CONFIG, FOLDER = (Path(argument).resolve() for argument in sys.argv[1:])
PACKAGES = ("audiocraft", "torch", "torchaudio", "xformers", "transformers", "numpy")
REPLACED = {
    "t5-base": "one layer of random weights, as wide as the real one, with a vocabulary of letters",
    "facebook/encodec_32khz": "4 filters and random weights, in transformers' layout",
}
"""Names on the hub, and what lies in their places."""

LANGUAGE_MODEL = (
    "solver=musicgen/musicgen_base_32khz",
    "model/lm/model_scale=xsmall",
    "transformer_lm.num_heads=4",
    "transformer_lm.num_layers=4",
)
STEREO = (
    "channels=2",
    "interleave_stereo_codebooks.use=true",
    "transformer_lm.n_q=8",
    "codebooks_pattern.delay.delays=[0,0,1,1,2,2,3,3]",
)
"""What audiocraft's page on MusicGen says of training in stereo."""

MODELS = {"mono": (), "stereo": STEREO, "pointer": ()}
"""Folders, and how their language models differ; the last has its codec elsewhere."""

CODEC = (
    "solver=compression/encodec_musicgen_32khz",
    "seanet.n_filters=4",
    "seanet.dimension=32",
)
PROMPTS = (None, "dry funk drums", "a lo-fi beat with a warm round bass, 90 bpm")
GUIDANCE = (1.0, 3.0)
SEED = 1
"""Of the first five, that whose two likeliest codes come least near each other: to 9e-5."""

FRAMES = 50
"""Greedily made after what comes first."""

PRIMED_SAMPLES = 20_001
"""Of the audio prompt, which ends within a frame."""


@torch.no_grad()
def main() -> None:
    """Write everything, anew."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    write_text_encoder()
    write_hub_codec()
    with tempfile.TemporaryDirectory() as training:
        codec = trained(Path(training) / "codec.th", CODEC)
        for name, changes in MODELS.items():
            lm = trained(Path(training) / "lm.th", (*LANGUAGE_MODEL, *changes))
            export.export_lm(lm, FOLDER / name / "state_dict.bin")
            packed = FOLDER / name / "compression_state_dict.bin"
            if name == "pointer":
                export.export_pretrained_compression_model("facebook/encodec_32khz", packed)
            else:
                export.export_encodec(codec, packed)
    cases = {
        "mono": answers(FOLDER / "mono", PROMPTS, GUIDANCE),
        "stereo": answers(FOLDER / "stereo", PROMPTS, GUIDANCE),
        "pointer": answers(FOLDER / "pointer", PROMPTS[-1:], GUIDANCE[-1:]),
    }
    versions = {name: version(name) for name in PACKAGES}
    asked = {"versions": versions, "replaced": REPLACED, "cases": cases}
    (FOLDER / "reference.json").write_text(json.dumps(asked, indent=1) + "\n", encoding="utf-8")


def answers(folder: Path, prompts: Sequence[str | None], guidances: Sequence[float]) -> list[Any]:
    """What audiocraft makes of a model's folder, through the calls that its users make.

    It goes into the folder; what is returned says under which names.
    """
    model = MusicGen.get_pretrained(str(folder), device="cpu")
    audio = sound(model.audio_channels, PRIMED_SAMPLES, model.sample_rate)
    codes, _ = model.compression_model.encode(audio)
    made = {"audio": audio, "codes": codes, "decoded": model.compression_model.decode(codes)}
    cases: list[dict[str, Any]] = [
        {"prompt": prompt, "guidance": guidance, "primed": primed}
        for prompt in prompts
        for guidance in (guidances if prompt else GUIDANCE[-1:])
        for primed in (0, codes.shape[2])
    ]
    for number, case in enumerate(cases):
        name, prompt, primed = f"case{number}", case["prompt"], case["primed"]
        case["name"] = name
        model.set_generation_params(
            use_sampling=False,
            cfg_coef=case["guidance"],
            duration=(primed + FRAMES + 0.5) / model.frame_rate,
        )
        made[f"{name}.wave"], made[f"{name}.codes"] = (
            model.generate_continuation(audio, model.sample_rate, [prompt], return_tokens=True)
            if primed
            else model.generate([prompt], return_tokens=True)
        )
        made[f"{name}.text"], made[f"{name}.logits"] = told(model.lm, made[f"{name}.codes"], case)
    # How far audiocraft itself is from the numbers that float32 stands for.
    model.lm.double()
    text: Any = model.lm.condition_provider.conditioners["description"]
    text.t5.double()
    for case in cases:
        name = case["name"]
        _, exact = told(model.lm, made[f"{name}.codes"], case)
        case["rounding"] = float((made[f"{name}.logits"] - exact).abs().max())
    save_file(
        {name: tensor.contiguous() for name, tensor in made.items()},
        folder / "expected.safetensors",
    )
    return cases


def told(lm: Any, codes: Tensor, case: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """The text as the decoder sees it [S, D], and the guided logits [1, K, FRAMES, V] at the end.

    They come from one pass over the whole sequence.
    """
    attributes = [ConditioningAttributes(text={"description": case["prompt"]})]
    attributes += ClassifierFreeGuidanceDropout(p=1.0)(attributes)
    conditions = lm.condition_provider(lm.condition_provider.tokenize(attributes))
    said = lm.compute_predictions(
        codes.expand(2, -1, -1), [], conditions, keep_only_valid_steps=False
    )
    assert said.mask.all()
    with_text, without = said.logits[:, :, case["primed"] :].split(1)
    return conditions["description"][0][0], without + (with_text - without) * case["guidance"]


def trained(path: Path, overrides: Sequence[str]) -> Path:
    """A checkpoint as training leaves it, of random weights."""
    with initialize_config_dir(config_dir=str(CONFIG), version_base="1.3"):
        config = compose("config", overrides=list(overrides))
    here = config.copy()
    here.device, here.dtype = "cpu", "float32"
    if "transformer_lm" in config:
        model = get_lm_model(here)
        tell_apart(model)
    else:
        model = get_compression_model(here).eval()
        books = [layer._codebook for layer in model.quantizer.vq.layers]
        fill(books, model.encoder(sound(1, 320_000, model.sample_rate)))
    state = {"best_state": {"model": model.state_dict()}, "fsdp_best_state": {}, "xp.cfg": config}
    torch.save(state, path)
    return path


def tell_apart(model: nn.Module) -> None:
    """Move what training begins with at 0 or 1, so that no norm does for another.

    And have codes be as loud as their places, else the past would hardly be heard.
    """
    for name, tensor in model.named_parameters():
        if tensor.ndim == 1:
            tensor.add_(0.1 * torch.randn_like(tensor))
        elif name.startswith("emb."):
            tensor.normal_()


def fill(books: Iterable[Any], latent: Tensor) -> None:
    """Codebooks that lie where the encoder's output [1, D, T] does, each in the rest of it."""
    rest = latent[0].t()
    for book in books:
        book.embed.normal_().mul_(rest.std(0)).add_(rest.mean(0))
        book.embed_avg.copy_(book.embed)
        book.cluster_size.fill_(1)
        book.inited.fill_(1)
        rest = rest - book.embed[torch.cdist(rest, book.embed).argmin(1)]


def sound(channels: int, samples: int, rate: int) -> Tensor:
    """Something with beats, tones and noise, [1, channels, samples]; each side its own."""
    time = torch.arange(samples) / rate
    beat = (-8 * (time % 0.25)).exp()
    sides = []
    for side in range(channels):
        noise = torch.randn(samples, generator=torch.Generator().manual_seed(side))
        tones = [(2 * torch.pi * f * time).sin() for f in (110 + 27 * side, 343, 2_111)]
        sides.append(beat * (0.2 * sum(tones) + 0.1 * noise))
    return torch.stack(sides)[None]


def write_text_encoder() -> None:
    """In the place of ``t5-base``."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789-,."
    pieces = ["<pad>", "</s>", "<unk>", "\u2581", *letters, "\u2581drums", "\u2581a", "ar", "ou"]
    scores = [0.0, 0.0, 0.0, *(-1.0 - 0.01 * i for i in range(len(pieces) - 3))]
    T5Tokenizer(vocab=list(zip(pieces, scores, strict=True)), extra_ids=0).save_pretrained(
        FOLDER / "t5-base"
    )
    config = T5Config(
        vocab_size=len(pieces), d_model=768, d_kv=16, d_ff=64, num_layers=1, num_heads=2
    )
    T5EncoderModel(config).save_pretrained(FOLDER / "t5-base")
    on_hub("t5-base", FOLDER / "t5-base")


def write_hub_codec() -> None:
    """In the place of ``facebook/encodec_32khz``."""
    config = EncodecConfig(
        sampling_rate=32_000,
        audio_channels=1,
        num_filters=4,
        hidden_size=32,
        upsampling_ratios=[8, 5, 4, 4],
        codebook_size=2048,
        target_bandwidths=[2.2],
        use_causal_conv=False,
        use_conv_shortcut=False,
        normalize=False,
    )
    model = EncodecModel(config).eval()
    books = [layer.codebook for layer in model.quantizer.layers]
    fill(books, model.encoder(sound(1, 320_000, 32_000)))
    model.save_pretrained(FOLDER / "encodec_32khz")
    on_hub("facebook/encodec_32khz", FOLDER / "encodec_32khz")


def on_hub(name: str, folder: Path) -> None:
    """Have ``name`` lie in the cache of downloads as if it had been downloaded."""
    cached = FOLDER / "hub" / f"models--{name.replace('/', '--')}"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text("local")
    (cached / "snapshots").mkdir()
    (cached / "snapshots" / "local").symlink_to(folder)


if __name__ == "__main__":
    main()
