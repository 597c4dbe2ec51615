"""The RWKV-4 family: models of an earlier day, played in numpy.

Nothing here trains them; checkpoints come in by ``sideman train import``.
"""
