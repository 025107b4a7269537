"""Every config of this host: built small, fed by its own data pipeline, trained a step, and asked for detections."""

import ast
import copy
import functools
import re
from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("detectron2", reason="detectron2 is not installed: `make setup-detectron2`")

import cv2
import numpy as np
import torch
from detectron2.config import LazyCall as L
from detectron2.config import LazyConfig, instantiate
from detectron2.data import DatasetCatalog, MetadataCatalog, get_detection_dataset_dicts
from detectron2.evaluation import PascalVOCDetectionEvaluator
from detectron2.layers import Conv2d, ModulatedDeformConv, ShapeSpec
from detectron2.structures import BoxMode
from detectron2.utils.events import EventStorage
from torchvision.models import resnext101_64x4d

from sampling_free import config
from sampling_free.detectors import DeformableConv
from sampling_free.detectron2 import counted_head, fit_prior, make_sampling_free
from sampling_free.detectron2.models import host_config
from sampling_free.detectron2.train.evaluation import CocoEvaluator
from sampling_free.detectron2.train.loading import train_loader
from sampling_free.mechanism import scale_parameters
from tests.detectron2 import small

ROOT = Path(__file__).parents[2]
ENGINE = "sampling_free.detectron2.train.engine"
KEYS = ("dataloader", "engine", "lr_multiplier", "model", "optimizer", "train")
CONFIGS = ROOT / "configs" / "detectron2"


FILES = sorted(CONFIGS.glob("*.py"))
VARIANTS = [f"{file.name}:{variant}" for file in FILES for variant in config.variants(file)]
SIZE = 64  # short side of the images


@functools.cache
def _loaded(name):
    return config.load(CONFIGS / name, required=())


def load(name):
    """A config of one's own; loading one runs half a dozen files."""
    return copy.deepcopy(_loaded(name))


def each(names):
    return pytest.mark.parametrize("name", names)


def twin(name):
    """A config's baseline."""
    return f"{name}_baseline"


PAIRS = [name for name in VARIANTS if twin(name) in VARIANTS]
PAPERS = [name for name in VARIANTS if ":papers_" in name]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The name of a registered data set of three images, the last without objects."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    items = []
    for index in range(3):
        file = folder / f"{index}.png"
        cv2.imwrite(str(file), rng.integers(0, 255, (96, 128, 3), dtype=np.uint8))
        x, y = 10 + 20 * index, 8
        box = {
            "bbox": [x, y, x + 50, y + 60],
            "bbox_mode": BoxMode.XYXY_ABS,
            "category_id": index,
            "segmentation": [[x, y, x + 50, y, x + 50, y + 60, x, y + 60]],
        }
        items.append(
            dict(file_name=str(file), image_id=index, height=96, width=128, annotations=[box] if index < 2 else [])
        )
    DatasetCatalog.register("three_images", lambda: items)
    MetadataCatalog.get("three_images").set(thing_classes=["a", "b", "c"])
    yield "three_images"
    DatasetCatalog.remove("three_images")
    MetadataCatalog.remove("three_images")


def shrink_backbone(backbone):
    """In place; without weights to download."""
    if "weights" in backbone:
        backbone.weights = None
    bottom_up = backbone.get("bottom_up")
    stages = "" if bottom_up is None else str(bottom_up.get("stages"))
    if "make_default_stages" in stages or "DeformBottleneckBlock" in stages:  # which runs on GPUs alone
        small.shrink_resnet(bottom_up)
        if backbone.top_block.get("in_channels") == 2048:
            backbone.top_block.in_channels = small.TOP


def shrink(cfg, data):
    """The same config with a small backbone and box head, on small images of a small data set."""
    node = cfg.model
    shrink_backbone(node.backbone)
    if "proposal_generator" in node:
        node.proposal_generator.post_nms_topk = [100, 50]
        heads = node.roi_heads
        cascade = "box_heads" in heads
        for head in heads.box_heads if cascade else [heads.box_head]:
            head.fc_dims = [small.WIDTH]
        for predictor in heads.box_predictors if cascade else [heads.box_predictor]:
            predictor.input_shape = ShapeSpec(channels=small.WIDTH)
    for split in ("train", "test"):
        loader = cfg.dataloader[split]
        if "names" not in loader.dataset:  # opened by a split of ours
            loader.dataset = L(get_detection_dataset_dicts)(names=data, filter_empty=False)
        loader.dataset.names = data
        loader.num_workers = 0
        for augmentation in loader.mapper.augmentations:
            if "short_edge_length" in augmentation:
                augmentation.update(short_edge_length=SIZE, max_size=2 * SIZE)
    cfg.dataloader.train.total_batch_size = 2
    return cfg


def built(cfg):
    """Model and optimiser."""
    torch.manual_seed(0)
    model = config.instantiate(cfg.model, "model")
    call = config.plain(cfg.optimizer)
    call["params"]["model"] = model
    return model, config.instantiate(call, "optimizer")


@each(VARIANTS)
def test_config_trains_a_step_and_detects(name, data):
    cfg = shrink(load(name), data)
    assert set(KEYS) <= set(cfg)
    model, optimizer = built(cfg)
    loader = config.instantiate(cfg.dataloader.train, "dataloader.train")
    if cfg.train.prior == "auto" and counted_head(model) is not None:
        fit_prior(model, loader, num_images=2)
    scales = {id(parameter) for parameter in scale_parameters(model)}
    groups = [group for group in optimizer.param_groups if any(id(p) in scales for p in group["params"])]
    assert all(group["weight_decay"] == 0 for group in groups) and bool(groups) == bool(scales)
    before = {name: weight.detach().clone() for name, weight in model.named_parameters() if weight.requires_grad}
    items = next(iter(loader))
    with EventStorage():
        _, gradients = small.losses_and_gradients(model, items)
    assert all(gradients[name] is not None for name in before)
    optimizer.step()
    assert all(torch.isfinite(weight).all() for weight in model.parameters())
    moved = [name for name, weight in model.named_parameters() if not torch.equal(weight, before.get(name, weight))]
    assert len(moved) > len(before) / 2
    with torch.no_grad():
        found = model.eval()(next(iter(config.instantiate(cfg.dataloader.test, "dataloader.test"))))
    assert found[0]["instances"].image_size == (96, 128)


@each(VARIANTS)
def test_rate_rises_and_falls(name):
    multiplier = config.instantiate(load(name).lr_multiplier, "lr_multiplier")
    values = [multiplier(i / 2000) for i in range(2000)]
    assert max(values) == pytest.approx(1) and values[0] < 1 and 0 < values[-1] <= 0.1 + 1e-9


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_config_says_what_its_variants_are_and_what_they_cost(file):
    words = ast.get_docstring(ast.parse(file.read_text()))
    assert re.search(r"minutes|[Mm]inutes", words) and ("--num-gpus 8" in words or file.stem == "blood_cells")
    assert not re.search(r"\d\d\.\d", words) or "theirs" in words
    named = re.findall(r"`([\w.]+)`", words)
    for variant, first_line in config.variants(file).items():
        assert first_line, f"{variant} says nothing of itself"
        family = any(variant.startswith(n[:-3]) or variant.endswith(n[3:]) for n in named if "..." in n)
        assert variant in named or family, f"{variant} is not in the table"


def test_each_variant_writes_to_a_folder_that_has_its_name():
    for name in VARIANTS:
        file, _, variant = name.partition(".py:")
        assert load(name).train.output_dir == f"output/detectron2/{file}/{variant}"


def test_the_loader_and_the_evaluator_of_a_config_are_those_that_run():
    for name in VARIANTS:
        data = load(name).dataloader
        assert data.train._target_ is train_loader, name
        assert data.evaluator._target_ in (CocoEvaluator, PascalVOCDetectionEvaluator), name


def test_every_row_of_the_papers_has_a_config_and_a_baseline():
    coco = {
        *(f"retinanet.py:{form}" for form in ("R_50_FPN_1x", "R_101_FPN_1x", "R_101_FPN_2x")),
        *(f"faster_rcnn.py:{form}" for form in ("R_50_FPN_1x", "R_101_FPN_1x", "R_101_FPN_2x")),
        "fcos.py:R_50_FPN_1x",
        "mask_rcnn.py:R_50_FPN_1x",
    }
    here = {
        "cascade_rcnn.py:R_50_FPN_1x",
        "cascade_rcnn.py:R_101_FPN_1x",
        "retinanet.py:R_50_FPN_voc",
        "faster_rcnn.py:R_50_FPN_voc",
    }
    assert coco | here | {name.replace(":", ":papers_") for name in coco} <= set(PAIRS)


def test_every_row_of_the_page_of_the_papers_is_a_variant():
    rows = re.findall(r"^\| `(\w+\.py:\w+)`", (ROOT / "docs" / "papers.md").read_text(), re.MULTILINE)
    assert len(rows) > 20 and set(rows) <= set(VARIANTS)


@each([name for name in PAIRS if name not in PAPERS and "shapes" not in name and "blood" not in name])
def test_a_comparison_differs_in_the_method_alone(name):
    ours, baseline = load(name), load(twin(name))
    assert ours.dataloader.train.dataset.pop("filter_empty") is False  # images without objects train
    assert ours.optimizer.params.pop("overrides")
    for cfg in (ours, baseline):
        del cfg["model"]
        del cfg.train["output_dir"]
        cfg.train.pop("prior")  # which counts for sampling-free models alone
    assert config.plain(ours) == config.plain(baseline)


@each(PAPERS)
def test_the_papers_recipe_is_that_of_their_code(name):
    cfg = load(name)
    assert cfg.dataloader.train.mapper.augmentations[0].short_edge_length == [800]
    assert cfg.dataloader.train.dataset.filter_empty
    assert cfg.dataloader.train.total_batch_size == 16
    rate = config.instantiate(cfg.lr_multiplier)
    end, constant = cfg.train.max_iter, "fcos" in name
    at = {0: 1 / 3, 250: 1 / 3 if constant else 2 / 3, 501: 1, end // 3 * 2 + 1: 0.1, end // 9 * 8 + 1: 0.01}
    assert {i: rate(i / end) for i in at} == pytest.approx(at, rel=1e-3)
    assert cfg.optimizer.lr == (0.02 if "roi_heads" in cfg.model else 0.01)


@each([name for name in PAPERS if "R_101" not in name])
def test_biases_of_the_papers_learn_twice_as_fast_without_decay(name, data):
    cfg = shrink(load(name), data)
    model, optimizer = built(cfg)
    of = {id(parameter): group for group in optimizer.param_groups for parameter in group["params"]}
    for name, parameter in model.named_parameters():
        if name.endswith(".bias"):
            assert of[id(parameter)]["lr"] == 2 * cfg.optimizer.lr and of[id(parameter)]["weight_decay"] == 0, name


@pytest.mark.parametrize("form", ["", "_baseline"])
def test_box_losses_of_the_papers(form):
    retinanet, faster, mask, fcos = (
        load(f"{name}.py:papers_R_50_FPN_1x{form}").model for name in ("retinanet", "faster_rcnn", "mask_rcnn", "fcos")
    )
    assert (retinanet.smooth_l1_beta, retinanet.box2box_transform.weights) == (0.11, [10, 10, 5, 5])
    assert retinanet.normalizer.localization_weight == 1 / 4
    assert fcos.center_sampling_radius == float("inf")
    for model in (faster, mask):
        assert model.proposal_generator.smooth_l1_beta == pytest.approx(1 / 9)
        assert model.proposal_generator.anchor_boundary_thresh == 0
        assert model.roi_heads.box_predictor.smooth_l1_beta == 1
        assert model.roi_heads.box_pooler.pooler_type == "ROIAlign"
    assert mask.roi_heads.mask_pooler.sampling_ratio == 2


@pytest.mark.parametrize("name", ["retinanet", "fcos"])
def test_the_papers_one_stage_baselines_are_focal_loss(name):
    cfg = load(f"{name}.py:papers_R_50_FPN_1x_baseline")
    assert "FocalLoss" in str(cfg.model.classification_loss) and cfg.train.prior is None
    assert (cfg.model.scaling.w, cfg.model.head.prior_prob) == (1, 0.01)


@each([name for name in VARIANTS if "R_101" in name])
def test_resnet101_is_one(name):
    cfg = load(name)
    assert cfg.model.backbone.bottom_up.stages.depth == 101 and cfg.train.init_checkpoint.endswith("MSRA/R-101.pkl")
    assert cfg.train.max_iter == (180_000 if "2x" in name else 90_000)


MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # ImageNet's, RGB


@each(VARIANTS)
def test_images_are_normalised_in_the_order_that_they_are_read(name):
    cfg = load(name)
    formats = {cfg.dataloader[split].mapper.image_format for split in ("train", "test")}
    order = {"RGB": 1, "BGR": -1}[formats.pop()]
    assert not formats and tuple(cfg.model.pixel_mean) == MEAN[::order]
    assert tuple(cfg.model.pixel_std) in {STD[::order], (1, 1, 1) if order < 0 else STD}  # MSRA's weights have it


@each([name for name in VARIANTS if "X_101" in name])
def test_resnext101_is_torchvision_s_and_deformable_where_the_papers_model_is(name):
    with torch.device("meta"):
        model, host = config.instantiate(load(name).model, "model"), resnext101_64x4d(num_classes=1)
    ours = model.backbone.bottom_up
    host.fc = None
    assert kernels(host) == kernels(ours, but="offset")
    for stage, kind in (
        ("res2", Conv2d),
        ("res3", Conv2d),
        ("res4", ModulatedDeformConv),
        ("res5", ModulatedDeformConv),
    ):
        middle = [block.conv2 for block in getattr(ours, stage)]
        assert {(type(conv), conv.groups) for conv in middle} == {(kind, 64)}
    for tower in (model.head.head.class_tower, model.head.head.box_tower):
        assert [isinstance(layer, DeformableConv) for layer in tower[::3]] == [False, False, False, True]


def kernels(model, but="none"):
    """How often each shape of a convolution's weights is there."""
    return Counter(tuple(w.shape) for name, w in model.named_parameters() if w.ndim == 4 and but not in name)


@pytest.mark.parametrize("name", ["retinanet", "faster_rcnn"])
def test_voc_is_detectron2_s_own(name):
    cfg = load(f"{name}.py:R_50_FPN_voc")
    assert cfg.dataloader.train.dataset.names == ["voc_2007_trainval", "voc_2012_trainval"]
    assert cfg.dataloader.evaluator.dataset_name == cfg.dataloader.test.dataset.names == "voc_2007_test"
    head = cfg.model.roi_heads.box_predictor if "roi_heads" in cfg.model else cfg.model.head
    assert head.num_classes == 20 and cfg.train.max_iter == 18_000
    rate = config.instantiate(cfg.lr_multiplier)
    at = {0: 0.001, 101: 1, 11_999: 1, 12_001: 0.1, 16_001: 0.01}
    assert {i: rate(i / 18_000) for i in at} == pytest.approx(at, rel=1e-3)


@pytest.mark.parametrize("form", ["", "papers_"])
def test_ablation_replaces_and_keeps_what_it_says(form):
    rpn, roi, both = (True, False), (False, True), (True, True)
    expected = dict(rpn_only=rpn, roi_only=roi, rpn_biased=rpn, roi_biased=roi, both_biased=both)
    models = {stem: load(f"faster_rcnn.py:{form}{stem}").model for stem in expected}
    names = {
        stem: (str(model.proposal_generator._target_), str(model.roi_heads._target_)) for stem, model in models.items()
    }
    free = {stem: tuple("SamplingFree" in name for name in pair) for stem, pair in names.items()}
    assert {stem: free[stem] for stem in expected} == expected
    for stem, (in_rpn, in_roi) in expected.items():
        parts = [models[stem].proposal_generator] * in_rpn + [models[stem].roi_heads] * in_roi
        kept = ["BiasedSampling" in str(part.sampling) and "PerExample" in str(part.normalizer) for part in parts]
        assert kept == ["biased" in stem] * len(parts)


@pytest.mark.parametrize("name", ["retinanet.py:R_50_FPN_1x", "mask_rcnn.py:R_50_FPN_1x", "paa.py:shapes"])
def test_detectron2_s_config_tools_print_save_and_load_a_converted_config(name, tmp_path):
    cfg = load(name)
    assert "SamplingFree" in LazyConfig.to_py(cfg) or "PAA" in LazyConfig.to_py(cfg)
    LazyConfig.save(cfg, str(tmp_path / "config.yaml"))
    again = LazyConfig.load(str(tmp_path / "config.yaml"))
    with torch.device("meta"):
        pair = [instantiate(node.model) for node in (cfg, again)]
    assert list(pair[0].state_dict()) == list(pair[1].state_dict())


def test_a_model_node_that_was_read_from_yaml_converts(tmp_path):
    cfg = host_config("COCO-Detection/retinanet_R_50_FPN_1x.py")
    LazyConfig.save(cfg, str(tmp_path / "config.yaml"))
    model = LazyConfig.load(str(tmp_path / "config.yaml")).model
    make_sampling_free(model)
    assert "SamplingFreeRetinaNet" in str(model._target_)
