"""What goes where: combinations that make no sense are refused when a model is built."""

from torch import nn

from sampling_free.errors import UserError
from sampling_free.heuristics.focal import FocalLoss
from sampling_free.heuristics.ghm import GHMC, GHMR
from sampling_free.heuristics.sampling import HardSampling
from sampling_free.mechanism import AllExamples, SigmoidCrossEntropy

_HEADS = {"rpn": "a region proposal network", "roi": "an RoI head", "cascade": "the RoI heads of Cascade R-CNN"}


def check_sampling(choice: object, head: str) -> None:
    """Refuse what is no choice of examples, or none for this head.

    Args:
        choice: what was passed as `sampling`.
        head: "rpn", "roi" or "cascade".

    Raises:
        UserError: saying where it belongs.
    """
    name = type(choice).__name__
    if isinstance(choice, nn.Module) or not callable(choice):
        raise UserError(f"sampling= takes a choice of examples such as AllExamples(), but {name} is none")
    heads = getattr(choice, "heads", tuple(_HEADS))
    if head not in heads:
        places = " or ".join(_HEADS[place] for place in heads)
        raise UserError(f"{name} makes no sense in {_HEADS[head]}; it is for {places}")


def check_dense_losses(
    classification_loss: object | None, box_loss: object | None, detector: str, *, boxes_by: str | None = None
) -> None:
    """Refuse losses that make no sense in a dense head.

    Args:
        classification_loss: what was passed as such; None is the detector's own.
        box_loss: the same.
        detector: its name.
        boxes_by: what that detector trains its boxes by, where no loss of coded boxes can take its place.

    Raises:
        UserError: saying what the detector takes instead.
    """
    name = type(classification_loss).__name__
    if isinstance(classification_loss, HardSampling | AllExamples):
        raise UserError(
            f"{name} chooses examples of a two-stage model; {detector} trains on every one, with "
            f"classification_loss=SigmoidCrossEntropy(), FocalLoss() or GHMC()"
        )
    if isinstance(classification_loss, GHMR) or not (classification_loss is None or callable(classification_loss)):
        raise UserError(f"{name} is no classification loss; {detector} takes SigmoidCrossEntropy, FocalLoss or GHMC")
    if box_loss is None:
        return
    name = type(box_loss).__name__
    if boxes_by is not None:
        raise UserError(
            f"{name} makes no sense in {detector}, which trains its boxes by {boxes_by}; leave box_loss= out"
        )
    if isinstance(box_loss, SigmoidCrossEntropy | FocalLoss | GHMC | HardSampling) or not callable(box_loss):
        raise UserError(f"{name} is no box loss; {detector} takes box_loss=GHMR(), or its own without it")
