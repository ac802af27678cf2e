from __future__ import annotations

import pytest
from scipy import stats

from lightning_stdim.errors import ConfigurationError
from lightning_stdim.report.output.table_image import png
from lightning_stdim.report.output.text import tidy_csv
from lightning_stdim.report.tables.comparison import Table, compare


def value_of(table: Table, row: str, group: str, method: str, protocol: str = ""):
    rows = [r.name for r in table.rows]
    columns = [(c.group, c.method, c.protocol) for c in table.columns]
    return table.cells[rows.index(row)][columns.index((group, method, protocol))]


def test_a_hand_computed_table(make_result) -> None:
    results = [
        make_result(seed=0, values=(0.2, 0.4, 0.9)),  # categories 0.3 and 0.9
        make_result(seed=1, values=(0.4, 0.6, 0.7)),  # categories 0.5 and 0.7
    ]
    table = compare(results, game="pong", metric="f1")
    expected = {
        "small_object_localization": 0.4,
        "agent_localization": 0.8,
        "mean_over_categories": 0.6,
        "mean_over_variables": 8 / 15,
        "ball_x": 0.3,
        "player_y": 0.8,
    }
    for row, mean in expected.items():
        cell = value_of(table, row, "ours", "st-dim", "converged")
        assert cell.value == pytest.approx(mean)
        assert cell.runs == 2
    interval = stats.t.interval(0.95, 1, loc=0.4, scale=stats.sem([0.3, 0.5]))
    cell = value_of(table, "small_object_localization", "ours", "st-dim", "paper")
    assert cell.half_width == pytest.approx((interval[1] - interval[0]) / 2)
    # The mean over categories is the same in both seeds: (0.3 + 0.9) / 2 = (0.5 + 0.7) / 2.
    cell = value_of(table, "mean_over_categories", "ours", "st-dim", "paper")
    assert (cell.half_width, cell.runs) == (None, 2)


def test_all_metrics_have_the_same_columns(make_result) -> None:
    results = [make_result(method) for method in ("cpc", "vae", "global-t-dim", "st-dim")]
    f1, accuracy = (compare(results, game="pong", metric=name) for name in ("f1", "accuracy"))
    assert f1.columns == accuracy.columns
    paper = [column.method for column in f1.columns if column.group == "paper"]
    assert {"cpc", "vae", "global-t-dim"} <= set(paper)  # of which it prints no accuracy
    assert png([f1, accuracy]).startswith(b"\x89PNG")


def test_a_variant_has_columns_of_its_own(make_result) -> None:
    results = [
        make_result(values=(0.2, 0.2, 0.2)),
        make_result(values=(0.6, 0.6, 0.6), variant="steps=3000"),
        make_result(values=(0.4, 0.4, 0.4), variant="steps=3000", seed=1),
    ]
    table = compare(results, game="pong", metric="f1")
    ours = [k for k, column in enumerate(table.columns) if column.group == "ours"]
    assert [table.columns[k].title for k in ours] == ["ST-DIM"] * 2 + ["ST-DIM (steps=3000)"] * 2
    assert [table.cells[0][k].value for k in ours] == pytest.approx([0.2, 0.2, 0.5, 0.5])
    assert [table.cells[0][k].runs for k in ours] == [1, 1, 2, 2]


def test_rows_and_columns_in_order(make_result) -> None:
    results = [
        make_result("supervised", protocols=("converged", "supervised")),
        make_result("MyMethod"),
        make_result("st-dim", protocols=("converged", "paper")),
        make_result("majority", protocols=("majority",)),
        make_result("random-cnn"),
    ]
    table = compare(results, game="pong", metric="f1")
    assert [(c.group, c.method, c.protocol) for c in table.columns] == [
        ("ours", "majority", "majority"),
        ("ours", "random-cnn", "paper"),
        ("ours", "random-cnn", "converged"),
        ("ours", "st-dim", "paper"),
        ("ours", "st-dim", "converged"),
        ("ours", "supervised", "supervised"),
        ("ours", "supervised", "converged"),
        ("ours", "MyMethod", "paper"),
        ("ours", "MyMethod", "converged"),
        ("report", "random-cnn", ""),
        ("report", "st-dim", ""),
        ("report", "supervised", ""),
        ("paper", "majority", ""),
        ("paper", "random-cnn", ""),
        ("paper", "st-dim", ""),
        ("paper", "supervised", ""),
        ("reproduction", "st-dim", ""),
    ]
    assert [(row.kind, row.name) for row in table.rows] == [
        ("category", "small_object_localization"),
        ("category", "agent_localization"),
        ("category", "other_localization"),  # published, though ours lacks it here
        ("category", "score_clock_lives_display"),
        ("mean", "mean_over_categories"),
        ("mean", "mean_over_variables"),
        ("variable", "ball_x"),
        ("variable", "ball_y"),
        ("variable", "player_y"),
        ("variable", "enemy_score"),
        ("variable", "enemy_y"),
        ("variable", "player_score"),
    ]
    assert value_of(table, "enemy_y", "ours", "st-dim", "paper") is None


PLAYER_Y = ["player_y", "ours", "st-dim"]


def test_the_reports_f1_stands_beside_the_right_one(make_result) -> None:
    three = ("paper", "converged", "challenge")
    results = [
        make_result("majority", protocols=("majority",), by_report=("majority",)),
        make_result(protocols=three, by_report=("challenge",)),
        make_result(seed=1),
        make_result(
            "supervised",
            protocols=("supervised", *three),
            by_report=("supervised", "challenge"),
        ),
    ]
    f1, accuracy = (compare(results, game="pong", metric=name) for name in ("f1", "accuracy"))
    assert [(c.title, c.subtitle, c.scored_by) for c in f1.columns if c.group == "ours"] == [
        ("Majority", "", "majority"),
        ("Majority", "challenge report's F1", "majority report_f1"),
        ("ST-DIM", "paper", "paper"),
        ("ST-DIM", "converged", "converged"),
        ("ST-DIM", "challenge", "challenge"),
        ("ST-DIM", "challenge, challenge report's F1", "challenge report_f1"),
        ("Supervised", "end to end", "supervised"),
        ("Supervised", "end to end, challenge report's F1", "supervised report_f1"),
        ("Supervised", "paper", "paper"),
        ("Supervised", "converged", "converged"),
        ("Supervised", "challenge", "challenge"),
        ("Supervised", "challenge, challenge report's F1", "challenge report_f1"),
    ]
    row = [row.name for row in f1.rows].index("player_y")
    of_stdim = [
        (cell.value, cell.runs)
        for column, cell in zip(f1.columns, f1.cells[row], strict=True)
        if (column.group, column.method) == ("ours", "st-dim")
    ]
    assert of_stdim == [(0.9, 2), (0.9, 2), (0.9, 1), (0.225, 1)]
    assert f1.columns == accuracy.columns
    for column, cell in zip(accuracy.columns, accuracy.cells[row], strict=True):
        if column.group == "ours":  # the report's F1 is no accuracy
            assert (cell is None) == (column.metric == "report_f1")
    assert any("Challenge is the protocol of the challenge report" in note for note in f1.notes)
    assert png([f1, accuracy]).startswith(b"\x89PNG")
    lines = [line.split(",") for line in tidy_csv([f1, accuracy]).splitlines()]
    values = {(line[1], line[6]): line[7] for line in lines if line[3:6] == PLAYER_Y}
    assert values["report_f1", "challenge"] == "0.225"
    assert values["f1", "challenge"] == "0.9"
    assert values["accuracy", "challenge"] == "0.45"


def test_the_mean_weighted_by_entropy_has_a_row_where_a_run_has_one(make_result) -> None:
    old, new = make_result(seed=0), make_result(seed=1)
    for metrics in new["scores"]["protocols"].values():
        metrics["f1"]["mean_weighted_by_entropy"] = 0.7
    table = compare([old, new], game="pong", metric="f1")
    cell = value_of(table, "mean_weighted_by_entropy", "ours", "st-dim", "paper")
    assert (cell.value, cell.runs) == (0.7, 1)
    assert value_of(table, "mean_weighted_by_entropy", "paper", "st-dim") is None


def test_published_numbers_stand_beside_ours(make_result) -> None:
    table = compare([make_result()], game="pong", metric="f1")
    assert value_of(table, "mean_over_categories", "report", "random-cnn").value == 0.66
    printed = value_of(table, "mean_over_categories", "paper", "random-cnn")
    assert (printed.value, printed.derived, printed.half_width) == (0.17, False, None)
    assert value_of(table, "agent_localization", "paper", "st-dim").derived
    assert not value_of(table, "player_y", "paper", "st-dim").derived
    assert not value_of(table, "agent_localization", "report", "st-dim").derived
    assert value_of(table, "mean_over_variables", "report", "st-dim") is None


def test_accuracy_is_another_table(make_result) -> None:
    table = compare([make_result()], game="pong", metric="accuracy")
    assert value_of(table, "ball_y", "ours", "st-dim", "paper").value == 0.2
    assert value_of(table, "mean_over_categories", "paper", "st-dim").value == 0.82
    assert value_of(table, "ball_y", "paper", "st-dim") is None


def by_an_agent(run, policy: str = "ppo.zip"):
    run["scores"]["provenance"] = {"collection": {"policy": policy, "epsilon": 0.2}}
    return run


def published(table: Table) -> set[tuple[str, str, str]]:
    return {(c.group, c.method, c.variant) for c in table.columns if c.group != "ours"}


DEFAULT = ("majority", "random-cnn", "st-dim", "supervised")


@pytest.mark.parametrize("variant", ["", "policy=ppo", "policy=ppo-0123abcd-eps0.2"])
def test_frames_of_an_agent_are_compared_with_the_papers_agent(make_result, variant: str) -> None:
    runs = [by_an_agent(make_result(name, variant=variant)) for name in ("st-dim", "vae")]
    table = compare(runs, game="pong", metric="f1")
    assert published(table) == {("paper-ppo", name, variant) for name in (*DEFAULT, "vae")}
    row = [r.name for r in table.rows].index("mean_over_categories")
    theirs = {
        c.method: table.cells[row][k] for k, c in enumerate(table.columns) if c.group == "paper-ppo"
    }
    assert theirs["st-dim"].value == 0.79  # 0.81 with a random agent's frames
    assert any("PPO agent" in note for note in table.notes)
    assert not any("Published: random agent" in note for note in table.notes)


def test_both_agents_beside_frames_of_both(make_result) -> None:
    runs = [
        make_result(),
        by_an_agent(make_result(variant="policy=ppo")),
        by_an_agent(make_result(variant="probe.policy=ppo")),  # trained on a random agent's
        make_result(variant="policy=ppo,probe.policy=random"),
    ]
    table = compare(runs, game="pong", metric="f1")
    assert published(table) == {
        *(("report", name, "") for name in DEFAULT[1:]),
        *(("paper", name, "") for name in DEFAULT),
        ("reproduction", "st-dim", ""),
        *(("paper-ppo", name, "policy=ppo") for name in DEFAULT),
    }


def test_whose_numbers_can_be_said(make_result) -> None:
    mine = by_an_agent(make_result(), policy="my_agent:play")
    assert {group for group, _, _ in published(compare([mine], game="pong", metric="f1"))} == {
        *("report", "paper", "reproduction"),
    }
    table = compare([mine], game="pong", metric="f1", paper_agent="ppo")
    assert published(table) == {("paper-ppo", name, "") for name in DEFAULT}
    table = compare([by_an_agent(make_result())], game="pong", metric="f1", paper_agent="random")
    assert {group for group, _, _ in published(table)} == {"report", "paper", "reproduction"}


def test_other_labels_are_not_compared_with_the_paper(make_result) -> None:
    result = make_result()
    result["scores"]["label_set"] = "upstream"
    table = compare([result], game="pong", metric="f1")
    assert {column.group for column in table.columns} == {"ours"}
    assert any("for the label set paper" in note for note in table.notes)


def of_labels(make_result, label_set: str, version: int | None = None, **options):
    result = make_result(**options)
    result["scores"]["label_set"] = label_set
    if version is not None:
        result["scores"]["label_set_version"] = version
    return result


@pytest.mark.parametrize(
    ("other", "named"),
    [(("upstream", 1), r"\(paper 1, upstream 1\)"), (("paper", 2), r"\(paper 1, paper 2\)")],
)
def test_different_labels_are_compared_only_when_asked_for(make_result, other, named) -> None:
    results = [
        of_labels(make_result, *other, values=(0.1, 0.1, 0.1)),
        make_result(values=(0.3, 0.3, 0.3)),  # without a version: from before there were any
    ]
    with pytest.raises(ConfigurationError, match=f"pong .* {named}.* --mixed_label_sets$"):
        compare(results, game="pong", metric="f1")
    table = compare(results, game="pong", metric="f1", mixed_label_sets=True)
    name = " ".join(map(str, other))
    ours = {
        (column.protocol, column.labels): table.cells[0][k].value
        for k, column in enumerate(table.columns)
        if column.group == "ours"
    }
    expected = {"paper 1": 0.3, name: 0.1}
    assert ours == {(p, s): v for p in ("paper", "converged") for s, v in expected.items()}
    published = {column.labels for column in table.columns if column.group != "ours"}
    assert published == {"paper 1"}
    assert any("different tasks" in note for note in table.notes)


def test_labels_of_one_set_are_no_mixture(make_result) -> None:
    results = [make_result(), of_labels(make_result, "paper", 1, seed=1)]
    table = compare(results, game="pong", metric="f1")
    assert value_of(table, "ball_x", "ours", "st-dim", "paper").runs == 2
    other = of_labels(make_result, "upstream", game="boxing")
    assert compare([*results, other], game="pong", metric="f1") == table  # another game's table
    assert not any("different tasks" in note for note in table.notes)


def test_other_labels_beside_the_paper_when_asked_for(make_result) -> None:
    result = of_labels(make_result, "upstream")
    table = compare([result], game="pong", metric="f1", mixed_label_sets=True)
    labels = {(column.group, column.labels) for column in table.columns}
    others = ("report", "paper", "reproduction")
    assert labels == {("ours", "upstream 1"), *((group, "paper 1") for group in others)}


def test_what_was_not_scored_is_said_by_label_set(make_result) -> None:
    other = of_labels(make_result, "upstream")
    other["scores"]["dropped"] = {"player_y": "entropy 0.1 nats"}
    table = compare([make_result(), other], game="pong", metric="f1", mixed_label_sets=True)
    notes = [note for note in table.notes if note.startswith("Not scored")]
    assert notes == ["Not scored (label set upstream 1): player_y (entropy 0.1 nats)."]


def test_an_independent_reproduction_stands_beside_the_paper(make_result) -> None:
    table = compare([make_result()], game="pong", metric="f1")
    cell = value_of(table, "mean_over_categories", "reproduction", "st-dim", "")
    assert (cell.value, cell.derived, cell.runs) == (0.84, False, None)  # its one table prints it
    assert value_of(table, "small_object_localization", "reproduction", "st-dim", "") is None
    assert any("one run of ST-DIM" in note and "Alacchi" in note for note in table.notes)


@pytest.mark.parametrize("metric", ["f1", "accuracy"])
def test_the_reports_supervised_column_says_that_it_is_on_validation_frames(
    make_result, metric
) -> None:
    table = compare([make_result("supervised")], game="pong", metric=metric)
    subtitles = {(c.group, c.method): c.subtitle for c in table.columns if c.group != "ours"}
    assert {key for key, subtitle in subtitles.items() if subtitle} == {("report", "supervised")}
    assert subtitles["report", "supervised"] == "validation"
    assert any("not test scores" in note for note in table.notes)
    elsewhere = compare([make_result(game="boxing")], game="boxing", metric=metric)
    assert not any("not test scores" in note for note in elsewhere.notes)


def test_undefined_scores_leave_no_number(make_result) -> None:
    results = [make_result(values=(None, 0.4, 0.9)), make_result(seed=1, values=(None, 0.6, 0.9))]
    table = compare(results, game="pong", metric="f1")
    assert value_of(table, "ball_x", "ours", "st-dim", "paper") is None
    assert value_of(table, "ball_y", "ours", "st-dim", "paper").value == pytest.approx(0.5)


def test_the_budget_stands_beside_the_numbers(make_result) -> None:
    frozen = make_result("random-cnn")
    frozen["budget"] |= {"epochs": 0, "optimizer_steps": 0, "seconds": 31}
    longer = make_result(seed=1)
    longer["budget"] |= {"epochs": 9, "seconds": 175}
    table = compare([frozen, make_result(), longer], game="pong", metric="f1")
    budgets = {(c.group, c.method): c.budget for c in table.columns}
    assert budgets["ours", "st-dim"] == {
        "pretraining frames": "12k",
        "probe frames": "8k",
        "epochs": "5-9",
        "time": "2 min",  # the mean of 125 and 175 seconds
        "runs": "2",
    }
    # Nothing was pretrained, whatever the data module held.
    assert budgets["ours", "random-cnn"] == {"probe frames": "8k", "time": "31 s", "runs": "1"}
    assert budgets["paper", "st-dim"]["pretraining frames"] == "100k"


def test_notes_say_what_was_dropped_and_what_the_interval_is(make_result) -> None:
    one = compare([make_result()], game="pong", metric="f1").notes
    assert any("no interval" in note for note in one)
    results = [make_result(seed=0), make_result(seed=1)]
    results[0]["scores"]["dropped"] = {"enemy_score": "entropy 0.10 nats is under 0.6"}
    two = " ".join(compare(results, game="pong", metric="f1").notes)
    assert "95 % Student t" in two
    assert "Not scored with seed 0: enemy_score (entropy 0.10 nats is under 0.6); its row" in two
    assert "preset laptop; seeds 0, 1." in two
    results[1]["scores"]["dropped"] = {"enemy_score": "entropy 0.20 nats is under 0.6"}
    both = " ".join(compare(results, game="pong", metric="f1").notes)
    assert "Not scored: enemy_score (entropy 0.10 nats is under 0.6)." in both


def test_no_results_for_the_game(make_result) -> None:
    with pytest.raises(ValueError, match="no results for boxing"):
        compare([make_result()], game="boxing", metric="f1")
