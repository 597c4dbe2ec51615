"""The RWKV-7 family: next tokens of music from a state of constant size.

Importing this package or its `family` brings in neither numba nor torch; each runtime is imported
when it is asked for.
"""
