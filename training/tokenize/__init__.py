"""MIDI files to a token data set: cleaned, encoded by miditok, split, and written whole."""

from training.tokenize.config import Cleaning, Piece, TokenizeConfig, Vocabulary
from training.tokenize.run import Summary, make, tokenize
from training.tokenize.tokenizer import make_tokenizer, save_tokenizer, unplayable

__all__ = [
    "Cleaning",
    "Piece",
    "Summary",
    "TokenizeConfig",
    "Vocabulary",
    "make",
    "make_tokenizer",
    "save_tokenizer",
    "tokenize",
    "unplayable",
]
