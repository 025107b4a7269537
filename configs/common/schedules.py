"""Multipliers of the learning rate over a run, from 0 to 1."""

from fvcore.common.param_scheduler import CompositeParamScheduler, LinearParamScheduler, MultiStepParamScheduler

from sampling_free.config import LazyCall as L


def steps(max_iter, milestones, warmup=500, start=1 / 3):
    """`warmup` iterations from `start` to 1, then a tenth of the rate after each milestone; the papers' recipe."""
    values = [0.1**i for i in range(len(milestones) + 1)]
    share, rest = warmup / max_iter, max_iter - warmup
    return L(CompositeParamScheduler)(
        schedulers=[
            L(LinearParamScheduler)(start_value=start, end_value=1.0),
            L(MultiStepParamScheduler)(values=values, num_updates=rest, milestones=[m - warmup for m in milestones]),
        ],
        lengths=[share, 1 - share],
        interval_scaling=["rescaled", "rescaled"],
    )


coco_1x = steps(90_000, [60_000, 80_000])  # 12 epochs of 118,000 images at batch 16
coco_2x = steps(180_000, [120_000, 160_000])
voc_07_12 = steps(18_000, [12_000, 16_000])  # 17 epochs of 16,551 images at batch 16
