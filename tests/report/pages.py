"""A benchmark's directory to report on, and what a page says, read back by the standard parser."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np

from lightning_stdim.runs.predictions import Predictions
from lightning_stdim.runs.results import write_results

HOSTILE = "<img src=x onerror=alert(1)>.Evil"
VOID = {"wbr", "meta", "link", "br", "image", "use", "path", "rect", "line", "circle", "img"}


def make_tree(out: Path, make_result: Any) -> Path:
    """Two games; five methods, one with a hostile name; two seeds; one failure; one with files."""
    dropped = {"enemy_score": "entropy 0.1 nats is under 0.6"}
    for game in ("pong", "breakout"):
        for seed in (0, 1):
            runs = [
                make_result("majority", seed, (0.1, 0.1, 0.2), ("majority",)),
                make_result("random-cnn", seed, (0.3, 0.3, 0.3 + seed / 25)),
                make_result("st-dim", seed, (0.2, 0.4 + seed / 5, 0.9)),
                make_result("supervised", seed, (0.5, 0.6, 0.7), ("supervised", "converged")),
                make_result(HOSTILE, seed, (0.25, 0.35, 0.45 + seed / 50)),
            ]
            for k, run in enumerate(runs):
                run |= {"game": game}
                run["scores"] |= {"game": game, "dropped": dropped}
                if (game, run["method"]) != ("breakout", "supervised"):
                    write_results(out / game / f"method{k}" / f"seed{seed}", run)
    run = out / "pong" / "method2" / "seed0"
    (run / "metrics.csv").write_text(
        "epoch,step,train/loss,val/loss,health/effective_rank,probe/f1\n"
        "0,9,,3.5,10,0.2\n0,9,3.0,,,\n1,19,,2.5,12,0.4\n1,19,2.0,,,\n"
    )
    predictions().write(run)
    failed = out / "breakout" / "supervised" / "seed0.error.txt"
    failed.parent.mkdir(parents=True)
    failed.write_text("breakout supervised seed 0: exit status 2\n\nerror: <b>no</b> memory left\n")
    return out


def predictions() -> Predictions:
    random = np.random.default_rng(0)
    labels = random.integers(60, 200, (500, 3)).astype(np.uint8)
    guess = labels + random.integers(0, 5, labels.shape).astype(np.uint8)
    return Predictions(
        variables=("ball_x", "ball_y", "player_y"),
        rows=np.arange(1000, 1500),
        labels=labels,
        predicted={"paper": labels, "converged": guess},
        shown=np.arange(4) * 100,
        frames=random.integers(0, 256, (4, 210, 160)).astype(np.uint8),
    )


class Page(HTMLParser):
    """What is in a page.

    Attributes:
        tables: for each title its column headings, and for each row, named by the block that it
            is in and its own label, the cells.
        text: all text outside of style sheets.
        tags: every start tag with its attributes.
    """

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tables: dict[str, tuple[list[str], dict[tuple[str, str], list[str]]]] = {}
        self.text = self.title = self.block = ""
        self.tags: list[tuple[str, dict[str, Any]]] = []
        self.open: list[tuple[str, dict[str, Any]]] = []
        self.feed(source)
        self.close()
        assert not self.open, f"left open: {self.open}"

    def handle_startendtag(self, tag: str, attributes: Any) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(self.tags[-1])
        if tag == "figcaption":
            self.title = ""
        elif tag == "table":
            self.columns: list[str] = []
            self.rows: dict[tuple[str, str], list[str]] = {}
            self.tables[self.title] = (self.columns, self.rows)
        elif tag == "tr":
            self.row: list[str] = []
        elif tag in ("th", "td"):
            self.cell = ""

    def handle_endtag(self, tag: str) -> None:
        name, attributes = self.open.pop()
        assert name == tag, f"<{name}> is closed by </{tag}>"
        if tag == "td":
            self.row.append(self.cell)
        elif tag == "th" and attributes["scope"] == "col":
            self.columns.append(self.cell)
        elif tag == "th" and attributes["scope"] == "rowgroup":
            self.block = self.cell
        elif tag == "th":
            block = self.block if attributes.get("class") == "line" else ""
            self.rows[block, self.cell] = self.row

    def handle_data(self, data: str) -> None:
        inside = {name for name, _ in self.open}
        if "style" in inside:
            return
        self.text += data
        if "figcaption" in inside:
            self.title += data
        if inside & {"th", "td"}:
            self.cell += data.strip()
