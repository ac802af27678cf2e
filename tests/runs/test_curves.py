"""The picture of what a run logged."""

import csv

import numpy as np
from matplotlib.image import imread

from lightning_stdim.runs.curves import draw_curves, read_curves


def write(path, rows):
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)


def test_curves_are_read_by_quantity_and_stage(tmp_path):
    rows = [
        {"epoch": 0, "step": 9, "val/loss": 3.5, "health/effective_rank": 20},
        {"epoch": 0, "step": 9, "train/loss": 4.0, "lr-Adam": 0.1, "val/f1/ball_x": 0.3},
        {"epoch": 2, "step": 29, "val/loss": 2.5},
    ]
    write(tmp_path / "metrics.csv", rows)
    assert read_curves(tmp_path / "metrics.csv") == {
        "loss": {"val": [(1, 3.5), (3, 2.5)], "train": [(1, 4.0)]},
        "effective_rank": {"health": [(1, 20.0)]},
    }


def test_the_picture_has_a_panel_per_quantity(tmp_path):
    metrics, picture = tmp_path / "metrics.csv", tmp_path / "curves.png"
    sizes = {}
    for n in (1, 3, 4):
        write(metrics, [{"epoch": 0, "step": 1, **{f"val/x{k}": k for k in range(n)}}])
        draw_curves(metrics, picture)
        sizes[n] = imread(picture).shape[:2]
    assert sizes[3][1] == 3 * sizes[1][1]
    assert sizes[4] == (2 * sizes[1][0], sizes[3][1])
    height, width = sizes[1]
    blank = imread(picture)[5 * height // 4 :, 5 * width // 4 :]
    assert np.all(blank == 1)  # no fifth and sixth panel


def test_nothing_logged_is_no_picture(tmp_path):
    write(tmp_path / "metrics.csv", [{"epoch": 0, "step": 1, "lr": 1}])
    draw_curves(tmp_path / "metrics.csv", tmp_path / "curves.png")
    assert not (tmp_path / "curves.png").exists()
