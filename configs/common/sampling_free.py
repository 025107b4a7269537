"""The method as importable nodes: each takes a model node of torchvision's and gives its sampling-free form."""

from sampling_free.config import LazyCall as L
from sampling_free.mechanism import FrozenScaling, GuidedScaling, LearnedScaling
from sampling_free.torchvision import make_sampling_free


def sampling_free(model, **choices):
    """The default of `make_sampling_free`: v2 for one-stage models, v1 for two-stage ones."""
    return L(make_sampling_free)(model=model, **choices)


def v1(model):
    """Guided scaling (v1)."""
    return sampling_free(model, scaling=L(GuidedScaling)())


def v2(model):
    """Guided and learned scaling (v2 Eq. 24)."""
    return sampling_free(model, scaling=L(LearnedScaling)())


def released(model, num_losses=2):
    """What the authors' released code does."""
    return sampling_free(model, scaling=L(FrozenScaling)(num_losses=num_losses))
