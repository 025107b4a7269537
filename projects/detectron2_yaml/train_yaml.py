#!/usr/bin/env python
"""Train or evaluate a YAML config with detectron2's own `DefaultTrainer`, on top of a file of detectron2's own.

    python projects/detectron2_yaml/train_yaml.py --zoo COCO-Detection/retinanet_R_50_FPN_1x.yaml \
        --config-file projects/detectron2_yaml/configs/retinanet.yaml --num-gpus 8

Options are detectron2's, and --zoo. Without --config-file: detectron2's own model, the baseline.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import detectron2
import yaml
from detectron2.config import CfgNode, get_cfg
from detectron2.engine import default_argument_parser, default_setup, launch

from sampling_free.detectron2 import add_sampling_free_config
from sampling_free.detectron2.train.checkpointer import SafeCheckpointer
from sampling_free.detectron2.train.default_trainer import SamplingFreeTrainer
from sampling_free.errors import UserError

ZOO = Path(detectron2.__file__).parent / "model_zoo" / "configs"


def parser() -> argparse.ArgumentParser:
    """detectron2's options, and --zoo."""
    options = default_argument_parser(__doc__)
    options.add_argument("--zoo", default="", metavar="FILE", help="one of detectron2's YAML files, to start from")
    return options


def config_of(arguments: argparse.Namespace) -> CfgNode:
    """detectron2's file, ours on top of it, then the command line.

    Tags of Python in a YAML file run code: they are read in detectron2's own files alone, some of which have them.
    """
    cfg = get_cfg()
    add_sampling_free_config(cfg)
    files = [Path(file) for file in (arguments.zoo and ZOO / arguments.zoo, arguments.config_file) if file]
    if missing := [file for file in files if not file.is_file()]:
        raise UserError(f"there is no config file {missing[0]}")
    try:
        for file in files:
            cfg.merge_from_file(str(file), allow_unsafe=file.resolve().is_relative_to(ZOO.resolve()))
        cfg.merge_from_list(arguments.opts)
    except yaml.constructor.ConstructorError as error:
        raise UserError(
            f"{file} has, or its _BASE_ has, a tag of Python, which would run code ({error.problem}); write the value "
            f"itself, and name a base of detectron2's with --zoo"
        ) from error
    except (AssertionError, KeyError, ValueError) as error:  # yacs's: an unknown key, a value of another type
        raise UserError(str(error.args[0])) from error
    cfg.freeze()
    return cfg


def run(arguments: argparse.Namespace) -> Any:
    """What one process does."""
    cfg = config_of(arguments)
    default_setup(cfg, arguments)
    if arguments.eval_only:
        model = SamplingFreeTrainer.build_model(cfg)
        SafeCheckpointer(model, cfg.OUTPUT_DIR).resume_or_load(cfg.MODEL.WEIGHTS, resume=arguments.resume)
        return SamplingFreeTrainer.test(cfg, model)
    trainer = SamplingFreeTrainer(cfg)
    trainer.resume_or_load(resume=arguments.resume)
    return trainer.train()


def main(argv: Sequence[str] | None = None) -> int:
    """Start the processes; say mistakes in one sentence."""
    arguments = parser().parse_args(argv)
    try:
        config_of(arguments)  # before any process starts
        machines = (arguments.num_gpus, arguments.num_machines, arguments.machine_rank, arguments.dist_url)
        launch(run, *machines, args=(arguments,))
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
