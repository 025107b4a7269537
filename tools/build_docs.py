"""Build the documentation's site from the pages where they lie: README, docs/, projects/.

    python tools/build_docs.py

Pages are gathered into build/docs with the files that they link to, because MkDocs takes pages from one folder alone.
A link to a folder becomes one to its README, or to its place in the table of contents.
"""

import os
import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GATHERED = ROOT / "build" / "docs"
PAGES = ("*.md", "docs/*.md", "projects/*/*.md")
FILES = ("docs/*.png", "docs/*.jpg", "projects/**/*.png", "projects/**/*.jpg", "projects/*/*.py", "configs/**/*.py")
_LINK = re.compile(r"(\]\()([^):#]+)((?:#[\w-]+)?\))")


def gather() -> None:
    """Copy pages and files; links to folders are led to a page."""
    shutil.rmtree(GATHERED, ignore_errors=True)
    for file in (file for pattern in (*PAGES, *FILES) for file in ROOT.glob(pattern)):
        copy = GATHERED / file.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix == ".md":
            copy.write_text(_LINK.sub(partial(_led, file.parent), file.read_text(encoding="utf-8")))
        else:
            shutil.copyfile(file, copy)


def _led(folder: Path, link: re.Match[str]) -> str:
    """A link of a page in a folder, which leads to a file in any case."""
    before, path, rest = link.groups()
    target = folder / path
    if target.is_dir():
        page = target / "README.md"
        path = f"{path.rstrip('/')}/README.md" if page.is_file() else _first_file(path, target)
    return f"{before}{path}{rest}"


def _first_file(path: str, target: Path) -> str:
    """A file of a folder without a page; of configs the first, of results none."""
    files = sorted(file for file in target.rglob("*.py") if file.name != "__init__.py")
    return f"{path.rstrip('/')}/{files[0].relative_to(target)}" if files else "README.md"


def main() -> int:
    """Build; returns MkDocs' exit status: a broken link is an error."""
    gather()
    command = [sys.executable, "-m", "mkdocs", "build", "--strict"]
    # the theme's advertisement of its successor, which reads the same mkdocs.yml
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    sys.stderr.write(ended.stderr if ended.returncode else "")
    sys.stdout.write("" if ended.returncode else f"{ROOT / 'build' / 'site' / 'index.html'}\n")
    return ended.returncode


if __name__ == "__main__":
    sys.exit(main())
