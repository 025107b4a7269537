"""The config files that come with the package, found by their names."""

from pathlib import Path

# in an installed package they lie in it; in a checkout, beside it
_PLACES = (Path(__file__).parents[1] / "configs", Path(__file__).parents[2] / "configs")


def folder() -> Path:
    """Where they lie."""
    return next(place for place in _PLACES if (place / "common").is_dir())


def find(file: str) -> str:
    """A config file that is there; else one of the package's of this name, with its variant; else the name itself."""
    name, colon, variant = file.partition(".py:")
    path = Path(f"{name}.py" if colon else file)
    packaged = folder() / path
    if path.exists() or path.is_absolute() or not packaged.is_file():
        return file
    return f"{packaged}{':' if colon else ''}{variant}"
