"""Notes as tokens: the vocabulary of a model folder, the encoder, and the grammar of a take."""
