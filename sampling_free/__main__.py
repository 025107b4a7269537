"""`python -m sampling_free`: the command line."""

import sys

from sampling_free.commands.main import main

if __name__ == "__main__":
    sys.exit(main())
