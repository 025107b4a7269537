"""The house rules that a linter does not know: which package may import which, and how long things may grow.

Imports run one way, mechanism <- heuristics <- detectors <- each host, and a host never imports the other.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MAX_FILE, MAX_TESTS = 350, 400  # lines of a file, and of one of tests
MAX_FUNCTION = 60  # lines, its docstring not counted

# Rooms that know no host: all that they may import besides themselves, the standard library and errors.py.
MAY_IMPORT = {
    "__init__.py": ("sampling_free.mechanism",),
    "errors.py": (),
    "boxes.py": ("torch", "torchvision.ops"),
    "recipe.py": ("sampling_free.mechanism",),
    "deployment.py": ("torch", "sampling_free.mechanism"),
    "mechanism": ("torch", "triton"),
    "heuristics": ("torch", "torchvision.ops", "sampling_free.boxes", "sampling_free.mechanism"),
    "detectors": (
        "torch",
        "torchvision.ops",
        "timm",
        "sampling_free.boxes",
        "sampling_free.mechanism",
        "sampling_free.heuristics",
    ),
    "data": ("numpy", "cv2", "PIL", "pycocotools", "tqdm", "yaml"),
    "analysis": (
        *("numpy", "cv2", "jinja2", "matplotlib", "pycocotools"),
        *("sampling_free.data.images", "sampling_free.pictures"),
    ),
    "pictures": ("numpy", "cv2", "PIL", "matplotlib", "sampling_free.data.images", "sampling_free.data.problems"),
    "runs": (
        *("torch", "numpy", "omegaconf", "yaml"),
        *("sampling_free.analysis", "sampling_free.config", "sampling_free.data.categories", "sampling_free.pictures"),
    ),
}
# Hosts: what they must not import.
MUST_NOT_IMPORT = {
    "torchvision": ("detectron2", "sampling_free.detectron2"),
    "detectron2": ("lightning", "torchvision.models", "sampling_free.torchvision"),
}

# What only the training application needs, and who may import it
APPLICATION = (
    *("lightning", "tensorboard", "hydra", "fvcore.common.param_scheduler", "sampling_free.commands"),
    *("sampling_free.torchvision.train", "sampling_free.detectron2.train"),
)
MAY_TRAIN = ("commands", "__main__.py", "config.py", "lazy.py", "overrides.py")


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and full name of everything that a file imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module or ''}.{alias.name}") for alias in node.names)


def is_inside(name: str, packages: tuple[str, ...]) -> bool:
    """Whether a name is one of the packages or lies in one."""
    return any(f"{name}.".startswith(f"{package}.") for package in packages)


def is_method(file: Path) -> bool:
    """Whether a file of the package, by its path in it, belongs to the method and not to the training application."""
    return file.parts[0] not in MAY_TRAIN and not (file.parts[0] in MUST_NOT_IMPORT and file.parts[1] == "train")


def may_import(room: str, name: str) -> bool:
    """Whether files of a room of the package (its first folder, or a file beside the folders) may import a name."""
    if room in MUST_NOT_IMPORT:
        return not is_inside(name, MUST_NOT_IMPORT[room])
    if room in MAY_IMPORT:
        own = (f"sampling_free.{room}", "sampling_free.errors")
        return name.split(".")[0] in sys.stdlib_module_names or is_inside(name, (*own, *MAY_IMPORT[room]))
    return True  # the command lines: they load what their config names


def wrong_imports(package: Path) -> Iterator[str]:
    """Every import against the rules, with its place."""
    for file in sorted(package.rglob("*.py")):
        place = file.relative_to(package)
        for line, name in imports(ast.parse(file.read_text(encoding="utf-8"))):
            if not may_import(place.parts[0], name):
                yield f"{file}:{line}: {place.parts[0]} must not import {name}"
            elif is_method(place) and is_inside(name, APPLICATION):
                yield f"{file}:{line}: the method must not import {name}, of the training application"


def too_long(file: Path) -> Iterator[str]:
    """What in a file is longer than a reader's patience, with its place."""
    text = file.read_text(encoding="utf-8")
    most = MAX_TESTS if file.name.startswith("test_") else MAX_FILE
    if (lines := text.count("\n")) > most:
        yield f"{file}: {lines} lines; at most {most}"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef) and (lines := length_of(node)) > MAX_FUNCTION:
            yield f"{file}:{node.lineno}: {node.name} has {lines} lines; at most {MAX_FUNCTION}"


def length_of(function: ast.FunctionDef) -> int:
    """Lines of a function without its docstring."""
    lines = (function.end_lineno or 0) - function.lineno + 1
    if ast.get_docstring(function) is None:
        return lines
    docstring = function.body[0]
    return lines - ((docstring.end_lineno or 0) - docstring.lineno + 1)


def violations(root: Path) -> Iterator[str]:
    """Every breach of the rules in a checkout, with its place."""
    yield from wrong_imports(root / "sampling_free")
    for folder in ("sampling_free", "configs", "projects", "tests", "tools"):
        for file in sorted((root / folder).rglob("*.py")):
            yield from too_long(file)
    yield from too_long(root / "train_net.py")


def main() -> int:
    """Write out the breaches; status 1 if there is any."""
    found = list(violations(ROOT))
    sys.stdout.writelines(f"{line}\n" for line in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
