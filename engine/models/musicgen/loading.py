"""Which layout a folder has, and its network where it will compute."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.errors import Code, SidemanError
from engine.models.musicgen import audiocraft, weights
from engine.models.musicgen.checkpoint import Checkpoint, placed, quiet
from engine.models.musicgen.layout import CONFIG_JSON, weights_files


def load_checkpoint(folder: Path, *, device: str = "cpu", precision: str = "auto") -> Checkpoint:
    """Load a folder in whichever layout it has.

    Raises ``unknown-model`` where there is no MusicGen, or one of a family that is not played;
    ``bad-file`` for files that are damaged, lack tensors, have too many, or could run code.
    """
    weights_files(folder)
    load = weights.load if (folder / CONFIG_JSON).is_file() else audiocraft.load
    found = load(folder)
    _check_codec(folder, found.network)
    with quiet():
        placed(found.network, folder, device, precision)
    return found


def _check_codec(folder: Path, network: Any) -> None:
    """Raise ``bad-file`` for a codec whose codes are not those that the decoder makes."""
    codec, decoder = network.audio_encoder, network.config.decoder
    bandwidth = codec.config.target_bandwidths[0]
    books = codec.quantizer.get_num_quantizers_for_bandwidth(bandwidth) * decoder.audio_channels
    if (books, codec.config.codebook_size) != (decoder.num_codebooks, decoder.vocab_size):
        raise SidemanError(
            Code.BAD_FILE,
            f"{folder.name} makes {decoder.num_codebooks} codes of {decoder.vocab_size} a frame, "
            f"and its codec knows {books} of {codec.config.codebook_size}: use the codec that it "
            "was trained with",
        )
