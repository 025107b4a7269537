"""Select the photographs with animals, and those without any of the six classes, from VOC 2012's own download.

    python projects/photographs/voc_animals.py VOCdevkit/VOC2012 --output data/voc2012_animals

VOC 2012 is https://host.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar. Of its train and val lists the
script takes the images that show a cat, cow, dog, horse or sheep that is not difficult, with all boxes of these classes
and of person. It writes `images/` (at most 320 px long), `annotations/instances_{train,val}.json` in COCO's format, and
`annotations/background_{train,val}.json`: images of the same lists that show none of the six classes.
"""

import argparse
import json
import sys
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from sampling_free.data import read_voc
from sampling_free.errors import UserError

CLASSES = ("cat", "cow", "dog", "horse", "person", "sheep")
PERSON = CLASSES.index("person") + 1


def select(voc: Path, split: str, output: Path, *, size: int = 320) -> None:
    """Write both files of a list, and the images that they name.

    Args:
        voc: VOC's folder, with `Annotations/`, `ImageSets/Main/` and `JPEGImages/`.
        split: name of the list.
        output: the new data set.
        size: longest side of its images, in pixels; larger ones are reduced, their boxes too.
    """
    content = read_voc([(voc, split)], CLASSES, leave_out_unlisted=True)
    boxes = content["annotations"]
    animals = {box["image_id"] for box in boxes if box["category_id"] != PERSON and not box["iscrowd"]}
    background = {image["id"] for image in content["images"]} - {box["image_id"] for box in boxes}
    (output / "images").mkdir(parents=True, exist_ok=True)
    (output / "annotations").mkdir(exist_ok=True)
    factors = {}
    for image in tqdm(content["images"], desc=split, unit=" images"):
        if image["id"] in animals | background:
            factors[image["id"]] = _reduce(image, output / "images", size)
    chosen = [box for box in boxes if box["image_id"] in animals]
    for number, box in enumerate(chosen, start=1):
        box["id"] = number
        box["bbox"] = [round(value * factors[box["image_id"]], 2) for value in box["bbox"]]
        box["area"] = box["bbox"][2] * box["bbox"][3]
    for name, identities, kept in (("instances", animals, chosen), ("background", background, [])):
        images = [image for image in content["images"] if image["id"] in identities]
        part = {"images": images, "annotations": kept, "categories": content["categories"]}
        (output / "annotations" / f"{name}_{split}.json").write_text(json.dumps(part), encoding="utf-8")


def _reduce(entry: dict, folder: Path, size: int) -> float:
    """Write a reduced image, put its name and size into its entry, and return the factor of its boxes."""
    source = Path(entry["file_name"])
    with Image.open(source) as image:
        factor = min(1.0, size / max(image.size))
        width, height = (max(1, round(side * factor)) for side in image.size)
        image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC).save(folder / source.name, quality=90)
    entry.update(file_name=source.name, width=width, height=height)
    return factor


def main() -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("voc", type=Path, help="VOC 2012's folder")
    parser.add_argument("--output", type=Path, default=Path("data/voc2012_animals"), help="the new data set")
    parser.add_argument("--size", type=int, default=320, help="longest side of its images")
    options = parser.parse_args()
    try:
        for split in ("train", "val"):
            select(options.voc, split, options.output, size=options.size)
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
