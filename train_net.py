#!/usr/bin/env python
"""Train or evaluate what a LazyConfig file describes; see `sampling_free/commands/train.py`."""

import sys

from sampling_free.commands.train import main

if __name__ == "__main__":
    sys.exit(main())
