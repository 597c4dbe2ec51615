"""What makes models: data sets, trainer, export and evaluation.

Uses the engine's models; imports nothing of the bridge. Needs the ``train`` extra (torch, miditok).
"""
