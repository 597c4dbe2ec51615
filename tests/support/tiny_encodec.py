"""Tiny EnCodecs with random weights, whose shapes in time are those of the real one."""

import torch
from transformers import EncodecConfig, EncodecModel


def tiny_encodec(seed: int = 0, **changes: object) -> EncodecModel:
    """32 kHz, 50 frames a second, 4 codebooks of 64 entries; narrow, and of nobody's training."""
    sizes: dict[str, object] = {
        "sampling_rate": 32_000,
        "audio_channels": 1,
        "target_bandwidths": [1.2],
        "codebook_size": 64,
        "hidden_size": 8,
        "num_filters": 2,
        "upsampling_ratios": [8, 5, 4, 4],
        "use_causal_conv": False,
        "use_conv_shortcut": False,
    }
    torch.manual_seed(seed)
    model = EncodecModel(EncodecConfig(**{**sizes, **changes})).eval()
    for layer in model.quantizer.layers:
        layer.codebook.embed.normal_()
    if model.config.norm_type == "weight_norm":
        _spread(model)
    return model


@torch.no_grad()
def _spread(model: EncodecModel) -> None:
    """Makes noise come out of the encoder with mean 0 and deviation 1, so that codes differ."""
    noise = torch.randn(1, model.config.audio_channels, 16_000) * 0.3
    coded = model.encoder(noise)
    mean, deviation = coded.mean((0, 2)), coded.std((0, 2))
    last = model.encoder.layers[-1].conv
    last.weight = last.weight / deviation[:, None, None]
    last.bias.copy_((last.bias - mean) / deviation)


def random_codes(batch: int, codebooks: int, frames: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 64, (batch, codebooks, frames), generator=generator)
