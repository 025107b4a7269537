"""The house rules that a linter does not know: which package may import which, and how long things may grow.

Imports run one way, mechanism <- heuristics <- detectors <- each host, and a host never imports the other.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "sampling_free"
MAX_FILE, MAX_FUNCTION = 400, 80  # lines

# room -> what it must not import
FORBIDDEN = {
    "mechanism": (
        "torchvision",
        "lightning",
        "detectron2",
        "cv2",
        "sampling_free.heuristics",
        "sampling_free.detectors",
    ),
    "heuristics": ("torchvision.models", "lightning", "detectron2", "cv2", "sampling_free.detectors"),
    "detectors": ("torchvision.models", "lightning", "detectron2", "cv2"),
    "data": ("torch", "torchvision", "lightning", "detectron2"),
    "pictures": ("torch", "torchvision", "lightning", "detectron2"),
    "torchvision": ("detectron2",),
    "detectron2": ("lightning", "torchvision.models"),
}
HOSTS = ("torchvision", "detectron2")


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and full name of everything that a file imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module or ''}.{alias.name}") for alias in node.names)


def violations(package: Path) -> Iterator[str]:
    """Every breach of the rules, with its place."""
    for file in sorted(package.rglob("*.py")):
        text = file.read_text(encoding="utf-8")
        tree = ast.parse(text)
        room = file.relative_to(package).parts[0]
        hosts = [f"sampling_free.{host}" for host in HOSTS if host != room] if room in FORBIDDEN else []
        forbidden = [*FORBIDDEN.get(room, ()), *hosts]
        for line, name in imported(tree):
            yield from (
                f"{file}:{line}: {room} must not import {f}" for f in forbidden if f"{name}.".startswith(f"{f}.")
            )
        if len(text.splitlines()) > MAX_FILE:
            yield f"{file}: {len(text.splitlines())} lines; at most {MAX_FILE}"
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno >= MAX_FUNCTION:
                yield f"{file}:{node.lineno}: {node.name} has more than {MAX_FUNCTION} lines"


def main() -> int:
    """Print breaches; status 1 if there is any."""
    found = list(violations(PACKAGE))
    sys.stdout.writelines(f"{line}\n" for line in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
