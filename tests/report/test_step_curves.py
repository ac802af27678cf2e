"""The files of ``curve``: what they say is what was measured."""

import csv
import json
from io import StringIO

import numpy as np
import pytest
from matplotlib.image import imread

from lightning_stdim.report.output import step_curves_image
from lightning_stdim.report.output.step_curves_text import markdown, tidy_csv, verdict
from lightning_stdim.report.step_curves import write_step_curves
from lightning_stdim.report.tables.step_curves import step_curves
from tests.report.probed import VARIABLES, key, probed

F1 = {0: (0.1, 0.3, 0.4), 1000: (0.3, 0.3, 0.2), 16000: (0.6, 0.4, 0.9)}


def seeds(make_result, number, **options):
    """Runs whose F1 differs by a hundredth from seed to seed, after training alone."""
    return [
        one
        for seed in range(number)
        for one in probed(
            make_result,
            key(seed),
            {step: np.add(f1, 0.01 * seed * bool(step)) for step, f1 in F1.items()},
            **options,
        )
    ]


def plain(point):
    return {name: value for name, value in point.items() if name != "f1"}


def test_the_verdict_in_words(make_result):
    (curve,) = step_curves(seeds(make_result, 1))
    assert verdict(curve) == (
        "**ST-DIM** (seed 0) is ahead of its untrained encoder from 16 000 steps on: after 16 000 "
        "steps the gain is +0.400."  # means over categories: (0.2 + 0.4) / 2, (0.5 + 0.9) / 2
    )
    (curve,) = step_curves(seeds(make_result, 2))  # 0.0635: t of one degree of freedom is 12.706
    assert verdict(curve) == (
        "**ST-DIM** (seeds 0, 1) is ahead of its untrained encoder from 16 000 steps on: after "
        "16 000 steps the gain is +0.405±0.064. The gain's interval is above zero from 16 000 "
        "steps on."
    )
    copies = [probed(make_result, key(seed), F1) for seed in range(2)]
    (curve,) = step_curves([*copies[0], *copies[1]])
    assert verdict(curve).endswith("The gain is the same in all seeds, so that it has no interval.")
    behind = probed(make_result, key(), {0: F1[16000], 7: F1[0]})
    (curve,) = step_curves(behind)
    assert verdict(curve) == (
        "**ST-DIM** (seed 0) is not ahead of its untrained encoder: after 7 steps the gain is "
        "−0.400."
    )


def test_the_tables(make_result):
    text = markdown(step_curves(seeds(make_result, 2, kept=(9000, F1[0]))), "curve.png")
    for line in (
        "| 0 (untrained) | 0.300 |  | 2 |",
        "| 1 000 | 0.255±0.064 | −0.045±0.064 | 2 |",
        "| 16 000 | 0.705±0.064 | +0.405±0.064 | 2 |",
        "| kept encoder (9 000) | 0.300 | +0.000 | 2 |",
        "| ST-DIM, 2 seeds | untrained | 16 000 steps | gain |",
        "| `player_y` | 0.400 | 0.905±0.064 | +0.505±0.064 |",
    ):
        assert line in text.splitlines()


def test_the_files_hold_every_number(make_result, tmp_path):
    encoders = seeds(make_result, 2, kept=(9000, (0.5, 0.6, 0.7)), protocols=("paper", "converged"))
    paths = write_step_curves(tmp_path / "new", step_curves(encoders))
    assert [path.name for path in paths] == ["curve.md", "curve.png", "curve.csv", "curve.json"]
    rows = list(csv.DictReader(StringIO(paths[2].read_text())))
    points = json.loads(paths[3].read_text())
    assert len(points) == 2 * 2 * (len(F1) + 1)
    for one in encoders:
        kind = {"encoder": one.kind, "step": one.step, "seed": one.run.seed}
        for protocol in one.protocols:
            expected = one.results["scores"]["protocols"][protocol]["f1"]
            where = kind | {"protocol": protocol}
            (point,) = [point for point in points if where.items() <= plain(point).items()]
            assert point["f1"] == expected
            found = {
                row["row"]: float(row["f1"])
                for row in rows
                if row["protocol"] == protocol
                and all(row[name] == str(value) for name, value in kind.items())
            }
            assert {name: found[name] for name in VARIABLES} == expected["variables"]
            assert found["mean_over_categories"] == expected["mean_over_categories"]


@pytest.mark.parametrize(
    ("games", "methods", "number"),
    [
        (("pong",), ("st-dim",), 1),
        (("pong", "boxing", "mspacman", "freeway"), ("st-dim",), 2),
        (("pong", "boxing"), ("st-dim", "mine.Mine", "vae"), 2),
    ],
)
def test_the_picture_grows_with_what_is_in_it(number, methods, games, make_result, tmp_path):
    encoders = [
        one
        for game in games
        for method in methods
        for seed in range(number)
        for one in probed(
            make_result,
            key(seed, game=game, method=method),
            F1 if seed else F1 | {64000: F1[0]},
            kept=(9000, F1[0]),
            # Not every game's runs have both protocols.
            protocols=("paper",) if (game,) == games[1:2] else ("paper", "converged"),
        )
    ]
    curves = step_curves(encoders)
    picture = step_curves_image.png(curves, dpi=50)
    (tmp_path / "curve.png").write_bytes(picture)
    height, width = imread(tmp_path / "curve.png").shape[:2]
    rows, columns = (
        (2, len(games)) if len(methods) > 1 else (-(-len(games) // 3), min(3, len(games)))
    )
    assert width == pytest.approx(50 * 3.7 * columns, abs=2)
    assert height == pytest.approx(50 * (2.9 * rows + 0.5), abs=2)


def test_the_csv_can_be_read_where_a_name_has_a_comma(make_result):
    encoders = probed(make_result, key(method="a,b"), F1)
    (first, *_) = csv.DictReader(StringIO(tidy_csv(step_curves(encoders))))
    assert first["method"] == "a,b"
