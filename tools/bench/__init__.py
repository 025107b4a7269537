"""Time and memory of what this project does, beside what it replaces: `make bench`."""

import os

# torch's profiler, which counts memory here, otherwise writes two lines at each use
os.environ.setdefault("KINETO_LOG_LEVEL", "99")
