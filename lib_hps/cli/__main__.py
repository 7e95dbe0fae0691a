"""`python -m lib_hps.cli`, for `accelerate launch -m lib_hps.cli score ...`."""

from __future__ import annotations

import sys

from lib_hps.cli import main

if __name__ == "__main__":
    sys.exit(main())
