"""F1 by variable as a plot: long names are whole, and each stands beside its own marks."""

from __future__ import annotations

import re

from lightning_stdim.report.output.plots.scores import DotPlotRow, draw_scores
from lightning_stdim.report.tables.comparison import ScoreCell

LONG = "ST-DIM (projector=512-512-512,steps=3000)"
CLASS = "my_project.methods.contrastive.TimeContrastWithQueue"


def words(svg: str) -> list[str]:
    return re.findall(r"<text[^>]*>(.*?)</text>", svg)


def test_long_names_are_folded_and_not_cut() -> None:
    names = ["VAE", LONG, CLASS, "a" * 60]
    drawn = draw_scores([DotPlotRow(name, {"paper": ScoreCell(0.5)}) for name in names], what="x")
    assert all(len(word) <= 22 for word in words(drawn))
    text = "".join("".join(words(drawn)).split())
    for name in names:
        assert "".join(name.split()) in text


def test_the_plot_grows_with_its_labels() -> None:
    def height(*names: str) -> int:
        drawn = draw_scores([DotPlotRow(n, {"paper": ScoreCell(0.5)}) for n in names], what="x")
        (found,) = re.findall(r'viewBox="0 0 330 (\d+)"', drawn)
        return int(found)

    assert height("VAE", "CPC") - height("VAE") == 15
    assert height("VAE", CLASS) > height("VAE", "CPC")
