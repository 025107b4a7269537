"""Tests of the detectron2 host; skipped where detectron2 is not installed."""

import contextlib
import warnings

# detectron2 and fvcore warn when they are imported (pkg_resources, torch.jit.script), which is an error to pytest
with warnings.catch_warnings(), contextlib.suppress(ImportError):
    warnings.simplefilter("ignore")
    import detectron2.model_zoo  # noqa: F401
    import detectron2.modeling.meta_arch.fcos  # noqa: F401
