"""Real images: blood cells, where the data lie in $BCCD_ROOT or in shared/data/bccd beside the checkout."""

import math
import os
from pathlib import Path

import pytest
import torch

from sampling_free import config
from sampling_free.torchvision.train import engine
from sampling_free.torchvision.train.datasets import CocoDetection, VocDetection
from tests.torchvision.runs import ROOT

CONFIGS = ROOT / "configs" / "torchvision" / "blood_cells.py"
BCCD = Path(os.environ.get("BCCD_ROOT") or ROOT.parent / "shared" / "data" / "bccd")
CLASSES = ["RBC", "WBC", "Platelets"]

pytestmark = [
    pytest.mark.skipif(not BCCD.is_dir(), reason=f"no blood cells: set BCCD_ROOT, or put them at {BCCD}"),
    pytest.mark.filterwarnings("default"),  # Lightning's own warnings are not what is tested
]


@pytest.mark.parametrize("split", ["train", "test"])
def test_voc_s_layout_and_coco_s_files_hold_the_same_boxes(split):
    coco = CocoDetection(BCCD, "JPEGImages", f"annotations/instances_{split}.json")
    voc = VocDetection(BCCD, [[".", split]], classes=CLASSES)
    assert coco.categories == voc.categories == CLASSES
    assert [coco.image_path(i).name for i in range(len(coco))] == [voc.image_path(i).name for i in range(len(voc))]
    for index in range(0, len(coco), 12):
        (image, target), (same, other) = coco[index], voc[index]
        assert torch.equal(image, same) and image.shape == (3, 480, 640)
        # the makers of the COCO files left out boxes of one pixel or less
        kept = (other["boxes"][:, 2:] - other["boxes"][:, :2] > 1).all(dim=1)
        assert torch.equal(target["boxes"], other["boxes"][kept])
        assert torch.equal(target["labels"], other["labels"][kept])


@pytest.mark.parametrize("name", ["retinanet", "faster_rcnn_voc"])
def test_a_few_iterations_train_and_are_evaluated(name, tmp_path):
    """Each detector from another layout; smaller than in the project, for it is the data that is tested."""
    overrides = [f"dataloader.{split}.dataset.root={BCCD}" for split in ("train", "test")]
    overrides += [f"train.output_dir={tmp_path}", "train.max_iter=3", "train.log_period=1", "train.eval_period=0"]
    overrides += ["dataloader.train.num_workers=0", "model.size=64", "model.smallest=8"]
    cfg = config.load(f"{CONFIGS}:{name}", overrides)
    metrics = engine.train(cfg)
    assert 0 <= metrics["bbox/AP"] < 20 and {f"bbox/AP-{c}" for c in CLASSES} <= set(metrics)
    rows = (tmp_path / "metrics.csv").read_text().splitlines()
    total = rows[0].split(",").index("total_loss")
    assert [math.isfinite(float(row.split(",")[total])) for row in rows[1:]] == [True] * 3
    assert {file.name for file in (tmp_path / "pictures").iterdir()} >= {"first_batches.jpg", "predictions.jpg"}
    assert (tmp_path / "coco_results_bbox.json").is_file()
