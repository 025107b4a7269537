import pytest

from sampling_free.runs.figures import FigureTable


@pytest.mark.parametrize(
    "tail",
    ["1", "3,0.", "3,nan-ish,1\n", "\0\0\0\0\n", "three,1.0,2.0\n", "3,1.0\n", "\x00" * 40, "\ufffd,,\n", '3,"1.0\n'],
)
def test_rows_that_are_torn_or_junk_are_dropped_and_hurt_no_other(tmp_path, tail):
    table = FigureTable(tmp_path / "metrics.csv")
    for step in (1, 2):
        table.add(step, {"loss": step / 2, "lr": 0.1})
    whole = table.path.read_text()
    table.path.write_text(whole + tail)
    again = FigureTable(table.path)
    assert again.rows == table.rows
    again.forget_after(2)
    assert table.path.read_text() == whole


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\0s", b"\0" * 100, b"no,such,column\n1,2,3\n"])
def test_a_file_that_is_no_table_starts_anew(tmp_path, content):
    (tmp_path / "metrics.csv").write_bytes(content)
    table = FigureTable(tmp_path / "metrics.csv")
    table.add(1, {"loss": 1.0})
    assert table.rows == {1: {"step": "1", "loss": "1.0"}}
