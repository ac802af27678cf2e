"""``python -m lightning_stdim``."""

import sys

from lightning_stdim.cli import main

if __name__ == "__main__":
    sys.exit(main())
