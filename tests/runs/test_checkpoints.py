import pytest
import torch

from sampling_free.errors import UserError
from sampling_free.runs.checkpoints import read_checkpoint


class Code:
    def __reduce__(self):
        return print, ("run",)


def test_what_is_no_checkpoint_is_told_in_a_sentence_of_ours(tmp_path, capsys):
    torch.save({"model": torch.zeros(1000)}, tmp_path / "whole.pth")
    content = (tmp_path / "whole.pth").read_bytes()
    files = {"empty.pth": b"", "cut.pth": content[:500], "text.pth": b"no checkpoint", "nul.pth": b"\0" * 100}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    torch.save({"model": Code()}, tmp_path / "code.pth")
    torch.save([1], tmp_path / "list.pth")
    for name in [*files, "code.pth", "list.pth", "absent.pth"]:
        with pytest.raises(UserError, match=name) as raised:
            read_checkpoint(tmp_path / name)
        assert "\n" not in str(raised.value) and "weights_only" not in str(raised.value)
    with pytest.raises(UserError, match="are not a file; download them"):
        read_checkpoint("s3://bucket/last.pth")
    assert set(read_checkpoint(tmp_path / "whole.pth")) == {"model"}
    assert capsys.readouterr().out == ""
