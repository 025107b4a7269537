"""The command line `sampling-free`: what it finds, and that its help loads no heavy library."""

import subprocess
import sys

import pytest

from sampling_free import __version__
from sampling_free.commands.main import COMMANDS, main

HEAVY = ("torch", "torchvision", "lightning", "detectron2", "matplotlib")


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_loads_nothing_heavy(command):
    code = (
        "import sys\nfrom sampling_free.commands.main import main\n"
        f"try:\n    status = main({[*filter(None, [command]), '--help']!r})\n"
        "except SystemExit as end:\n    status = end.code\n"
        f"sys.exit(f'loaded {{loaded}}' if (loaded := [m for m in {HEAVY!r} if m in sys.modules]) else status)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: sampling-free {command}".strip())


def test_a_command_that_is_not_there_is_one_sentence(capsys):
    assert main(["trian"]) == 2
    assert capsys.readouterr().err.startswith("error: there is no command 'trian'; the commands are train, ")


def test_the_version_is_said(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"sampling-free {__version__}\n"


def test_the_public_names_are_the_mechanism_s():
    import sampling_free
    from sampling_free import mechanism

    assert set(sampling_free.__all__) == {*mechanism.__all__, "UserError", "__version__"}
    assert all(getattr(sampling_free, name) is getattr(mechanism, name) for name in mechanism.__all__)
    assert {*mechanism.__all__} <= {*dir(sampling_free)}
    with pytest.raises(AttributeError, match="no attribute 'missing'"):
        _ = sampling_free.missing


def test_a_reader_that_has_enough_ends_a_command_without_a_word():
    line = f"{sys.executable} -m sampling_free configs | head -n 1"
    ended = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
    assert ended.stdout.count("\n") == 1 and not ended.stderr
