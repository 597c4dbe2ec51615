"""How good a model is: how well it predicts music that it has not heard, and how it plays on."""

from training.evaluate.network import Network, mean_bits, report, score, score_piece
from training.evaluate.scoring import Predictor, Score, score_with

__all__ = [
    "Network",
    "Predictor",
    "Score",
    "mean_bits",
    "report",
    "score",
    "score_piece",
    "score_with",
]
