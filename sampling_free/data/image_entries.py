"""The check of an annotation file's images: entries are mended from their files, or dropped."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sampling_free.data.images import image_size
from sampling_free.data.problems import Problems, printable
from sampling_free.data.values import is_int, whole
from sampling_free.errors import UserError

Entry = dict[str, Any]


def check_images(
    entries: list[Entry], folder: str | Path | None, problems: Problems, *, allow_outside: bool
) -> dict[int, Entry]:
    """The images that can be used, by id.

    Args:
        entries: of the file.
        folder: where the images lie; None does not look for them.
        problems: takes what is wrong.
        allow_outside: whether images may lie outside of the folder.

    Raises:
        UserError: an image lies outside of the folder.
    """
    if folder is not None and not allow_outside:
        _refuse_outside(entries, folder, problems.source)
    images: dict[int, Entry] = {}
    with ThreadPoolExecutor(16) as pool:  # most of the time goes into waiting for the disk
        for checked in pool.map(lambda entry: _Image.of(entry, folder), entries):
            if not checked.fault and checked.entry["id"] in images:
                checked.fault = "duplicate image id"
            path = Path(folder or "") / str(checked.entry.get("file_name"))
            place = f"image {checked.entry.get('id')} ({path})"
            if checked.fault:
                problems.add(checked.fault, f"{place}{checked.detail}")
                problems.dropped_images += 1
                continue
            for kind in checked.mended:
                problems.mend(kind, place)
            images[checked.entry["id"]] = checked.entry
    return images


def is_outside(name: str) -> bool:
    """Whether a file name leaves the folder that it is relative to."""
    return os.path.isabs(name) or os.path.normpath(name).split(os.sep)[0] == os.pardir


def _refuse_outside(entries: list[Entry], folder: str | Path, source: str) -> None:
    names = [entry.get("file_name") for entry in entries]
    outside = [printable(name) for name in names if isinstance(name, str) and is_outside(name)]
    if outside:
        more = f" and {len(outside) - 1} more" if len(outside) > 1 else ""
        raise UserError(
            f"{source}: image {outside[0]}{more} lies outside of the image folder {folder}; mend the file names, or "
            f"set allow_outside=True where you trust the file"
        )


@dataclass
class _Image:
    """One entry: mended in some ways, or of no use for a reason."""

    entry: Entry
    mended: list[str] = field(default_factory=list)
    fault: str = ""
    detail: str = ""

    @classmethod
    def of(cls, entry: Entry, folder: str | Path | None) -> "_Image":
        """Check one entry; of its file only the header is read, which takes 50 microseconds."""
        image = cls(dict(entry))
        image._mend_numbers()
        if whole(entry.get("id")) is None or not isinstance(entry.get("file_name"), str):
            image.fault = "image without an integer id and a file name"
        elif folder is not None:
            image._compare_with_file(Path(folder))
        elif not image._has_size():
            image.fault = "image without a positive integer height and width"
        return image

    def _has_size(self) -> bool:
        return all(is_int(self.entry.get(side)) and self.entry[side] > 0 for side in ("height", "width"))

    def _mend_numbers(self) -> None:
        for name in ("id", "height", "width"):
            value = self.entry.get(name)
            if isinstance(value, float) and (number := whole(value)) is not None:
                self.entry[name] = number
                self.mended.append(f"image's {name} with a decimal point")

    def _compare_with_file(self, folder: Path) -> None:
        name = _name_of_file(folder, self.entry["file_name"])
        if name is None:
            self.fault = "image without a file"
            return
        if name != self.entry["file_name"]:
            self.entry["file_name"] = name
            self.mended.append("image whose suffix is in another case")
        try:
            width, height = image_size(folder / name)
        except UserError as error:
            self.fault, self.detail = "image that cannot be read", f": {error}"
            return
        if not self._has_size():
            self.entry |= {"width": width, "height": height}
            self.mended.append("image without a size, now its file's")
        said = self.entry["width"], self.entry["height"]
        if said != (width, height):
            self.fault = "image whose file has another size"
            turned = " (the picture is to be annotated as viewers turn it)" if said == (height, width) else ""
            self.detail = f": {width} x {height} in the file, {said[0]} x {said[1]} in its entry{turned}"


def _name_of_file(folder: Path, name: str) -> str | None:
    """The name under which a file is there: its suffix may be written in another case."""
    stem, suffix = os.path.splitext(name)
    candidates = (name, stem + suffix.lower(), stem + suffix.upper())
    return next((candidate for candidate in candidates if os.path.exists(folder / candidate)), None)
