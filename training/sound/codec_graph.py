"""EnCodec as two graphs that exporters take: plain weights, and paddings that are numbers.

Importing this module imports torch and transformers.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own idiom
from transformers.models.encodec.modeling_encodec import EncodecConv1d

from engine.models.musicgen.codec import Codec


class CodecGraph(nn.Module):
    """Codes int64 ``[B, K, T]`` in, sound float32 ``[B, channels, T * hop]`` out; T is 4 or more.

    The network mirrors its edges, and so needs a few frames; the engine's own takes any number.
    """

    def __init__(self, codec: Codec) -> None:
        super().__init__()
        self.quantizer: Any = deepcopy(codec.model.quantizer)
        self.decoder: Any = deepcopy(codec.model.decoder)
        self.channels = codec.channels
        _plain(self.decoder)
        self.requires_grad_(False)

    def forward(self, codes: Tensor) -> Tensor:
        """The whole decode."""
        batch, books, frames = codes.shape
        sides = codes.reshape(batch, books // self.channels, self.channels, frames)
        rows = sides.permute(1, 0, 2, 3).flatten(1, 2)
        sound: Tensor = self.decoder(self.quantizer.decode(rows))
        return sound.reshape(batch, self.channels, -1)


class EncoderGraph(nn.Module):
    """Sound float32 ``[B, channels, T * hop]`` in, codes int64 ``[B, K, T]`` out, T as above."""

    def __init__(self, codec: Codec) -> None:
        super().__init__()
        self.quantizer: Any = deepcopy(codec.model.quantizer)
        self.encoder: Any = deepcopy(codec.model.encoder)
        self.channels = codec.channels
        self.bandwidth: float = codec.model.config.target_bandwidths[0]
        _plain(self.encoder)
        self.requires_grad_(False)

    def forward(self, audio: Tensor) -> Tensor:
        """All codes."""
        batch, channels, samples = audio.shape
        rows = self.encoder(audio.reshape(batch * channels, 1, samples))
        codes: Tensor = self.quantizer.encode(rows, self.bandwidth)  # [K / channels, rows, T]
        frames = codes.shape[-1]
        sides = codes.reshape(-1, batch, channels, frames).permute(1, 0, 2, 3)
        return sides.reshape(batch, -1, frames)


class Padded(nn.Module):
    """A convolution with its edges mirrored, for lengths that its stride divides."""

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.conv = _plain_conv(module.conv)
        total = (self.conv.kernel_size[0] - 1) * self.conv.dilation[0] + 1 - self.conv.stride[0]
        self.right = total // 2
        self.left = total - self.right
        self.mode: str = module.pad_mode

    def forward(self, x: Tensor) -> Tensor:
        """As long as ``x``, by the stride."""
        found: Tensor = self.conv(F.pad(x, (self.left, self.right), self.mode))
        return found


def _plain(module: nn.Module) -> None:
    """Put convolutions with plain weights in the place of normed ones."""
    for name, child in module.named_children():
        if isinstance(child, EncodecConv1d):
            setattr(module, name, Padded(child))
        elif isinstance(child, nn.ConvTranspose1d):
            setattr(module, name, _plain_conv(child))
        else:
            _plain(child)


def _plain_conv(conv: Any) -> nn.Module:
    """Another one, with the weight that this one's norm makes.

    Copies of a normed module share its class, so its norm can't be taken off in a copy alone.
    """
    kind: Any = nn.ConvTranspose1d if isinstance(conv, nn.ConvTranspose1d) else nn.Conv1d
    made: nn.Module = kind(
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size,
        conv.stride,
        dilation=conv.dilation,
        bias=conv.bias is not None,
    )
    made.load_state_dict(
        {"weight": conv.weight} | ({} if conv.bias is None else {"bias": conv.bias})
    )
    return made
