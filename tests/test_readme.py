"""The README quotes results; they must be those of the record."""

import importlib
import json
import re
from pathlib import Path

import pytest

from lightning_stdim.datamodules.labels.games import games
from lightning_stdim.report.names import Entry
from lightning_stdim.report.runs_on_disk import read_record
from lightning_stdim.report.statistics.aggregates import paired_difference
from lightning_stdim.report.statistics.student import estimate
from lightning_stdim.report.tables.score_matrix import score_matrix
from lightning_stdim.runs.results import read_results

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_quoted_tables_equal_their_records(document):
    quotes = re.findall(
        r"<!-- table: (\S+?)(?: under \"(.*?)\")? -->\n(.*?)<!-- end of table -->",
        document.read_text(),
        re.DOTALL,
    )
    for source, heading, quoted in quotes:
        text = (ROOT / source).read_text()
        if heading:  # one table of several
            text = re.split(rf"^#+ {re.escape(heading)}\n", text, flags=re.MULTILINE)[1]
            text = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)[0]
        assert quoted.strip() == text.strip(), f"{source} has changed"


def test_tables_of_the_games_are_made_from_their_records(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    study = importlib.import_module("games")
    records = [json.loads(path.read_text()) for path in sorted(ROOT.glob("results/games/*.json"))]
    assert [record["game"] for record in records] == list(games("upstream"))
    for name in ("games", "differences", "budgets"):
        table = (ROOT / f"results/games/{name}.md").read_text()
        assert table == getattr(study, f"{name}_table")(records)


def f1_by_seed(grid, method, protocol, *, seeds):
    runs = [ROOT / f"results/{grid}/pong/{method}/seed{k}" for k in range(seeds)]
    scores = [read_results(run)["scores"]["protocols"][protocol] for run in runs]
    return [score["f1"]["mean_over_categories"] for score in scores]


def test_scores_by_seed_are_those_of_the_recorded_run():
    """The two tables of docs/probe-protocols.md that are about the order of the methods."""
    names = {"Random-CNN": "random-cnn", "ST-DIM": "st-dim", "Supervised": "supervised"}

    def scores(method, protocol):
        return f1_by_seed("pong-methods", names[method], protocol, seeds=5)

    def row(name, cell):
        return f"| {name} | " + " | ".join(cell(p) for p in ("paper", "converged")) + " |"

    def difference(a, b):
        found = estimate([x - y for x, y in zip(a, b, strict=True)])
        return f"{found.mean:+.2f} ± {found.half_width:.2f}"

    text = (ROOT / "docs/probe-protocols.md").read_text()
    for method in names:
        name = method.replace("Supervised", "Supervised's encoder")
        cells = {
            p: ", ".join(f"{x:.2f}" for x in scores(method, p)) for p in ("paper", "converged")
        }
        assert row(name, cells.__getitem__) in text
    for a, b in (("ST-DIM", "Random-CNN"), ("Supervised", "Random-CNN"), ("Supervised", "ST-DIM")):
        expected = row(f"{a} minus {b}", lambda p, a=a, b=b: difference(scores(a, p), scores(b, p)))
        assert expected in text, expected
    readme = (ROOT / "README.md").read_text()
    gap = {
        p: difference(scores("ST-DIM", p), scores("Random-CNN", p)) for p in ("paper", "converged")
    }
    assert gap["paper"].removeprefix("+") + " ahead" in readme
    assert gap["converged"].removeprefix("-") + " behind" in readme


def test_scores_in_bfloat16_are_those_of_the_recorded_runs():
    """The table of docs/performance.md, against the same seeds in float32."""
    text = (ROOT / "docs/performance.md").read_text()
    for method, name in (("st-dim", "ST-DIM"), ("supervised", "Supervised")):
        for protocol in ("paper", "converged"):
            wide, narrow = (
                f1_by_seed(grid, method, protocol, seeds=3)
                for grid in ("pong-methods", "pong-bf16")
            )
            found = estimate([b - a for a, b in zip(wide, narrow, strict=True)])
            cells = [
                f"{name}, `{protocol}`",
                *(", ".join(f"{x:.2f}" for x in scores) for scores in (wide, narrow)),
                f"{found.mean:+.2f} ± {found.half_width:.2f}",
            ]
            assert f"| {' | '.join(cells)} |" in text
            assert abs(found.mean) < found.half_width  # as the text says


def test_controls_are_those_of_the_recorded_run():
    """The tables of docs/statistics.md about Pong."""
    text = (ROOT / "docs/statistics.md").read_text()
    scores = read_results(ROOT / "results/pong-controls")["scores"]
    tables = [scores["controls"]["majority"], scores["controls"]["shuffled"]]
    f1 = [table["f1"] for table in (*tables, scores["protocols"]["converged"])]
    entropies = scores["entropies"]
    for name, nats in entropies.items():
        cells = " | ".join(f"{table['variables'][name]:.2f}" for table in f1)
        assert f"| `{name}` | {nats:.2f} | {cells} |" in text
        assert f" {100 * nats / sum(entropies.values()):.1f} |" in text
    for mean in ("mean_over_categories", "mean_over_variables", "mean_weighted_by_entropy"):
        cells = " | ".join(f"{table[mean]:.2f}" for table in f1)
        assert f"| {mean.replace('_', ' ')} | | {cells} |" in text


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document):
    for target in re.findall(r"\]\(([^)#]+)", document.read_text()):
        if not target.startswith("http"):
            assert (document.parent / target).exists(), target


def test_python_examples_run_as_far_as_names_go():
    """Every name that the README imports exists."""
    for line in re.findall(r"^from lightning_stdim.*$", DOCUMENTS[0].read_text(), re.MULTILINE):
        exec(line)


def test_differences_over_games_are_those_of_the_recorded_runs():
    """The second table of "All 22 games" in docs/probe-protocols.md."""
    text = (ROOT / "docs/probe-protocols.md").read_text()
    record = read_record(ROOT / "results/laptop-games")
    trained = [game not in ("freeway", "tennis") for game in record.games]
    names = {"ST-DIM": "st-dim", "Random-CNN": "random-cnn", "Supervised": "supervised"}
    scores = {protocol: score_matrix(record, protocol) for protocol in ("paper", "converged")}

    def row(a, b, which, words=""):
        cells = []
        for found in scores.values():
            first, second = (found[Entry(names[name])][:, which] for name in (a, b))
            difference = paired_difference(first, second)
            cells.append(f"{difference:+.2f}, {difference.ahead} of {sum(difference.seeds)}")
        return f"| {a} minus {b}{words} | {' | '.join(cells)} |"

    every = [True] * len(trained)
    for expected in (
        row("ST-DIM", "Random-CNN", every),
        row("ST-DIM", "Random-CNN", trained, ", without Freeway and Tennis"),
        row("Supervised", "Random-CNN", every),
        row("Supervised", "ST-DIM", every),
    ):
        assert expected in text, expected
    paper, converged = (
        paired_difference(found[Entry("st-dim")], found[Entry("random-cnn")])
        for found in scores.values()
    )
    assert f"ahead by {paper:.2f}, and `converged`" in (ROOT / "README.md").read_text().replace(
        "\n", " "
    )
    assert paper.resolved
    assert not converged.resolved


def test_the_cost_of_a_step_is_that_of_the_record():
    record = json.loads((ROOT / "results/benchmarks/methods.json").read_text())
    ratio = record["methods"]["st-dim"]["ratio_to_encoder"]
    assert f"step of ST-DIM takes {ratio:.2f} times" in (ROOT / "README.md").read_text()
