from __future__ import annotations

import io
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from rich.console import Console

from lightning_stdim.errors import ConfigurationError, StoreError
from lightning_stdim.report.names import METRICS
from lightning_stdim.report.output import table_image
from lightning_stdim.report.runs_on_disk import read_record
from lightning_stdim.report.tables.comparison import compare
from lightning_stdim.report.write import compare_games, print_comparison, write_comparison
from lightning_stdim.runs.results import write_results


def test_files_from_a_directory_of_runs(tmp_path: Path, make_result) -> None:
    for seed in (0, 1):
        write_results(tmp_path / "pong" / "st-dim" / f"seed{seed}", make_result(seed=seed))
    console = Console(width=100, file=io.StringIO())
    record = read_record(tmp_path)
    games = compare_games(record)
    written = write_comparison(tmp_path, games)
    assert [path.relative_to(tmp_path).as_posix() for path in written] == [
        "pong/comparison.md",
        "pong/comparison.csv",
        "pong/comparison.png",
    ]
    print_comparison(games, console)
    assert "ST-DIM" in console.file.getvalue()
    assert "| **Mean over categories** |" in written[0].read_text()
    assert [result["seed"] for result in record.results] == [0, 1]
    assert read_record(tmp_path) == record  # its own files do not get in its way


def test_a_mixture_of_label_sets_is_refused_unless_asked_for(tmp_path: Path, make_result) -> None:
    write_results(tmp_path / "a", make_result())
    other = make_result()
    other["scores"]["label_set"] = "upstream"
    write_results(tmp_path / "b", other)
    record = read_record(tmp_path)
    with pytest.raises(ConfigurationError, match="mixed_label_sets"):
        compare_games(record)
    console = Console(width=100, file=io.StringIO())
    games = compare_games(record, mixed_label_sets=True)
    markdown, *_ = write_comparison(tmp_path, games)
    print_comparison(games, console)
    assert "upstream 1" in markdown.read_text()
    assert "label set" in console.file.getvalue()


def test_nothing_to_report(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no run has finished"):
        read_record(tmp_path)


def test_the_picture_grows_with_the_tables(make_result) -> None:
    results = [make_result("random-cnn"), make_result("st-dim")]
    tables = [compare(results, game="pong", metric=metric) for metric in METRICS]
    sizes = {}
    for name, shown in {"one": tables[:1], "two": tables}.items():
        image = matplotlib.image.imread(io.BytesIO(table_image.png(shown, dpi=60)))
        sizes[name] = image.shape[:2]
        assert np.ptp(image[..., :3]) > 0.8  # ink on paper
        # Nothing is cut off: the outermost pixels are paper.
        for edge in (image[0], image[-1], image[:, 0], image[:, -1]):
            assert np.all(edge[..., :3] == 1)
    assert sizes["two"][0] > 1.3 * sizes["one"][0]
    assert sizes["two"][1] == sizes["one"][1]
