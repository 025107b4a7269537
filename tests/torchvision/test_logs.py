import csv

from sampling_free.torchvision.train.csv_log import CsvLog


def read(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def test_figures_of_one_iteration_share_a_row_and_columns_grow(tmp_path):
    log = CsvLog(tmp_path / "metrics.csv")
    log.log_metrics({"loss": 2.0, "epoch": 0}, step=5)
    log.log_metrics({"loss": 1.0}, step=10)
    log.log_metrics({"bbox/AP": 30.5}, step=10)
    log.log_metrics({"loss": 0.5}, step=15)
    assert read(tmp_path / "metrics.csv") == [
        {"step": "5", "loss": "2.0", "bbox/AP": ""},
        {"step": "10", "loss": "1.0", "bbox/AP": "30.5"},
        {"step": "15", "loss": "0.5", "bbox/AP": ""},
    ]


def test_a_resumed_run_forgets_what_it_does_again(tmp_path):
    log = CsvLog(tmp_path / "metrics.csv")
    for step in (5, 10, 15):
        log.log_metrics({"loss": float(step), f"only/{step}": 1.0}, step=step)
    again = CsvLog(tmp_path / "metrics.csv")
    again.forget_after(10)
    again.log_metrics({"loss": 12.0}, step=12)
    assert [(row["step"], row["loss"]) for row in read(tmp_path / "metrics.csv")] == [
        ("5", "5.0"),
        ("10", "10.0"),
        ("12", "12.0"),
    ]
    assert [file.name for file in tmp_path.iterdir()] == ["metrics.csv"]
