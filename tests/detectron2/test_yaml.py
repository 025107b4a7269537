"""The YAML configs, by detectron2's own DefaultTrainer: its command, on a small COCO file."""

import gc
import importlib.util
import json
import pickle
import re
import shlex
import warnings
from pathlib import Path

import pytest

pytest.importorskip("detectron2", reason="detectron2 is not installed: `make setup-detectron2`")

import cv2
import numpy as np
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets import register_coco_instances
from detectron2.modeling import build_model
from detectron2.modeling.meta_arch.fcos import FCOS
from detectron2.utils.events import EventStorage

from sampling_free import config
from sampling_free.detectron2 import SamplingFreeFCOS
from sampling_free.detectron2.train.default_trainer import SamplingFreeTrainer
from sampling_free.detectron2.yacs import dense_choices
from tests.detectron2 import small

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "projects" / "detectron2_yaml" / "configs").glob("*.yaml"))
SCRIPT = ROOT / "projects" / "detectron2_yaml" / "train_yaml.py"
DENSE = {"atss": "R_50_FPN_1x", "paa": "R_50_FPN_1x", "foveabox": "R_50_FPN_1x", "yolov3": "darknet53_500k"}
SMALL = {
    "DATASETS.TRAIN": ("yaml_train",),
    "DATASETS.TEST": ("yaml_train",),
    "DATALOADER.NUM_WORKERS": 0,
    "INPUT.MIN_SIZE_TRAIN": (64,),
    "INPUT.MIN_SIZE_TEST": 64,
    "MODEL.DEVICE": "cpu",
    "MODEL.WEIGHTS": "",
    "MODEL.BACKBONE.FREEZE_AT": 0,
    "MODEL.FPN.OUT_CHANNELS": 64,  # two of each group of FCOS's GroupNorm
    "MODEL.RESNETS.DEPTH": 18,
    "MODEL.RESNETS.NORM": "BN",
    "MODEL.RESNETS.RES2_OUT_CHANNELS": 64,
    "MODEL.RETINANET.NUM_CLASSES": 3,
    "MODEL.ROI_BOX_HEAD.FC_DIM": 16,
    "MODEL.ROI_HEADS.NUM_CLASSES": 3,
    "MODEL.ROI_MASK_HEAD.CONV_DIM": 16,
    "MODEL.RPN.POST_NMS_TOPK_TRAIN": 50,
    "MODEL.SAMPLING_FREE.DENSE.DARKNET_WEIGHTS": "",
    "MODEL.SAMPLING_FREE.DENSE.NUM_CLASSES": 3,
    "SOLVER.IMS_PER_BATCH": 2,
    "SOLVER.MAX_ITER": 2,
    "SOLVER.STEPS": (),
    "SEED": 1,
}
pytestmark = [
    pytest.mark.filterwarnings("ignore:The 'warn' method is deprecated:DeprecationWarning"),  # detectron2's evaluator
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),  # its set-up, and its writers after an error
]

_spec = importlib.util.spec_from_file_location("train_yaml", SCRIPT)
train_yaml = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(train_yaml)


@pytest.fixture(scope="module", autouse=True)
def data(tmp_path_factory):
    """Three images with equal boxes, so that counting is soon done, registered as a COCO data set."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for index in range(3):
        cv2.imwrite(str(folder / f"{index}.png"), rng.integers(0, 255, (64, 96, 3), dtype=np.uint8))
        images.append(dict(id=index + 1, file_name=f"{index}.png", width=96, height=64))
        box = dict(bbox=[8, 10, 40, 40], segmentation=[[8, 10, 48, 10, 48, 50, 8, 50]], area=1600, iscrowd=0)
        annotations.append(dict(box, id=index + 1, image_id=index + 1, category_id=index + 1))
    categories = [dict(id=i + 1, name=name) for i, name in enumerate("abc")]
    file = folder / "train.json"
    file.write_text(json.dumps(dict(images=images, annotations=annotations, categories=categories)))
    register_coco_instances("yaml_train", {}, str(file), str(folder))
    yield
    DatasetCatalog.remove("yaml_train")
    MetadataCatalog.remove("yaml_train")


@pytest.fixture(autouse=True)
def nothing_left_open():
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def arguments_of(file):
    """The options of the command that a file begins with."""
    return ["--zoo", re.search(r"--zoo (\S+)", file.read_text())[1], "--config-file", str(file)]


def run(output, *arguments, **overrides):
    pairs = {**SMALL, "OUTPUT_DIR": str(output), **overrides}
    assert train_yaml.main([*arguments, *(str(item) for pair in pairs.items() for item in pair)]) == 0


def weights(output, name="model_final"):
    return torch.load(output / f"{name}.pth")["model"]


def metrics(output):
    """All that a run logged, the last value of each name."""
    logged = {}
    for line in (output / "metrics.json").read_text().splitlines():
        logged |= json.loads(line)
    return logged


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_yaml_trains_and_evaluates(file, tmp_path):
    assert f"--config-file projects/detectron2_yaml/configs/{file.name}" in file.read_text()
    run(tmp_path, *arguments_of(file))
    state = weights(tmp_path)
    (prefix,) = {name.partition("statistics.")[0] for name in state if "statistics." in name}
    foreground, examples = (int(state[f"{prefix}statistics.num_{what}"]) for what in ("foreground", "examples"))
    assert 0 < foreground < examples / 10
    losses = {name: value for name, value in metrics(tmp_path).items() if "loss" in name}
    assert any(name.startswith("raw/") for name in losses) and all(np.isfinite(list(losses.values())))
    # a one-stage detector's threshold is in the checkpoint
    if threshold := {"": "fitted_threshold.value", "head.": "head.fitted_threshold.value"}.get(prefix):
        share = foreground / examples
        # PAA's follows what training finds
        assert float(state[threshold]) == pytest.approx(share, rel=0.1 if file.name == "paa.yaml" else None)


@pytest.mark.parametrize("form", ["", "_baseline"])
@pytest.mark.parametrize("name", DENSE)
def test_a_dense_detector_and_its_baseline_are_those_of_the_lazy_configs(name, form):
    cfg, lazy = configs_of(name, form)
    if name == "yolov3":
        lazy.model.backbone.weights = None
    with torch.device("meta"):
        pair = build_model(cfg), config.instantiate(lazy.model, "model")
    assert modules(pair[0]) == modules(pair[1])
    a, b = (model.head for model in pair)
    assert settings(a.normalizer) == settings(b.normalizer) and settings(a.suppression) == settings(b.suppression)
    assert all(settings(x) == settings(y) for x, y in zip(a.modules(), b.modules(), strict=True))
    assert_same_recipe(cfg, lazy)


@pytest.mark.parametrize("form", ["", "_baseline"])
def test_fcos_and_its_baseline_are_those_of_the_lazy_configs(form):
    cfg, lazy = configs_of("fcos", form)
    with torch.device("meta"):
        ours, theirs = build_model(cfg), config.instantiate(lazy.model, "model")
    assert cfg.MODEL.RETINANET.SCORE_THRESH_TEST == lazy.model.test_score_thresh
    if form:  # detectron2's FCOS has no parts of ours; what they do instead is the next test
        shapes = [{name: p.shape for name, p in model.named_parameters()} for model in (ours, theirs)]
        assert shapes[0] == shapes[1]
        assert settings(ours).items() >= {(n, v) for n, v in settings(theirs).items() if n != "test_score_thresh"}
    else:
        assert modules(ours) == modules(theirs)
        assert all(settings(x) == settings(y) for x, y in zip(ours.modules(), theirs.modules(), strict=True))
    assert_same_recipe(cfg, lazy)


def test_fcos_s_baseline_trains_and_infers_as_detectron2_s_own():
    pairs = SMALL | {"MODEL.RETINANET.SCORE_THRESH_TEST": 0.005}
    options = [str(item) for pair in pairs.items() for item in pair] + baseline_options("fcos")
    cfg = train_yaml.config_of(train_yaml.parser().parse_args([*arguments_of(file_of("fcos")), *options]))
    ours = build_model(cfg)
    arguments = SamplingFreeFCOS.from_config(cfg)
    host = FCOS(**{name: value for name, value in arguments.items() if name not in dense_choices(cfg)})
    assert not host.load_state_dict(ours.state_dict(), strict=False).missing_keys
    with EventStorage():
        (losses, gradients), expected = (small.losses_and_gradients(model, small.batch()) for model in (ours, host))
    assert {name: loss.item() for name, loss in losses.items()} == pytest.approx(
        {name: loss.item() for name, loss in expected[0].items()}
    )
    for name, gradient in expected[1].items():
        torch.testing.assert_close(gradients[name], gradient)
    with torch.no_grad():
        found, wanted = (model.eval()(small.batch()) for model in (ours, host))
    for mine, other in zip(found, wanted, strict=True):
        assert len(mine["instances"]) > 0
        assert torch.equal(mine["instances"].pred_boxes.tensor, other["instances"].pred_boxes.tensor)
        assert torch.equal(mine["instances"].scores, other["instances"].scores)


def file_of(name):
    return FILES[0].with_name(f"{name}.yaml")


def baseline_options(name):
    """What a file says to put behind its command for the baseline."""
    behind = re.search(r"with these behind:\n#\n((?:#   .*\n)+)", file_of(name).read_text())[1]
    return shlex.split(behind.replace("#", " ").replace("\\\n", " "))


def configs_of(name, form):
    """The YAML config of a detector, to be built on the meta device, and its LazyConfig."""
    path = ROOT / "configs" / "detectron2" / f"{name}.py:{DENSE.get(name, 'R_50_FPN_1x')}{form}"
    options = baseline_options(name) if form else []
    options += ["MODEL.DEVICE", "meta", "MODEL.SAMPLING_FREE.DENSE.DARKNET_WEIGHTS", ""]
    arguments = train_yaml.parser().parse_args([*arguments_of(file_of(name)), *options])
    return train_yaml.config_of(arguments), config.load(path)


def assert_same_recipe(cfg, lazy):
    """Data, optimiser and schedule."""
    loader, solver = lazy.dataloader.train, cfg.SOLVER
    assert cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS == loader.dataset.get("filter_empty", True)
    assert cfg.INPUT.FORMAT == loader.mapper.image_format
    assert list(cfg.INPUT.MIN_SIZE_TRAIN) == list(loader.mapper.augmentations[0].short_edge_length)
    assert cfg.INPUT.MAX_SIZE_TRAIN == loader.mapper.augmentations[0].max_size
    assert (solver.BASE_LR, solver.WEIGHT_DECAY) == (lazy.optimizer.lr, lazy.optimizer.weight_decay)
    assert (solver.IMS_PER_BATCH, solver.MAX_ITER) == (loader.total_batch_size, lazy.train.max_iter)
    clipped = solver.CLIP_GRADIENTS
    assert (clipped.CLIP_VALUE if clipped.ENABLED else None) == lazy.train.clip_grad
    rate = config.instantiate(lazy.lr_multiplier, "lr_multiplier")
    assert [rate((step + d) / solver.MAX_ITER) for step in solver.STEPS for d in (-1, 1)] == pytest.approx(
        [1, 0.1, 0.1, 0.01]
    )


def modules(model):
    """Type of each part, and shape of each weight, by name."""
    parts = {name: type(part) for name, part in model.named_modules()}
    return parts | {name: tuple(value.shape) for name, value in model.state_dict().items()}


def settings(part):
    """The numbers that an object was made with."""
    return {name: value for name, value in vars(part).items() if isinstance(value, int | float | str)}


@pytest.mark.parametrize(
    "file", [file for file in FILES if file.stem not in {*DENSE, "fcos"}], ids=lambda file: file.name
)
def test_without_our_file_detectron2_s_own_trains(file, tmp_path):
    arguments = train_yaml.parser().parse_args(arguments_of(file)[:2])
    cfg = train_yaml.config_of(arguments)
    names = [cfg.MODEL.META_ARCHITECTURE, cfg.MODEL.PROPOSAL_GENERATOR.NAME, cfg.MODEL.ROI_HEADS.NAME]
    assert not any("SamplingFree" in name for name in names)


def test_a_baseline_trains(tmp_path):
    run(tmp_path, "--zoo", "COCO-Detection/retinanet_R_50_FPN_1x.yaml")
    assert not any("scaling" in name or "statistics" in name for name in weights(tmp_path))


RETINANET = arguments_of(FILES[0].with_name("retinanet.yaml"))
BIAS = "head.cls_score.bias"


def test_a_resumed_run_keeps_its_prior_and_evaluation_its_threshold(tmp_path, monkeypatch):
    run(tmp_path, *RETINANET, **{"SOLVER.MAX_ITER": 1, "SOLVER.BASE_LR": 0.0})
    before = weights(tmp_path)
    counted = []
    monkeypatch.setattr("sampling_free.detectron2.train.default_trainer.fit_prior", lambda *_: counted.append(1))
    run(tmp_path, *RETINANET, "--resume", **{"SOLVER.MAX_ITER": 2, "SOLVER.BASE_LR": 0.0})
    assert not counted
    after = weights(tmp_path)
    assert torch.equal(before[BIAS], after[BIAS]) and torch.equal(
        before["fitted_threshold.value"], after["fitted_threshold.value"]
    )
    seen = []
    monkeypatch.setattr(
        SamplingFreeTrainer,
        "test",
        classmethod(lambda cls, cfg, model: seen.append(float(model.test_score_thresh))),
    )
    run(tmp_path, *RETINANET, "--eval-only", **{"MODEL.WEIGHTS": str(tmp_path / "model_final.pth")})
    assert seen == [float(after["fitted_threshold.value"])] and seen[0] != 0.05


@pytest.mark.parametrize(("prior", "bias"), [("1e-3", -6.906755), ("", -4.59512)])
def test_the_prior_may_be_a_number_or_left(prior, bias, tmp_path):
    run(tmp_path, *RETINANET, **{"SOLVER.BASE_LR": 0.0, "MODEL.SAMPLING_FREE.PRIOR": repr(prior)})
    assert weights(tmp_path)[BIAS].numpy() == pytest.approx(bias, rel=1e-4)


def test_learned_scales_have_no_weight_decay(tmp_path):
    cfg = train_yaml.config_of(
        train_yaml.parser().parse_args([*RETINANET, *(str(i) for pair in SMALL.items() for i in pair)])
    )
    model = SamplingFreeTrainer.build_model(cfg)
    (decay,) = (
        group["weight_decay"]
        for group in SamplingFreeTrainer.build_optimizer(cfg, model).param_groups
        if any(parameter is model.scaling.d for parameter in group["params"])
    )
    assert decay == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--zoo", "COCO-Detection/no_such.yaml"], "there is no config file"),
        ([*RETINANET, "MODEL.SAMPLING_FREE.SCALING", "Guided()"], "SAMPLING_FREE.SCALING: 'Guided()' is no choice"),
        ([*RETINANET, "MODEL.SAMPLING_FREE.SCALE", "1"], "Non-existent key: MODEL.SAMPLING_FREE.SCALE"),
        ([*RETINANET, "MODEL.SAMPLING_FREE.PRIOR", "1e-3"], "for config key: MODEL.SAMPLING_FREE.PRIOR"),
        ([*RETINANET, "MODEL.SAMPLING_FREE.PRIOR", "automatic"], "it takes \"auto\", a number"),
        ([*RETINANET, "MODEL.RETINANET.NUM_CLASSES", "5"], "has 3 categories, but the model was built with 5"),
        ([*RETINANET, "DATASETS.TRAIN", "('yaml_trian',)"], "DATASETS.TRAIN: data set 'yaml_trian' is not registered"),
        ([*RETINANET, "DATASETS.TEST", "('yaml_tset',)"], "DATASETS.TEST: data set 'yaml_tset' is not registered"),
    ],
)  # fmt: skip
def test_mistakes_are_one_sentence(arguments, words, tmp_path, capsys):
    pairs = {key: value for key, value in SMALL.items() if key not in arguments} | {"OUTPUT_DIR": str(tmp_path)}
    assert train_yaml.main([*arguments, *(str(item) for pair in pairs.items() for item in pair)]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ") and words in error


class Code:
    """What makes a file of weights run code when it is unpickled."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return Path.touch, (self.file,)


@pytest.mark.parametrize("suffix", ["pth", "pkl"])
@pytest.mark.parametrize("options", [(), ("--eval-only",)], ids=["train", "evaluate"])
def test_weights_run_no_code(suffix, options, tmp_path, capsys):
    file, touched = tmp_path / f"model.{suffix}", tmp_path / "touched"
    file.write_bytes(pickle.dumps({"model": Code(touched)}))
    pairs = SMALL | {"MODEL.WEIGHTS": str(file), "OUTPUT_DIR": str(tmp_path / "run")}
    assert train_yaml.main([*RETINANET, *options, *(str(item) for pair in pairs.items() for item in pair)]) == 2
    assert str(file) in capsys.readouterr().err.splitlines()[-1]
    assert not touched.exists()


def test_a_tag_of_python_is_refused_but_in_detectron2_s_own_files(tmp_path, capsys):
    touched = tmp_path / "touched"
    (tmp_path / "base.yaml").write_text(f"OUTPUT_DIR: !!python/object/apply:pathlib.Path.touch [{touched}]\n")
    (tmp_path / "config.yaml").write_text("_BASE_: base.yaml\n")
    assert train_yaml.main(["--config-file", str(tmp_path / "config.yaml")]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert "config.yaml has, or its _BASE_ has, a tag of Python, which would run code" in said
    assert not touched.exists()
    arguments = train_yaml.parser().parse_args(RETINANET)  # its base has such a tag
    assert train_yaml.config_of(arguments).MODEL.ANCHOR_GENERATOR.SIZES[0][0] == 32
