"""The config files that come with the package, found by their names."""

from pathlib import Path

# in an installed package they lie in it; in a checkout, beside it
_PLACES = (Path(__file__).parent / "configs", Path(__file__).parents[1] / "configs")


def folder() -> Path:
    """The folder that holds the configs."""
    return next((place for place in _PLACES if (place / "common").is_dir()), _PLACES[0])


def find(file: Path) -> Path:
    """A file that is there; else the package's of this name; else the file as it was named."""
    packaged = folder() / file
    return packaged if not file.exists() and packaged.is_file() else file
