from __future__ import annotations

import csv
import io

import pytest
from rich.console import Console

from lightning_stdim.report.names import METRICS, Entry
from lightning_stdim.report.output import text as as_text
from lightning_stdim.report.tables.comparison import ScoreCell, compare


@pytest.fixture
def tables(make_result):
    results = [
        make_result(method, seed, values=(0.1 + seed / 10, 0.4, 0.9))
        for method in ("random-cnn", "st-dim")
        for seed in (0, 1)
    ]
    return [compare(results, game="pong", metric=metric) for metric in METRICS]


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (None, "–"),
        (ScoreCell(0.704), "0.70"),
        (ScoreCell(1.0, 0.034, 3), "1.00±.03"),
        (ScoreCell(0.5, 1.27, 2), "0.50±1.27"),
    ],
)
def test_number(cell, text: str) -> None:
    assert as_text.number(cell) == text


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_terminal_keeps_to_its_width_and_loses_nothing(tables, width: int) -> None:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(as_text.terminal(tables, console))
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    words = text.split()
    for table in tables:
        for cells in table.cells:
            assert all(as_text.number(cell) in words for cell in cells)


def test_the_terminal_s_tables_have_names_with_brackets_as_they_are(make_result) -> None:
    results = [make_result(variant="policy=a[b].pt"), make_result("vae", variant="[/] [red]x")]
    console = Console(width=200, file=io.StringIO(), color_system=None)
    console.print(as_text.terminal([compare(results, game="pong", metric="f1")], console))
    text = console.file.getvalue()
    assert all(name in text for name in ("policy=a[b]", "[/] [red]x"))


def test_markdown_is_rectangular_and_says_what_is_what(tables) -> None:
    text = as_text.markdown(tables)
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in lines}) == 1
    assert "| ours<br>ST-DIM<br>converged |" in lines[0]
    mean = next(line for line in lines if "Mean over categories" in line).split(" | ")
    # Seeds 0 and 1: small objects 0.25 and 0.30, agent 0.9; means 0.575 and 0.6; t(1) = 12.706.
    assert mean[1] == "**0.59±.16**"
    derived = next(line for line in lines if line.startswith("| Agent")).split(" | ")
    assert "*0.55*" in derived
    assert text.count("95 % Student t") == 1


def test_a_wide_table_comes_in_parts_and_loses_nothing(make_result) -> None:
    names = ["random-cnn", "vae", "pixel-pred", "cpc", "st-dim", "mine", "vicreg"]
    whole = compare([make_result(name) for name in names], game="pong", metric="f1")
    parts = whole.parts()
    assert [part.part for part in parts] == ["part 1 of 2", "part 2 of 2"]
    found = {
        (column.group, column.entry, column.protocol): [cells[k] for cells in part.cells]
        for part in parts
        for k, column in enumerate(part.columns)
    }
    assert sum(len(part.columns) for part in parts) == len(whole.columns)
    for k, column in enumerate(whole.columns):
        key = (column.group, column.entry, column.protocol)
        assert found[key] == [cells[k] for cells in whole.cells]
    for part in parts:  # what was published stands beside ours
        ours = {column.entry for column in part.columns if column.group == "ours"}
        assert {column.entry for column in part.columns} <= {
            *ours,
            Entry("majority"),
            Entry("supervised"),
        }
    text = as_text.markdown([whole])
    assert "### pong: F1 (weighted by class support), part 2 of 2" in text
    assert text.count("ours<br>CPC<br>paper") == 1


def test_csv_has_every_number_unrounded(tables) -> None:
    rows = list(csv.DictReader(io.StringIO(as_text.tidy_csv(tables))))
    cells = [cell for table in tables for line in table.cells for cell in line if cell]
    assert [float(row["value"]) for row in rows] == [cell.value for cell in cells]
    ours = next(r for r in rows if r["group"] == "ours" and r["row"] == "mean_over_categories")
    assert float(ours["value"]) == pytest.approx(0.5875)
    assert float(ours["half_width"]) == pytest.approx(12.7062 * 0.0125, rel=1e-4)
    assert (ours["metric"], ours["runs"], ours["derived"]) == ("f1", "2", "0")
    published = next(r for r in rows if r["group"] == "paper")
    assert (published["half_width"], published["runs"]) == ("", "")
    on_validation = {(r["group"], r["method"]) for r in rows if r["split"] != "test"}
    assert on_validation == {("report", "supervised")}
    (reproduced,) = (r for r in rows if r["group"] == "reproduction")
    assert (reproduced["row"], reproduced["value"]) == ("mean_over_categories", "0.84")


def test_the_label_set_is_named_where_it_differs(make_result, tables) -> None:
    other = make_result()
    other["scores"]["label_set"] = "upstream"
    mixed = compare([make_result(), other], game="pong", metric="f1", mixed_label_sets=True)
    (line,) = [line for line in as_text.markdown([mixed]).splitlines() if "*label set*" in line]
    assert line.split(" | ")[1:6] == ["paper 1"] * 2 + ["upstream 1"] * 2 + ["paper 1"]
    assert "label set" not in as_text.markdown(tables)
    rows = list(csv.DictReader(io.StringIO(as_text.tidy_csv([mixed]))))
    ball = [r for r in rows if (r["row"], r["group"], r["protocol"]) == ("ball_x", "ours", "paper")]
    assert [row["label_set"] for row in ball] == ["paper 1", "upstream 1"]
