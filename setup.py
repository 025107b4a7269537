"""What pyproject.toml cannot say: the folder of config files is shipped as `sampling_free/configs`."""

from pathlib import Path

from setuptools import find_packages, setup

_CONFIGS = ["sampling_free.configs"] if Path("configs").is_dir() else []  # not yet, in a layer of an image

setup(
    packages=[*find_packages(include=["sampling_free*"]), *_CONFIGS],
    package_dir={"sampling_free.configs": "configs"},
    package_data={
        "sampling_free": ["py.typed"],
        "sampling_free.analysis": ["*.jinja"],
        "sampling_free.configs": ["**/*.py", "**/*.yaml"],
    },
)
