"""Train object detectors on every example, without a sampling heuristic.

The papers' mechanism is here; the two hosts are `sampling_free.detectron2` and `sampling_free.torchvision`, imported by
whoever wants one. Importing this package loads neither.
"""

from sampling_free.errors import UserError
from sampling_free.mechanism import *  # noqa: F403 - the public surface, named once in the mechanism's __all__
from sampling_free.mechanism import __all__ as _mechanism

__all__ = [*_mechanism, "UserError"]
