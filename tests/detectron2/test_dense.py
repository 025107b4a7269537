"""ATSS, PAA, FoveaBox and YOLOv3 on detectron2: the same as on torchvision, from LazyConfig and from YAML."""

import pytest

pytest.importorskip("detectron2", reason="detectron2 is not installed: `make setup-detectron2`")

import torch
from detectron2.config import LazyCall as L
from detectron2.config import get_cfg, instantiate
from detectron2.layers import ShapeSpec
from detectron2.modeling import META_ARCH_REGISTRY, Backbone, build_model
from detectron2.modeling.backbone import BACKBONE_REGISTRY
from detectron2.utils.events import EventStorage

from sampling_free import detectors
from sampling_free.detectron2 import DarkNet53Backbone, add_sampling_free_config, fit_prior, set_prior
from sampling_free.detectron2.dense import Dense
from sampling_free.errors import UserError
from sampling_free.heuristics import FocalLoss
from sampling_free.mechanism import ConstantScaling
from sampling_free.torchvision import DenseModel
from sampling_free.torchvision import fit_prior as fit_prior_of_torchvision
from tests.detectors import small
from tests.detectron2.small import batch

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
ARCHITECTURES = {"atss": "ATSS", "paa": "PAA", "foveabox": "FoveaBox", "yolov3": "YOLOV3"}


class Body(Backbone):
    """The small backbone as one of detectron2's."""

    def __init__(self):
        super().__init__()
        self.body = small.Body()

    def forward(self, x):
        return self.body(x)

    def output_shape(self):
        return {f"p{i}": ShapeSpec(channels=small.WIDTH, stride=2**i) for i in (3, 4, 5)}

    @property
    def size_divisibility(self):
        return 32


def detectron2_model(name, form="sampling-free"):
    kind = META_ARCH_REGISTRY.get(ARCHITECTURES[name])
    return kind(backbone=Body(), head=small.detector(name, form), pixel_mean=MEAN, pixel_std=STD)


def torchvision_model(name, form="sampling-free"):
    """Takes images of 96 px and of 110 x 90 px as they are."""
    model = DenseModel(small.Body(), small.detector(name, form), min_size=96, max_size=128)
    model.transform.resize = lambda image, target=None: (image, target)
    model.transform._skip_resize = True
    return model


def both_batches(empty=()):
    """The same two images for either host."""
    items = batch(empty)
    for item in items:
        item["image"] = item["image"] / 255
    images = [item["image"] for item in items]
    targets = [{"boxes": i["instances"].gt_boxes.tensor, "labels": i["instances"].gt_classes} for i in items]
    return items, images, targets


@pytest.mark.parametrize("empty", [(), (1,)], ids=["boxes", "one image empty"])
@pytest.mark.parametrize(("name", "form"), small.FORMS)
def test_losses_and_detections_are_those_of_torchvision(name, form, empty):
    theirs, ours = torchvision_model(name, form), detectron2_model(name, form)
    items, images, targets = both_batches(empty)
    renamed = {"classification": "loss_cls", "bbox_regression": "loss_box_reg", "bbox_ctrness": "loss_centerness"}
    renamed |= {"bbox_iou": "loss_iou", "objectness": "loss_objectness"}
    expected = theirs.train()(images, targets)
    losses = ours.train()(items)
    assert list(losses) == ["/".join(renamed.get(part, part) for part in key.split("/")) for key in expected]
    for mine, other in zip(losses.values(), expected.values(), strict=True):
        assert torch.equal(mine, other)
    for model in (theirs, ours):
        model.eval().head.score_threshold = 0.0
    for mine, other in zip(ours(items), theirs(images), strict=True):
        found = mine["instances"]
        assert len(found) > 0
        assert torch.equal(found.pred_boxes.tensor, other["boxes"])
        assert torch.equal(found.scores, other["scores"]) and torch.equal(found.pred_classes, other["labels"])


@pytest.mark.parametrize("name", small.BUILDERS)
def test_prior_is_that_of_torchvision(name):
    items, images, targets = both_batches()
    ours, theirs = detectron2_model(name), torchvision_model(name)
    mine = fit_prior(ours, items, num_images=2)
    other = fit_prior_of_torchvision(theirs, list(zip(images, targets, strict=True)), num_images=2)
    assert int(mine.num_foreground) == int(other.num_foreground) > 0
    assert int(mine.num_examples) == int(other.num_examples)
    for model in (ours, theirs):
        assert model.head.score_threshold == pytest.approx(mine.score_threshold)
        for layer in model.head.head.classifiers:
            torch.testing.assert_close(layer.bias.sigmoid(), torch.full_like(layer.bias, mine.prior))


def test_prior_as_a_number():
    model = detectron2_model("yolov3")
    set_prior(model, 1e-4)
    assert model.head.score_threshold == pytest.approx(3e-4)
    assert all(layer.bias[0].item() == pytest.approx(-9.2102, abs=1e-3) for layer in model.head.head.classifiers)


def test_what_is_logged():
    model = detectron2_model("atss").train()
    with EventStorage() as storage:
        losses = model(both_batches()[0])
    logged = {name: value for name, (value, _) in storage.latest().items()}
    assert {"num_pos_anchors", "raw/loss_cls", "raw/loss_box_reg", "raw/loss_centerness", "ratio", "delta"} <= set(
        logged
    )
    assert losses["loss_cls"].item() == pytest.approx(logged["raw/loss_cls"] * logged["ratio"], rel=1e-4)


def test_wrong_class_is_one_sentence():
    items, *_ = both_batches()
    items[1]["instances"].gt_classes[0] = 3
    for attempt in (lambda model: model(items), lambda model: fit_prior(model, items)):
        with pytest.raises(UserError, match="class 3 of image . of this batch .* num_classes=3"):
            attempt(detectron2_model("paa").train())


@BACKBONE_REGISTRY.register()
def small_body(cfg, input_shape):
    return Body()


def yaml_of(name, *changes):
    cfg = get_cfg()
    add_sampling_free_config(cfg)
    cfg.merge_from_list(
        ["MODEL.META_ARCHITECTURE", ARCHITECTURES[name], "MODEL.DEVICE", "cpu", "MODEL.BACKBONE.NAME", "small_body"]
        + ["MODEL.SAMPLING_FREE.DENSE.NUM_CLASSES", "3", "MODEL.SAMPLING_FREE.DENSE.IN_FEATURES", "['p3', 'p4', 'p5']"]
        + ["MODEL.PIXEL_MEAN", str(list(MEAN)), "MODEL.PIXEL_STD", str(list(STD)), *changes]
    )
    return cfg


@pytest.mark.parametrize("name", small.BUILDERS)
def test_from_yaml(name):
    cfg = yaml_of(name, "MODEL.SAMPLING_FREE.SCALING", "ConstantScaling(w=0.5)", "TEST.DETECTIONS_PER_IMAGE", "7")
    own = "Objectness()" if name == "yolov3" else "None"
    cfg.MODEL.SAMPLING_FREE.DENSE.QUALITY = own
    if name != "yolov3":
        cfg.MODEL.SAMPLING_FREE.CLASSIFICATION_LOSS = "FocalLoss()"
    model = build_model(cfg)
    assert isinstance(model, Dense) and model.num_classes == 3
    assert isinstance(model.head.scaling, ConstantScaling) and model.head.scaling.w == 0.5
    assert isinstance(model.head.classification_loss, FocalLoss) == (name != "yolov3")
    assert model.head.normalizer.localization_weight == {"atss": 2.0, "paa": 1.3}.get(name, 1.0)
    items, *_ = both_batches()
    losses = model.train()(items)
    assert ("loss_objectness" in losses) == (name == "yolov3")
    sum(losses.values()).backward()
    model.head.score_threshold = 0.0
    assert len(model.eval()(items)[0]["instances"]) == 7


@pytest.mark.parametrize("name", small.BUILDERS)
def test_box_loss_from_yaml(name):
    cfg = yaml_of(name, "MODEL.SAMPLING_FREE.BOX_LOSS", "GHMR(mu=0.1)")
    if name == "foveabox":
        assert build_model(cfg).head.box_loss.loss.mu == 0.1
    else:
        with pytest.raises(UserError, match="GHMR makes no sense in"):
            build_model(cfg)


def test_darknet53_from_lazy_config_and_yaml():
    head = L(detectors.yolov3)(num_classes=3, in_channels=[256, 512, 1024])
    node = L(META_ARCH_REGISTRY.get("YOLOV3"))(
        backbone=L(DarkNet53Backbone)(weights=None), head=head, pixel_mean=MEAN, pixel_std=STD
    )
    lazy = instantiate(node)
    cfg = get_cfg()
    add_sampling_free_config(cfg)
    cfg.merge_from_list(
        ["MODEL.META_ARCHITECTURE", "YOLOV3", "MODEL.DEVICE", "cpu", "MODEL.BACKBONE.NAME", "build_darknet53_backbone"]
        + ["MODEL.SAMPLING_FREE.DENSE.NUM_CLASSES", "3", "MODEL.SAMPLING_FREE.DENSE.IN_FEATURES", "['c3', 'c4', 'c5']"]
    )
    model = build_model(cfg)
    assert {k: v.shape for k, v in model.state_dict().items()} == {k: v.shape for k, v in lazy.state_dict().items()}
    shapes = lazy.backbone.output_shape()
    features = lazy.backbone.eval()(torch.zeros(1, 3, 64, 64))
    for name, shape in shapes.items():
        assert features[name].shape == (1, shape.channels, 64 // shape.stride, 64 // shape.stride)
    assert lazy.head_in_features == ["c3", "c4", "c5"]
