"""What a detector's results say, from COCO files alone: thresholds, confusion, kinds of mistakes, and a report."""

from sampling_free.analysis.bootstrap import paired_interval
from sampling_free.analysis.confusion import confusion_matrix
from sampling_free.analysis.errors import error_types
from sampling_free.analysis.matching import Findings, find
from sampling_free.analysis.report import write_report
from sampling_free.analysis.thresholds import Curve, best_threshold, threshold_curve

__all__ = [
    "Curve",
    "Findings",
    "best_threshold",
    "confusion_matrix",
    "error_types",
    "find",
    "paired_interval",
    "threshold_curve",
    "write_report",
]
