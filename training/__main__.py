"""``python -m training``: a door to ``sideman train``, and nothing else."""

import sys

from bridge.cli import main

sys.exit(main(["train", *sys.argv[1:]]))
