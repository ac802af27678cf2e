from __future__ import annotations

import csv
import html
import io
import json
import re
from pathlib import Path

import pytest

from lightning_stdim.catalogue import METHODS, method_named
from lightning_stdim.cli import main
from lightning_stdim.report import published
from lightning_stdim.report.page import write_report
from lightning_stdim.report.runs_on_disk import Failure, Record, read_record
from lightning_stdim.report.statistics.student import mean_with_ci, stratified_mean_with_ci
from lightning_stdim.report.write import compare_games
from lightning_stdim.runs.grid_record import GridRecord
from lightning_stdim.runs.key import RunKey
from lightning_stdim.runs.results import write_results
from tests.report.pages import HOSTILE, Page, make_tree

GAMES = ("Breakout", "Pong")
TABLE_2 = "F1 by game, mean over categories, {} protocol"
TABLE_3 = "F1 by category, mean over games, {} protocol"


def write(record: Record) -> list[Path]:
    return write_report(record, compare_games(record))


@pytest.fixture(scope="module")
def record(tmp_path_factory, request) -> Record:
    make_result = request.getfixturevalue("make_result")
    return read_record(make_tree(tmp_path_factory.mktemp("benchmark") / "mine", make_result))


@pytest.fixture(scope="module")
def source(record) -> str:
    page, *_ = write(record)
    return page.read_text("utf-8")


@pytest.fixture(scope="module")
def page(source) -> Page:
    return Page(source)


def mean_of(record: Record, game: str, method: str, protocol: str) -> list[float]:
    return [
        run["scores"]["protocols"][protocol]["f1"]["mean_over_categories"]
        for run in record.results
        if (run["game"], run["method"]) == (game.lower(), method)
    ]


def test_numbers_are_those_of_the_results(record, page) -> None:
    columns, rows = page.tables[TABLE_2.format("paper")]
    shown = dict(zip(columns[1:], zip(*rows.values(), strict=True), strict=True))
    lines = {label: k for k, label in enumerate(rows)}
    for game in GAMES:
        for method in ("random-cnn", "st-dim", HOSTILE):
            values = mean_of(record, game, method, "paper")
            found = mean_with_ci(values)
            cell = shown[method_named(method).title][lines[game, "ours"]]
            assert cell == f"{found.mean:.2f}±{f'{found.half_width:.2f}'.removeprefix('0')}"


def test_differences_are_ours_minus_published(record, page) -> None:
    columns, rows = page.tables[TABLE_2.format("paper")]
    for game in GAMES:
        for method in ("majority", "random-cnn", "st-dim"):
            k = columns.index(METHODS[method].title) - 1
            protocol = method if method == "majority" else "paper"
            ours = sum(mean_of(record, game, method, protocol)) / 2
            theirs = published.paper(game.lower(), method).scores["mean_over_categories"]
            assert rows[game, "published"][k] == f"{theirs:.2f}"
            difference = rows[game, "ours − published"][k].replace("−", "-")
            assert difference == f"{ours - theirs:+.2f}"
    # The same colours as the signs: shades are blue above zero, orange below.
    shades = [a["style"] for tag, a in page.tags if tag == "td" and "difference" in str(a)]
    assert any("43, 123, 186" in shade for shade in shades)
    assert any("217, 115, 13" in shade for shade in shades)


def test_what_is_missing_is_a_dash(page) -> None:
    columns, rows = page.tables[TABLE_2.format("paper")]
    supervised, hostile = columns.index("Supervised") - 1, columns.index(HOSTILE) - 1
    assert rows["Breakout", "ours"][supervised] == "–"  # its run has failed
    assert rows["Breakout", "published"][supervised] == "0.94"
    assert rows["Breakout", "ours − published"][supervised] == "–"
    assert rows["Pong", "ours"][supervised] != "–"
    assert rows["Mean over games", "ours"][supervised] == "–"
    assert rows["Pong", "published"][hostile] == "–"


def test_means_over_games(record, page) -> None:
    columns, rows = page.tables[TABLE_2.format("converged")]
    k = columns.index("ST-DIM") - 1
    means = [sum(mean_of(record, game, "st-dim", "converged")) / 2 for game in GAMES]
    found = stratified_mean_with_ci(
        [mean_of(record, game, "st-dim", "converged") for game in GAMES]
    )
    interval = f"{found.half_width:.2f}".removeprefix("0")
    assert rows["", "Mean over games"][k] == f"{sum(means) / 2:.2f}±{interval}"
    columns, rows = page.tables[TABLE_3.format("paper")]
    k = columns.index("ST-DIM") - 1
    # ball_x 0.2 in both seeds, ball_y 0.4 and 0.6; the same in both games.
    assert rows["Small object localization", "ours"][k].startswith("0.35±")
    printed = [
        published.paper(game.lower(), "st-dim").scores["categories"]["small_object_localization"]
        for game in GAMES
    ]
    theirs = sum(printed) / 2
    assert rows["Small object localization", "published"][k] == f"{theirs:.2f}"
    assert rows["Small object localization", "published, 22 games"][k] == "0.51"


def test_the_reproducibility_reports_tables(page) -> None:
    columns, rows = page.tables["F1 on Pong by category"]
    assert columns[1:] == ["Random-CNN", "ST-DIM", "Supervised"]
    assert rows["Mean over categories", "challenge report"] == ["0.66", "0.65", "0.61"]
    assert rows["Mean over categories", "published"] == ["0.17", "0.81", "0.87"]
    assert "Accuracy on Pong by category" in page.tables
    assert "F1 on Breakout by category" not in page.tables
    assert rows["Mean over categories", "reproduction"] == ["–", "0.84", "–"]
    assert "The challenge report's Supervised numbers are validation scores" in page.text


def test_the_reproduction_beside_the_paper(page) -> None:
    columns, rows = page.tables[TABLE_2.format("paper")]
    k = columns.index("ST-DIM") - 1
    assert rows["Pong", "reproduction"][k] == "0.84"
    assert rows["Breakout", "reproduction"][k] == "0.89"
    assert rows["Mean over games", "reproduction"][k] == "0.86"  # half of 0.84 and 0.89
    columns, rows = page.tables[TABLE_3.format("paper")]
    printed = rows["Small object localization", "reproduction, 22 games"]
    assert printed == ["0.53" if name == "ST-DIM" else "–" for name in columns[1:]]
    assert "Reproduction: Alacchi, Lam and Perreault-Lafleur" in page.text


def test_scores_by_the_reports_own_protocol_stand_beside_its_numbers(
    tmp_path, make_result, page
) -> None:
    assert "challenge protocol" not in page.text  # where there are no such scores
    protocols = ("paper", "converged", "challenge")
    stdim = make_result(values=(0.6, 1.0, 0.8), protocols=protocols, by_report=("challenge",))
    write_results(tmp_path / "a", stdim)
    protocols = ("supervised", "converged")
    supervised = make_result("supervised", protocols=protocols, by_report=("supervised",))
    write_results(tmp_path / "b", supervised)
    found = Page(write(read_record(tmp_path))[0].read_text())
    _, rows = found.tables["F1 on Pong by category"]
    lines = {line: cells[1:] for (row, line), cells in rows.items() if row.startswith("Mean")}
    assert lines == {
        "ours, challenge, challenge report’s F1": ["0.20", "0.15"],  # a quarter of 0.8 and of 0.6
        "challenge report": ["0.65", "0.61"],
        "ours − challenge report": ["−0.45", "−0.46"],
        "ours, challenge": ["0.80", "0.60"],
        "ours, paper": ["0.80", "0.60"],
        "published": ["0.81", "0.87"],
        "ours − published": ["−0.01", "−0.27"],
        "reproduction": ["0.84", "–"],
        "ours − reproduction": ["−0.04", "–"],
        "ours, converged": ["0.80", "0.60"],
    }
    _, rows = found.tables["Accuracy on Pong by category"]
    assert rows["Mean over categories", "ours, challenge"][1:] == ["0.40", "0.30"]
    assert ("Mean over categories", "ours, challenge, challenge report’s F1") not in rows
    assert "challenge protocol" in found.text


def test_words(page, record) -> None:
    assert "Under the converged protocol ST-DIM leads with" in page.text
    assert "Not compared over games, since not every game has a run: Supervised." in page.text
    assert "ST-DIM is ahead of Random-CNN: +0.3" in page.text
    assert "Not scored: enemy_score (entropy 0.1 nats is under 0.6)." in page.text
    assert "breakout/supervised/seed0: error: <b>no</b> memory left" in page.text
    assert "--games breakout,pong" in page.text
    assert f"python -m lightning_stdim report {record.out}" in page.text


def test_plots_and_pictures(page) -> None:
    drawn = [a["aria-label"] for tag, a in page.tags if tag == "svg" and a.get("role") == "img"]
    assert "pong, ball_x: F1 of 4 methods; the highest is 0.50, of Supervised." in drawn
    assert "pong, ST-DIM: loss, effective rank, F1, validation over the epochs of 2 runs." in drawn
    assert sum("predicted against true" in label for label in drawn) == 3
    frames = [label for label in drawn if label.startswith("Frame ")]
    assert len(frames) == 4
    assert all("ball at (" in label and "player at (" in label for label in frames)
    assert "These runs left no predictions.npz" in page.text  # Breakout's


def test_nothing_is_loaded_from_anywhere(source, page) -> None:
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    for tag, attributes in page.tags:
        assert tag not in ("script", "iframe", "object", "embed")
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "xlink:href", "srcset", "data", "action", "poster"):
            address = attributes.get(name)
            if address is not None:
                assert address.startswith(("#", "data:")), (tag, address)
                if address.startswith("#"):
                    assert address[1:] in ids
    for reference in re.findall(r"url\(([^)]*)\)", source):
        assert reference.strip("\"'")[1:] in ids
    assert "@import" not in source


def test_tables_can_be_read_aloud(page) -> None:
    assert all(a.get("scope") for tag, a in page.tags if tag == "th")
    assert all("aria-label" in a or "aria-hidden" in a for tag, a in page.tags if tag == "svg")
    ((_, html),) = [tag for tag in page.tags if tag[0] == "html"]
    assert html["lang"] == "en"


def test_a_hostile_name_is_text_and_no_markup(source, page, record) -> None:
    assert HOSTILE in page.text
    assert "<img" not in source
    assert "<b>no</b>" not in source
    markdown = (record.out / "report.md").read_text()
    assert "\\<img src=x" in markdown
    code = [line for line in markdown.splitlines() if line.startswith("    ")]
    assert markdown.count("<img") == markdown.count("\\<img") + "".join(code).count("<img")


def test_markdown_and_csv_say_the_same(record, page) -> None:
    markdown = (record.out / "report.md").read_text()
    for title, (columns, rows) in page.tables.items():
        if title == "Runs":
            continue
        _, _, section = markdown.partition(f"### {title}\n")
        lines = [line for line in section.split("\n### ")[0].splitlines() if line.startswith("| ")]
        assert len(lines) == 2 + len(rows), title
        assert {line.replace("\\|", "").count("|") for line in lines} == {len(columns) + 1}, title
    rows = list(csv.DictReader(io.StringIO((record.out / "report.csv").read_text())))
    assert {row["game"] for row in rows} == {"pong", "breakout"}
    (cell,) = [
        row
        for row in rows
        if (row["game"], row["metric"], row["row"], row["group"], row["method"], row["protocol"])
        == ("pong", "f1", "mean_over_categories", "ours", "st-dim", "paper")
    ]
    values = mean_of(record, "pong", "st-dim", "paper")
    assert float(cell["value"]) == pytest.approx(sum(values) / 2)


def test_failures_are_those_without_results(record, tmp_path) -> None:
    (failure,) = record.failures
    assert failure == Failure("breakout/supervised/seed0", "error: <b>no</b> memory left")


def test_one_game_one_seed_one_method(tmp_path, make_result) -> None:
    write_results(tmp_path / "a", make_result())
    page = Page(write(read_record(tmp_path))[0].read_text())
    assert "F1 by category, paper protocol" in page.tables
    assert "Probability of improvement, converged protocol" not in page.tables
    assert "No run here has a learning curve." in page.text
    write_results(tmp_path / "b", make_result("vae", values=(0.1, 0.2, 0.3)))
    page = Page(write(read_record(tmp_path))[0].read_text())
    assert "With a single seed nothing can be said" in page.text


def test_a_page_of_smoke_runs_says_so(tmp_path, make_result, page, capsys) -> None:
    assert "mean nothing" not in page.text
    write_results(tmp_path / "a", make_result(preset="smoke"))
    found, markdown, _ = write(read_record(tmp_path))
    words = "The scores on this page mean nothing"
    head, _, _ = found.read_text("utf-8").partition("<h2")
    assert words in head
    assert words in markdown.read_text("utf-8").partition("##")[0]
    write_results(tmp_path / "b", make_result("vae"))
    assert main(["report", str(tmp_path), "--tables"]) == 0
    printed = capsys.readouterr().out
    assert "The scores of preset smoke mean nothing" in printed
    assert "smoke mean nothing: it only tries out" in printed  # with the tables


REPORT = (
    "challenge report",
    "the report of the NeurIPS 2019 Reproducibility Challenge",
    "compares with that report's numbers alone",  # after "the challenge report's F1"
    r"python -m lightning_stdim report \S+",
)
"""All that "report" is said in: the numbers of the challenge report, and the command."""

PAPER = (
    "paper protocol",
    "label set paper",
    r"(ours|ST-DIM|VAE), paper(?= [/|])",
    r"ours / (ST-DIM|VAE) / paper(?= [/|])",
)
"""All that "paper" is said in: the protocol, also in headings, and the label set."""


def test_paper_and_report_mean_one_thing_each(tmp_path, make_result) -> None:
    protocols = ("paper", "converged", "challenge")
    write_results(tmp_path / "a", make_result(protocols=protocols, by_report=("challenge",)))
    write_results(tmp_path / "b", make_result("vae", values=(0.1, 0.2, 0.3)))
    assert main(["report", str(tmp_path)]) == 0
    source = (tmp_path / "report.html").read_text("utf-8")
    labels = [a.get("aria-label", "") for _, a in Page(source).tags]
    texts = [source, " | ".join(labels)]
    texts += [(tmp_path / name).read_text("utf-8") for name in ("report.md", "pong/comparison.md")]
    for text in texts:
        # Each of two cells or headings is separated from the next.
        said = html.unescape(re.sub(r"<style.*?</style>|<[^>]*>", " / ", text, flags=re.DOTALL))
        said = re.sub(r"( /)+(?= )", " /", re.sub(r"\s+", " ", said))
        for allowed in (*REPORT, *PAPER):
            said = re.sub(allowed, "", said, flags=re.IGNORECASE)
        left = re.search(r".{0,40}\b(paper|report)\b.{0,40}", said, re.IGNORECASE)
        assert not left, left


def test_every_line_of_a_table_says_whose_it_is(tmp_path, make_result) -> None:
    """Also where no published number stands beside ours, but one for all games below."""
    for method in ("vae", "my.Method"):
        run = make_result(method, game="pong", variant="steps=3000")
        run["scores"]["protocols"]["paper"]["f1"]["categories"]["misc_keys"] = 0.4
        write_results(tmp_path / method, run)
    page = Page(write(read_record(tmp_path))[0].read_text("utf-8"))
    for title, (_, rows) in page.tables.items():
        for block, label in rows:
            assert label, (title, block)


def test_what_is_seen_on_the_screen_in_all_frames_is_not_at_least_all(page) -> None:
    assert "100%" not in page.text
    assert "something was at that place" in page.text
    assert "what moves is seen twice" in page.text


def test_one_is_no_plural(tmp_path, make_result) -> None:
    write_results(tmp_path / "a", make_result())
    for number in (1, 2):
        text = Page(write(read_record(tmp_path))[0].read_text("utf-8")).text
        assert not re.search(r"\b1 (methods|runs|games|seeds|pairs|others|frames|epochs)\b", text)
        write_results(tmp_path / f"b{number}", make_result("vae", values=(0.1, 0.2, 0.3)))


def test_a_curve_of_one_epoch_has_dots(tmp_path, make_result) -> None:
    write_results(tmp_path / "a", make_result())
    metrics = tmp_path / "a" / "metrics.csv"
    for epochs, dots in ((1, 2), (2, 0)):
        rows = "".join(f"{k},{3.5 - k},\n{k},,{3.0 - k}\n" for k in range(epochs))
        metrics.write_text("epoch,val/loss,train/loss\n" + rows)
        source = write(read_record(tmp_path))[0].read_text("utf-8")
        (drawn,) = re.findall(r"<svg[^>]*: loss over the epochs of .*?</svg>", source, re.DOTALL)
        # Matplotlib draws a marker as a reference to its shape; ticks are of the text's colour.
        used = [use for use in re.findall("<use [^>]*>", drawn) if "currentColor" not in use]
        assert len(used) == dots
        ticks = re.findall(r">(\d+)</text>", drawn)
        assert "1" in ticks


def test_small_losses_keep_their_ticks(tmp_path, make_result) -> None:
    write_results(tmp_path / "a", make_result("pixel-pred"))
    lines = "".join(f"{epoch},{0.004 + 0.002 * epoch}\n" for epoch in range(3))
    (tmp_path / "a" / "metrics.csv").write_text("epoch,val/loss\n" + lines)
    ticks = re.findall(r">0\.00\d<", write(read_record(tmp_path))[0].read_text())
    assert len(set(ticks)) == len(ticks) > 1


def test_collapsed_encoders_are_pointed_out(tmp_path, make_result) -> None:
    for seed, last in enumerate((1.4, 30)):
        folder = tmp_path / f"run{seed}"
        write_results(folder, make_result(seed=seed))
        rows = f"epoch,health/effective_rank,val/loss\n0,30,\n0,,8.3\n1,{last},\n1,,5.4\n"
        (folder / "metrics.csv").write_text(rows)
    page, text = (path.read_text() for path in write(read_record(tmp_path))[:2])
    for words in (page, text):
        assert "a training that failed: ST-DIM (Pong, seed 0)." in words
    (tmp_path / "run0" / "metrics.csv").write_text(rows)
    assert "training that failed" not in write(read_record(tmp_path))[0].read_text()


def test_copies_of_a_run_are_no_seeds(tmp_path, make_result) -> None:
    for seed in range(3):
        write_results(tmp_path / f"a{seed}", make_result(seed=seed))
        other = make_result("vae", seed, (0.1, 0.2, 0.3))
        write_results(tmp_path / f"b{seed}", other)
    page = Page(write(read_record(tmp_path))[0].read_text())
    assert (
        "Under the converged protocol ST-DIM leads with 0.60. As the differences are" in page.text
    )
    assert (
        "ST-DIM against VAE cannot be judged: the difference is +0.38 in all 3 seeds" in page.text
    )
    assert "same scores as another seed of theirs" in page.text
    assert "ST-DIM (Pong, seed 0); ST-DIM (Pong, seed 1);" in page.text
    assert "±.00" not in page.text
    assert columns_of(page, TABLE_2.format("converged"))["", "Pong"]["ST-DIM"] == "0.60"


@pytest.mark.parametrize("seed", [0, 1])
def test_equal_scores_under_two_label_sets_are_no_copies(tmp_path, make_result, seed) -> None:
    for number, label_set in ((0, "paper"), (seed, "upstream")):
        run = make_result(seed=number)
        run["scores"]["label_set"] = label_set
        write_results(tmp_path / label_set, run)
    record = read_record(tmp_path)
    page, *_ = write_report(record, compare_games(record, mixed_label_sets=True))
    assert "they are copies" not in page.read_text("utf-8")


def test_the_leader_is_said_to_be_ahead_of_whom(tmp_path, make_result) -> None:
    for seed in (0, 1):
        for method, score in (("st-dim", 0.6), ("vae", 0.55 + seed / 20), ("cpc", 0.1)):
            run = make_result(method, seed, (score + seed / 1000 * (method == "cpc"),) * 3)
            write_results(tmp_path / f"{method}{seed}", run)
    page = Page(write(read_record(tmp_path))[0].read_text())
    assert "The runs do not resolve its lead over VAE (1 of 2 others)." in page.text


def test_equal_methods_tie(tmp_path, make_result) -> None:
    for method, value in (("st-dim", 0.4), ("vae", 0.4), ("cpc", 0.3)):
        for seed in (0, 1):
            run = make_result(method, seed, (value + seed / 10,) * 3)
            write_results(tmp_path / f"{method}{seed}", run)
    page = Page(write(read_record(tmp_path))[0].read_text())
    assert "Under the converged protocol VAE and ST-DIM tie with 0.45." in page.text
    assert "VAE and ST-DIM have the same score in 2 seeds: a tie." in page.text
    assert "leads" not in page.text


def test_a_record_with_a_nan_is_judged_in_words(tmp_path, make_result) -> None:
    for seed in range(3):
        write_results(tmp_path / f"a{seed}", make_result(seed=seed, values=(0.2, 0.4 + seed, 0.9)))
        write_results(tmp_path / f"b{seed}", make_result("vae", seed, (0.3, 0.4, 0.1 * seed)))
        write_results(tmp_path / f"c{seed}", make_result("cpc", seed, (0.1, 0.1, 0.2 * seed)))
    path = tmp_path / "a1" / "results.json"
    path.write_text(re.sub(r'("ball_y"|"mean_\w+"): [\d.]+', r"\1: NaN", path.read_text()))
    page = Page(write(read_record(tmp_path))[0].read_text())
    assert not re.search(r"\bnan\b", page.text)
    assert "lack scores (NaN or null)" in page.text
    assert "ahead: ST-DIM (Pong, seed 1)." in page.text
    assert "Under the converged protocol VAE leads" in page.text
    assert not re.search(r"ST-DIM (against|is ahead)|(ahead of|against) ST-DIM", page.text)


def test_a_method_without_numbers_is_counted_and_has_no_mean(tmp_path, make_result) -> None:
    for seed in range(2):
        write_results(tmp_path / f"a{seed}", make_result(seed=seed, values=(0.2, 0.4, 0.9)))
        write_results(tmp_path / f"b{seed}", make_result("vae", seed, (0.3, 0.4, 0.1 * seed)))
    path = tmp_path / "a1" / "results.json"
    path.write_text(re.sub(r'("ball_y"|"mean_\w+"): [\d.]+', r"\1: NaN", path.read_text()))
    page = Page(write(read_record(tmp_path))[0].read_text())
    assert "2 methods on Pong" in page.text
    assert "not every game has a run" not in page.text
    for protocol in ("paper", "converged"):
        rows = columns_of(page, TABLE_2.format(protocol))
        (ours,) = (row for (_, line), row in rows.items() if line in ("ours", "Pong"))
        assert ours["ST-DIM"] == "–"
        assert ours["VAE"] != "–"


def test_one_variable_without_a_score_leaves_no_verdict_under_its_protocol(
    tmp_path, make_result
) -> None:
    for seed in range(3):
        write_results(tmp_path / f"a{seed}", make_result(seed=seed, values=(0.2, 0.4 + seed, 0.9)))
        write_results(tmp_path / f"b{seed}", make_result("vae", seed, (0.3, 0.4, 0.1 * seed)))
        write_results(tmp_path / f"c{seed}", make_result("cpc", seed, (0.1, 0.1, 0.2 * seed)))
    path = tmp_path / "a1" / "results.json"
    run = json.loads(path.read_text())
    run["scores"]["protocols"]["converged"]["f1"]["variables"]["ball_y"] = None
    path.write_text(json.dumps(run))
    page = Page(write(read_record(tmp_path))[0].read_text())
    assert "Under the converged protocol the records of these runs lack scores" in page.text
    assert "ahead: ST-DIM (Pong, seed 1)." in page.text
    assert "Under the converged protocol VAE leads" in page.text
    assert "Under the paper protocol ST-DIM leads" in page.text
    # Verdicts are under the converged protocol.
    assert not re.search(r"ST-DIM (against|is ahead)|(ahead of|against) ST-DIM", page.text)


def test_smoke_runs_are_not_ranked(tmp_path, make_result) -> None:
    for seed in (0, 1):
        for game in ("pong", "breakout"):
            for method, level in (("st-dim", 0.9), ("vae", 0.8)):
                values = (level, level, level - 0.1 * seed * (method == "vae"))
                run = make_result(method, seed, values, preset="smoke", game=game)
                write_results(tmp_path / game / method / str(seed), run)
    record = read_record(tmp_path)
    alone = Page(write(record)[0].read_text())
    for method, level in (("cpc", 0.3), ("byol", 0.2)):
        for seed in (0, 1):
            run = make_result(method, seed, (level, level, level + 0.1 * seed))
            write_results(tmp_path / method / str(seed), run)
    mixed = Page(write(read_record(tmp_path))[0].read_text())
    judged = r"(ahead of|against|over|leads|tie|stand in|order)\b"
    summary, _, _ = alone.text.partition("Beside the published tables")
    assert "2 methods on 2 games" in summary
    assert "not every game" not in summary
    assert not re.search(f"ST-DIM {judged}|VAE {judged}|{judged} (ST-DIM|VAE)", alone.text)
    ranking = ("Over all games", "Probability of", "The same features", "Ways to average")
    assert not [title for title in alone.tables if title.startswith(ranking)]
    assert "No method whose scores mean something" in alone.text
    assert "Under the converged protocol CPC (preset=laptop) leads" in mixed.text
    assert "CPC (preset=laptop) against BYOL" in mixed.text
    assert not re.search(rf"smoke\) {judged}|{judged} [\w-]+ \(preset=smoke", mixed.text)
    _, rows = mixed.tables["The same features under both protocols"]
    assert [name for _, name in rows] == ["CPC (preset=laptop)", "BYOL (preset=laptop)"]


def test_runs_of_different_presets_are_not_judged_together(tmp_path, make_result) -> None:
    for seed in (0, 1):
        for k, preset in enumerate(("laptop", "paper")):
            for method, level in (("st-dim", 0.3), ("vae", 0.2)):
                run = make_result(method, seed, (level + 0.4 * k,) * 3, preset=preset)
                write_results(tmp_path / preset / method / str(seed), run)
    text = Page(write(read_record(tmp_path))[0].read_text()).text
    for preset, score in (("laptop", "0.30"), ("paper", "0.70")):
        words = f"Under the converged protocol, among the runs of preset {preset}, ST-DIM"
        assert f"{words} (preset={preset}) leads with {score}." in text
        assert f"ST-DIM (preset={preset}) against VAE (preset={preset})" in text
    assert not re.search(r"preset=(\w+)\) (against|is ahead of) [\w-]+ \(preset=(?!\1)", text)


@pytest.mark.parametrize("other", ["smoke", None])
def test_runs_of_different_presets_are_kept_apart(tmp_path, make_result, other) -> None:
    for seed in (0, 1):
        write_results(tmp_path / f"a{seed}", make_result(seed=seed, values=(0.2 + seed / 10,) * 3))
    write_results(tmp_path / "b", make_result(seed=0, values=(0.8,) * 3, preset=other))
    write_results(tmp_path / "c", make_result("vae", game="breakout", preset=other))
    record = read_record(tmp_path)
    page = Page(write(record)[0].read_text())
    words = f"preset={other}" if other else "no preset"
    rows = columns_of(page, TABLE_2.format("paper"))
    assert rows["Pong", "ours"]["ST-DIM (preset=laptop)"].startswith("0.25±")
    assert rows["Pong", "ours"][f"ST-DIM ({words})"] == "0.80"
    assert rows["Pong", "published"][f"ST-DIM ({words})"] == "0.81"
    assert f"VAE ({words})" in rows["Breakout", "ours"]
    # Reported on alone, a method's runs of one preset need no name for it.
    page = Page(write(record.only(["vae"]))[0].read_text())
    assert columns_of(page, TABLE_2.format("paper"))["Breakout", "ours"]["VAE"] == "0.60"
    assert "preset=" not in page.text


def test_methods_of_different_seeds_are_pointed_out(tmp_path, make_result) -> None:
    write_results(tmp_path / "a0", make_result(seed=0))
    write_results(tmp_path / "b0", make_result("vae", seed=0))
    assert "seeds that others lack" not in write(read_record(tmp_path))[0].read_text()
    write_results(tmp_path / "b1", make_result("vae", seed=1))
    assert "seeds that others lack" in write(read_record(tmp_path))[0].read_text()


def test_majority_alone(tmp_path, make_result) -> None:
    write_results(tmp_path / "a", make_result("majority", protocols=("majority",)))
    page = Page(write(read_record(tmp_path))[0].read_text())
    assert "No method has been probed under both protocols." in page.text
    assert page.tables[TABLE_2.format("converged")][1]["", "Pong"][0] == "0.60"


def test_runs_of_different_seeds_are_not_paired(tmp_path, make_result) -> None:
    write_results(tmp_path / "a", make_result(seed=0))
    write_results(tmp_path / "b", make_result("vae", seed=1))
    write_results(tmp_path / "c", make_result("cpc", seed=0, protocols=("paper",)))
    write_results(tmp_path / "d", make_result("cpc", seed=1, protocols=("converged",)))
    page = Page(write(read_record(tmp_path))[0].read_text())
    _, rows = page.tables["The same features under both protocols"]
    assert rows["", "CPC"][-2:] == ["–", "0.71"]  # what the paper has
    assert "is ahead of" not in page.text


def test_variants_are_methods_of_their_own(tmp_path, make_result) -> None:
    write_results(tmp_path / "a", make_result())
    write_results(tmp_path / "b", make_result(values=(0.6, 0.6, 0.6), variant="steps=3000"))
    page = Page(write(read_record(tmp_path))[0].read_text())
    columns, rows = page.tables[TABLE_2.format("paper")]
    k = columns.index("ST-DIM (steps=3000)") - 1
    assert rows["Pong", "ours"][k] == "0.60"
    assert rows["Pong", "published"][k] == "–"
    assert rows["Pong", "published"][columns.index("ST-DIM") - 1] == "0.81"


def test_some_methods_elsewhere(tmp_path, make_result, capsys) -> None:
    for k, method in enumerate(("st-dim", "vae", "cpc")):
        write_results(tmp_path / "runs" / str(k), make_result(method))
    words = [
        "report",
        str(tmp_path / "runs"),
        "--methods=st-dim,cpc",
        f"--out={tmp_path / 'some'}",
    ]
    assert main(words) == 0
    columns, _ = Page((tmp_path / "some" / "report.html").read_text()).tables[
        TABLE_2.format("paper")
    ]
    assert {"ST-DIM", "CPC"} < set(columns)
    assert "VAE" not in columns
    assert (tmp_path / "some" / "pong" / "comparison.png").is_file()
    assert not (tmp_path / "runs" / "report.html").exists()
    command = f"report {tmp_path / 'runs'} --methods st-dim,cpc --out {tmp_path / 'some'}"
    assert command in (tmp_path / "some" / "report.md").read_text()
    capsys.readouterr()
    assert main([*words[:2], "--methods=byol"]) == 2
    assert "no run of 'byol' has finished" in capsys.readouterr().err


def test_runs_on_other_frames_are_not_averaged_with_these(tmp_path, make_result) -> None:
    def run(method: str, majority: float, mode: int | None, dropped: dict[str, str]) -> None:
        variant = "" if mode is None else f"mode={mode}"
        found = make_result(method, variant=variant)
        found["scores"]["provenance"] = {"collection": {"mode": mode} if variant else {}}
        found["scores"]["entropies"] = {"ball_x": 5 * majority}
        f1 = make_result(values=(majority,) * 3)["scores"]["protocols"]["paper"]
        found["scores"]["controls"] = {"majority": f1}
        found["scores"]["dropped"] = dropped
        write_results(tmp_path / f"{method}{variant}", found)

    run("st-dim", 0.2, None, {})
    run("vae", 0.2, None, {})
    run("cpc", 0.8, 1, {"lives": "entropy 0.1 nats"})
    page = Page(write(read_record(tmp_path))[0].read_text())
    _, rows = page.tables["Pong: label entropy, and F1 without a representation"]
    assert rows["", "ball_x"][:2] == ["1.00", "0.20"]
    assert "Frames: the protocol’s." in page.text
    assert "Not scored (mode 1): lives" in page.text


def test_the_command(tmp_path, make_result, capsys) -> None:
    write_results(tmp_path / "pong" / "st-dim" / "seed0", make_result())
    write_results(tmp_path / "pong" / "vae" / "seed0", make_result("vae", values=(0.1, 0.2, 0.3)))
    (tmp_path / "pong" / "cpc").mkdir()
    (tmp_path / "pong" / "cpc" / "seed0.error.txt").write_text("error: no memory left\n")
    assert main(["report", str(tmp_path)]) == 0
    *_, verdict, failure, last = printed = capsys.readouterr().out.splitlines()
    assert verdict.startswith("ST-DIM against VAE")
    assert failure == "pong/cpc/seed0 failed: error: no memory left"
    assert last == f"report: {tmp_path / 'report.html'}"
    assert len(printed) < 8  # and no tables
    for name in ("report.html", "report.md", "report.csv"):
        assert (tmp_path / name).stat().st_size
    for suffix in ("md", "csv", "png"):
        assert (tmp_path / "pong" / f"comparison.{suffix}").stat().st_size
    assert main(["report", str(tmp_path), "--tables"]) == 0
    assert "Mean over categories" in capsys.readouterr().out
    assert main(["report", str(tmp_path / "nowhere")]) == 2
    assert "no run has finished there" in capsys.readouterr().err


def columns_of(page: Page, title: str) -> dict[tuple[str, str], dict[str, str]]:
    """Give a table's rows with their cells by column."""
    columns, rows = page.tables[title]
    return {name: dict(zip(columns[1:], cells, strict=True)) for name, cells in rows.items()}


def test_many_methods_on_one_game_are_rows(tmp_path, make_result) -> None:
    methods = ("random-cnn", "vae", "cpc", "static-dim", "st-dim", "byol", "vicreg")
    for k, method in enumerate(methods):
        write_results(tmp_path / method, make_result(method, values=(k / 10,) * 3))
    page = Page(write(read_record(tmp_path))[0].read_text())
    rows = columns_of(page, TABLE_2.format("paper"))
    none = {"reproduction": "–", "ours − reproduction": "–"}  # it has ST-DIM alone
    assert (
        rows["", "CPC"] == {"ours": "0.20", "published": "0.71", "ours − published": "−0.51"} | none
    )
    assert rows["", "BYOL"] == {"ours": "0.50", "published": "–", "ours − published": "–"} | none
    assert rows["", "ST-DIM"]["reproduction"] == "0.84"
    assert rows["", "ST-DIM"]["ours − reproduction"] == "−0.44"
    assert columns_of(page, TABLE_2.format("converged"))["", "CPC"] == {"Pong": "0.20"}
    rows = columns_of(page, "F1 by category, paper protocol")
    assert rows["CPC", "ours"]["Agent localization"] == "0.20"
    assert rows["CPC", "published, 22 games"]["Agent localization"] == "0.43"
    titles = [title for title in page.tables if title.startswith("Pong: F1 (weighted")]
    assert titles == [f"Pong: F1 (weighted by class support), part {k} of 2" for k in (1, 2)]


@pytest.mark.parametrize(("spread", "words"), [(0.01, "Of 1 the runs"), (0.3, "The runs do not")])
def test_a_change_of_order_is_called_resolved_only_if_the_runs_resolve_it(
    tmp_path, make_result, spread, words
) -> None:
    for seed in range(3):
        one, other = make_result("st-dim", seed), make_result("random-cnn", seed)
        for run, (paper, converged) in ((one, (0.6, 0.5)), (other, (0.2, 0.7))):
            if run is other:  # how far it is ahead depends on the seed
                converged += spread * (seed - 1)
                paper += spread / 10 * (seed - 1)
            for name, value in (("paper", paper + seed / 100), ("converged", converged)):
                run["scores"]["protocols"][name] = make_result(values=(value,) * 3)["scores"][
                    "protocols"
                ]["paper"]
            write_results(tmp_path / run["method"] / str(seed), run)
    page = Page(write(read_record(tmp_path))[0].read_text())
    assert f"Of 1 pair of methods 1 changes order between the two protocols. {words}" in page.text
    rows = columns_of(page, "The same features under both protocols")
    assert rows["", "ST-DIM"]["Runs"] == "3"
    assert rows["", "ST-DIM"]["Published"] == "0.81"


def test_equal_methods_share_a_place(tmp_path, make_result) -> None:
    for method in ("st-dim", "vae"):
        write_results(tmp_path / method, make_result(method))
    write_results(tmp_path / "cpc", make_result("cpc", values=(0.1, 0.1, 0.1)))
    page = Page(write(read_record(tmp_path))[0].read_text())
    _, rows = page.tables["The same features under both protocols"]
    assert [rows["", name][2] for name in ("ST-DIM", "VAE", "CPC")] == ["1", "1", "3"]


def test_a_seed_with_more_runs_counts_no_more_in_the_controls(tmp_path, make_result) -> None:
    for method, seed in (("st-dim", 0), ("vae", 0), ("vae", 1)):
        run = make_result(method, seed)
        run["scores"]["entropies"] = {"ball_x": 1.0 + seed}
        level = make_result(values=(0.2 + 0.4 * seed,) * 3)["scores"]["protocols"]["paper"]
        run["scores"]["controls"] = {"majority": level}
        write_results(tmp_path / f"{method}{seed}", run)
    page = Page(write(read_record(tmp_path))[0].read_text())
    _, rows = page.tables["Pong: label entropy, and F1 without a representation"]
    assert rows["", "ball_x"][:2] == ["1.50", "0.40"]


def test_other_frames_are_another_task(tmp_path, make_result) -> None:
    for method, mode in (("st-dim", None), ("vae", None), ("st-dim", 1)):
        run = make_result(method, variant="" if mode is None else f"probe.mode={mode}")
        run["scores"]["provenance"] = {"collection": {} if mode is None else {"mode": mode}}
        write_results(tmp_path / f"{method}{mode}", run)
    page = Page(write(read_record(tmp_path))[0].read_text())
    words = "Probed on other frames, so compared only in the tables below: ST-DIM (probe.mode=1)."
    assert words in page.text
    assert ("", "ST-DIM (probe.mode=1)") not in page.tables["Ways to average, converged protocol"][
        1
    ]


def test_the_commands_run_what_was_run(tmp_path, make_result) -> None:
    """Each method as many seeds as it has, the user's own preset by its file, agents by hand."""
    fit = "python -m lightning_stdim fit --config"
    for seed in (0, 1):
        write_results(tmp_path / f"a{seed}", make_result("st-dim", seed))
    write_results(tmp_path / "b", make_result("vae"))
    write_results(tmp_path / "c", make_result("pretrained-agent"))
    own = make_result("byol", command=f"{fit} my/laptop.yaml --seed 0")  # it says laptop, too
    write_results(tmp_path / "d", own)
    write_results(tmp_path / "e", make_result("vicreg", variant="steps=3000"))
    agent = make_result(
        "pretrained-agent", 1, command=f"{fit} x/configs/laptop.yaml --config agents/it.yaml"
    )
    write_results(tmp_path / "g", agent)
    shipped = make_result(
        "cpc", command=f"{fit} x/configs/laptop.yaml --config x/configs/methods/cpc.yaml"
    )
    write_results(tmp_path / "h", shipped)
    class_ = make_result("Mine", command=f"{fit} x/configs/laptop.yaml --model my_module.Mine")
    write_results(tmp_path / "f", class_)
    page = write(read_record(tmp_path))[0].read_text()
    commands = re.search("<pre>(.*?)</pre>", page, re.DOTALL)[1].splitlines()
    start = "python -m lightning_stdim benchmark --games pong --methods "
    end = f"--out {tmp_path}"
    assert commands == [
        f"{start}vae,my_module.Mine,cpc --seeds 1 --preset laptop {end}",
        f"{start}st-dim,agents/it.yaml --seeds 2 --preset laptop {end}",
        f"{start}byol --seeds 1 --preset my/laptop.yaml {end}",
        f"python -m lightning_stdim report {tmp_path}",
    ]
    assert "by their own commands below" in page


def test_what_a_sweep_changes(tmp_path, make_result) -> None:
    def run(variant: str, seed: int, paper: float, mode: int | None = None, **changes) -> None:
        found = make_result("st-dim", seed, (paper,) * 3, variant=variant, **changes)
        found["scores"]["provenance"] = {"collection": {} if mode is None else {"mode": mode}}
        write_results(tmp_path / (variant or "own") / str(seed), found)

    for seed in (0, 1):
        run("", seed, 0.5 + seed / 10)
    run("probe.hidden=256", 0, 0.6, protocols=("paper",))
    run("lr=1e-3", 0, 0.9)
    run("mode=1", 0, 0.4, mode=1)
    run("probe.mode=1", 0, 0.3, mode=1)
    run("mode=1,probe.mode=default", 0, 0.2)
    page = Page(write(read_record(tmp_path))[0].read_text())
    rows = columns_of(page, "Pong: F1 of variants, mean over categories")
    assert ("", "ST-DIM") not in rows
    assert ("", "ST-DIM (mode=1)") not in rows  # the own runs of its frames
    _, rows = page.tables["Pong: F1 of variants, mean over categories"]
    assert rows["", "ST-DIM (lr=1e-3)"][:4] == ["preset's", "protocol's", "0.90", "+0.40"]
    # On the seed that both have; mode 1's frames beside those trained there, and back.
    assert rows["", "ST-DIM (probe.hidden=256)"] == [
        *("preset's", "protocol's", "0.60", "+0.10", "–", "–"),
    ]
    assert rows["", "ST-DIM (probe.mode=1)"][:4] == ["mode=1", "mode 1", "0.30", "−0.10"]
    assert rows["", "ST-DIM (mode=1,probe.mode=default)"][:4] == [
        *("preset's", "protocol's", "0.20", "−0.30"),
    ]


def test_f1_by_number_of_frames(tmp_path, make_result) -> None:
    for steps in (1000, 4000):
        run = make_result(variant=f"steps={steps}")
        run["budget"]["pretrain_frames"] = steps
        write_results(tmp_path / str(steps), run)
    page = Page(write(read_record(tmp_path))[0].read_text())
    drawn = [a["aria-label"] for tag, a in page.tags if tag == "svg" and a.get("role") == "img"]
    assert "pong, ST-DIM: F1 against 2 numbers of frames." in drawn
    assert not any("Random-CNN: F1 against" in label for label in drawn)


def test_differences_to_the_papers_agent(tmp_path, make_result, capsys) -> None:
    for name in ("majority", "random-cnn", "st-dim"):
        key = RunKey("pong", name, 0, (("policy", "agents/ppo.zip"),))
        protocols = ("majority",) if name == "majority" else ("paper", "converged")
        run = make_result(name, key=key.to_dict(), variant=key.variant, protocols=protocols)
        run["scores"]["provenance"] = {"collection": {"policy": "ppo.zip", "epsilon": 0.2}}
        write_results(tmp_path / name, run)
    assert main(["report", str(tmp_path)]) == 0
    page = Page((tmp_path / "report.html").read_text())
    rows = columns_of(page, TABLE_2.format("paper"))
    mine = rows["Pong", "ours"], rows["Pong", "published, PPO agent"]
    name = "ST-DIM (policy=ppo)"
    assert [cells[name] for cells in mine] == ["0.60", "0.79"]
    assert rows["Pong", "ours − published, PPO agent"][name] == "−0.19"
    assert not any(line == "published" for _, line in rows)
    rows = columns_of(page, "F1 by category, paper protocol")
    printed = rows["Agent localization", "published, PPO agent, 22 games"]
    assert printed[name] == "0.54"
    protocols = columns_of(page, "The same features under both protocols")["", name]
    assert protocols["Published, PPO agent"] == "0.79"
    assert main(["report", str(tmp_path), "--paper_agent", "random"]) == 0
    page = Page((tmp_path / "report.html").read_text())
    assert columns_of(page, TABLE_2.format("paper"))["", "ST-DIM"]["published"] == "0.81"


def test_the_commands_of_runs_with_keys(tmp_path, make_result) -> None:
    """What a benchmark made, by its own record; what was made by hand, by its own command."""

    def write_run(method, options=(), folder=None, seed=0, more=""):
        key = RunKey("pong", method, seed, options)
        words = f"python -m lightning_stdim fit --config some/other.yaml{more}"  # says no more
        run = make_result(method, seed, key=key.to_dict(), variant=key.variant, command=words)
        write_results(folder or key.folder(tmp_path), run)

    for seed in (0, 1):
        write_run("st-dim", seed=seed)
    write_run("my_module.Mine")
    write_run("wide")
    write_run("vae", (("steps", "3000"),))
    write_run("cpc", folder=tmp_path / "by-hand")
    write_run("byol", more=" --protocols paper,challenge")
    Path(tmp_path / "wide.yaml").write_text("model: STDIM")
    files = {"wide": str(tmp_path / "wide.yaml")}
    GridRecord.of("laptop", files).write(tmp_path)
    page = write(read_record(tmp_path))[0].read_text()
    found = re.search("<pre>(.*?)</pre>", page, re.DOTALL)[1].splitlines()
    start = "python -m lightning_stdim benchmark --games pong --methods "
    end = f"--preset laptop --out {tmp_path}"
    assert found[:-1] == [
        f"{start}my_module.Mine,{files['wide']} --seeds 1 {end}",
        f"{start}byol --seeds 1 {end.replace(' --out', ' --protocols paper,challenge --out')}",
        f"{start}st-dim --seeds 2 {end}",
    ]
    assert "by their own commands below" in page
