"""``python -m engine``: a door to ``sideman serve``, and nothing else."""

import sys

from bridge.cli import main

sys.exit(main(["serve", *sys.argv[1:]]))
