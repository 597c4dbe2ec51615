"""An evaluation as one HTML page that needs nothing else: plots, tables and piano rolls."""

from training.report.page import prepare, write

__all__ = ["prepare", "write"]
