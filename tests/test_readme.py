"""README and docs quote results, link to files and list scripts: all of it must be so."""

import importlib
import json
import re
import subprocess
from pathlib import Path
from statistics import median

import pytest

from lightning_stdim.datamodules.labels.games import games
from lightning_stdim.report.names import Entry
from lightning_stdim.report.published import report
from lightning_stdim.report.runs_on_disk import read_record
from lightning_stdim.report.statistics.aggregates import paired_difference
from lightning_stdim.report.statistics.student import mean_with_ci
from lightning_stdim.report.tables.score_matrix import score_matrix
from lightning_stdim.runs.results import read_results

ROOT = Path(__file__).parent.parent
DOCUMENTS = [
    ROOT / "README.md",
    *(ROOT / folder / "README.md" for folder in ("benchmarks", "studies", "results")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
each_document = pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT))
)


@each_document
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
    monkeypatch.syspath_prepend(ROOT / "studies")
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
        found = mean_with_ci([x - y for x, y in zip(a, b, strict=True)])
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


def f1_of(folder, protocol, metric="f1"):
    found = read_results(ROOT / "results" / folder)["scores"]["protocols"][protocol][metric]
    return found["mean_over_categories"], found["variables"]


SNAPSHOTS = "pong-paper/pong/st-dim/seed0/snapshots"
BOXING = "ladder/boxing/st-dim/seed0/snapshots"
UNTRAINED = "challenge-pong/pong/random-cnn/seed0"


@pytest.mark.parametrize(("snapshots", "most"), [(SNAPSHOTS, 69_608), (BOXING, 16_000)])
def test_scores_against_training_steps_are_those_of_the_recorded_snapshots(snapshots, most):
    """The first tables of docs/probe-protocols.md."""
    folders = (ROOT / "results" / snapshots).glob("step*")
    steps = sorted(int(folder.name.removeprefix("step")) for folder in folders)
    assert steps[-1] == most
    rows = []
    for step in steps:
        cells = [f1_of(f"{snapshots}/step{step}", p)[0] for p in ("paper", "converged")]
        name = f"{step:,}".replace(",", " ") if step else "0 (Random-CNN)"
        rows.append(f"| {name} | {cells[0]:.3f} | {cells[1]:.3f} |\n")
    assert len(rows) >= 6
    assert "".join(rows) in (ROOT / "docs/probe-protocols.md").read_text()


def test_the_reports_numbers_are_those_of_its_logs_and_of_the_recorded_run():
    """The table of "The challenge report's numbers, made again" in docs/probe-protocols.md."""
    log = (ROOT / "results/report-2019/pong-randcnn-50k-samples.txt").read_text()
    theirs = [float(number) for number in re.findall(r"[\d.]+", log.split("F1 scores")[1])]
    names = ("player_y", "enemy_y", "ball_x", "ball_y", "enemy_score", "player_score")
    ours = {
        "`challenge`, the challenge report's F1": f1_of(UNTRAINED, "challenge", "report_f1"),
        "`challenge`, F1": f1_of(UNTRAINED, "challenge"),
        "`paper`, F1": f1_of(UNTRAINED, "paper"),
        "`converged`, F1": f1_of(UNTRAINED, "converged"),
    }
    published = report("pong", "random-cnn")
    assert published is not None
    rows = {"the challenge report": [*theirs, published.scores["mean_over_categories"]]}
    rows |= {name: [*(found[v] for v in names), mean] for name, (mean, found) in ours.items()}
    text = (ROOT / "docs/probe-protocols.md").read_text()
    for name, cells in rows.items():
        assert f"| {name} | " + " | ".join(f"{x:.2f}" for x in cells) + " |" in text


def test_scores_by_learning_rate_are_those_of_the_recorded_runs():
    """The table of "The learning rate" in docs/probe-protocols.md."""

    def cell(game, method):
        for grid in ("laptop-games", "learning-rate"):
            folder = f"{grid}/{game.lower()}/{method}/seed0"
            if (ROOT / "results" / folder).is_dir():
                found = (f1_of(folder, protocol)[0] for protocol in ("paper", "converged"))
                return ", ".join(f"{score:.2f}" for score in found)
        return "–"

    text = (ROOT / "docs/probe-protocols.md").read_text()
    for game in ("Freeway", "Tennis", "Pong", "Boxing"):
        methods = ("st-dim", "st-dim-warm-up", "st-dim-3e-4", "random-cnn")
        assert f"| {game} | " + " | ".join(cell(game, m) for m in methods) + " |" in text


def test_scores_in_bfloat16_are_those_of_the_recorded_runs():
    """The table of docs/performance.md, against the same seeds in float32."""
    text = (ROOT / "docs/performance.md").read_text()
    for method, name in (("st-dim", "ST-DIM"), ("supervised", "Supervised")):
        for protocol in ("paper", "converged"):
            wide, narrow = (
                f1_by_seed(grid, method, protocol, seeds=3)
                for grid in ("pong-methods", "pong-bf16")
            )
            found = mean_with_ci([b - a for a, b in zip(wide, narrow, strict=True)])
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


def anchors(document):
    """The names that GitHub gives the headings of a page."""
    text = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_document
def test_links_and_pictures_are_there(document):
    """Where relative links lead, in Markdown and in HTML, is in the repository, heading and all."""
    text = document.read_text()
    targets = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r"(?:src|href)=\"([^\"]+)\"", text)
    for target in targets:
        if re.match(r"https?:|mailto:", target):
            continue
        name, _, heading = target.partition("#")
        path = document.parent / name if name else document
        assert path.exists(), target
        kept = ["git", "ls-files", "--error-unmatch", path.resolve()]
        if (ROOT / ".git").exists():
            assert not subprocess.run(kept, cwd=ROOT, capture_output=True).returncode, target
        if heading:
            assert heading in anchors(path), target


def scripts(folder):
    return {
        path.name
        for path in (ROOT / folder).glob("*.py")
        if "__main__" in path.read_text() and not path.is_symlink()
    }


def listed(text):
    """The scripts that begin a row of a table."""
    return re.findall(r"^\| `(\w+\.py)` \|", text, re.MULTILINE)


@pytest.mark.parametrize("folder", ["benchmarks", "studies"])
def test_each_script_is_listed_once(folder):
    assert sorted(listed((ROOT / folder / "README.md").read_text())) == sorted(scripts(folder))


def test_each_record_is_listed():
    text = (ROOT / "results/README.md").read_text()
    folders = {path.name for path in (ROOT / "results").iterdir() if path.is_dir()}
    assert set(re.findall(r"\[[\w-]+\]\(([\w-]+)\)", text)) == folders


def test_make_benchmarks_runs_what_it_says():
    text = (ROOT / "benchmarks/README.md").read_text()
    run, left_out = map(listed, text.split("`make benchmarks` leaves them out", 1))
    printed = subprocess.run(
        ["make", "--dry-run", "benchmarks"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert re.findall(r"benchmarks/(\w+\.py)", printed) == sorted(run)
    assert left_out  # and the test above has the rest of them


def test_presets_of_recorded_grids_are_found():
    """So that a recorded command goes on with its directory, under the name that it was given."""
    commands = [path.read_text() for path in ROOT.glob("results/**/benchmark.json")]
    commands += [path.read_text() for path in ROOT.glob("results/**/report.md")]
    presets = set(re.findall(r"[\w/-]+\.yaml", "\n".join(commands)))
    assert "benchmarks/presets/axes.yaml" in presets
    for preset in presets:
        assert (ROOT / preset).is_file(), preset


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


def record(name):
    return json.loads((ROOT / "results" / name).read_text())


def prose(document):
    return " ".join((ROOT / document).read_text().split())


def test_the_step_of_st_dim_has_one_cost():
    """Wherever it is told in words, it is that of the comparison of all methods."""
    ratio = record("benchmarks/methods.json")["methods"]["st-dim"]["ratio_to_encoder"]
    told = {
        path.relative_to(ROOT): re.findall(
            r"step of ST-DIM (?:takes|took) (\d+\.\d+) times", prose(path)
        )
        for path in DOCUMENTS
    }
    assert {number for found in told.values() for number in found} == {f"{ratio:.2f}"}
    assert told[Path("README.md")]
    assert told[Path("docs/performance.md")]
    stages = record("benchmarks/floors.json")["stages"]
    (stage,) = (stage for stage in stages if stage["stage"] == "ST-DIM's step")
    assert stage["lower"] < ratio < stage["upper"]  # as the text says


def quoted_sentences():
    """What is told in words, with the numbers of the records to be told."""
    collecting = record("benchmarks/collection.json")
    yield (
        "docs/performance.md",
        "it has {:.2f} of the bare loop's rate with one worker, and {:.2f} of two bare loops'",
        collecting["one_worker_to_bare"],
        collecting["two_workers_to_two_bare_loops"],
    )
    read = record("benchmarks/store.json")["seconds_to_read"]
    yield "docs/performance.md", "verified first, in {:.1f} s", median(read)
    peak = record("benchmarks/floors.json")["peak_operations_per_second"]
    yield (
        "docs/performance.md",
        "large matrix product in the same rounds ({:.0f} GFLOP/s)",
        peak / 1e9,
    )
    floors, starts = (
        [record(f"benchmarks/redesign/{when}-{what}.json") for when in ("before", "after")]
        for what in ("floors", "startup")
    )
    ratios = [{stage["stage"]: stage["ratio"] for stage in found["stages"]} for found in floors]
    for stage, sentence in {
        "what a worker does": "a worker takes {:.2f} and {:.2f} times as long as the bare emulator",
        "ST-DIM's step": "a step of ST-DIM {:.2f} and {:.2f} times as long as the encoder's passes",
        "encode frames": "encoding {:.2f} and {:.2f},",
        "converged: one evaluation": "evaluation of the `converged` probe {:.2f} and {:.2f},",
        "paper: one step of six probes": "a step of the `paper` probes {:.2f} and {:.2f}.",
    }.items():
        yield "docs/performance.md", sentence, *(found[stage] for found in ratios)
    before, after = (found["median_seconds"] for found in starts)
    first = "fit, to the end of its first step"
    step = "has taken its first step after {:.1f} s and {:.1f} s"
    yield "docs/performance.md", step, before[first], after[first]
    for command, verb in (("collect --help", "takes "), ("probe --help", "")):
        sentence = f"`{command}` {verb}{{:.2f}} s instead of {{:.2f}} s"
        yield "docs/performance.md", sentence, after[command], before[command]
    for name in ("pytorch_lightning", "lightning.pytorch"):
        spent = after[f"python -c 'import {name}'"]
        yield "docs/performance.md", "Importing either takes {:.1f} s", spent
    memory = record("benchmarks/memory.json")
    beside = memory["peak_bytes"] - memory["frames_bytes"]
    yield (
        "docs/performance.md",
        "(100 000 take {:.1f} GB) and {:.1f} GB for all else",
        memory["frames_bytes"] / 1e9,
        beside / 1e9,
    )
    attempts = record("benchmarks/attempts.json")["seconds"]
    yield (
        "docs/performance.md",
        "bfloat16 takes {:.2f} of the time, and with `torch.compile` {:.2f}",
        *(
            median(
                a / b for a, b in zip(attempts[name][name], attempts[name]["as it is"], strict=True)
            )
            for name in ("bfloat16", "bfloat16, torch.compile")
        ),
    )
    probed = record("benchmarks/probing.json")["f1"]
    yield (
        "docs/probe-protocols.md",
        "the untrained encoder scores {:.2f} under `paper` and {:.2f} under `converged`",
        *(probed[name]["mean_over_categories"] for name in ("paper", "converged")),
    )
    log = (ROOT / "results/report-2019/pong-randcnn-50k-samples.txt").read_text()
    theirs = [float(number) for number in re.findall(r"[\d.]+", log.split("F1 scores")[1])]
    mean, ours = f1_of(UNTRAINED, "challenge", "report_f1")
    yield (
        "docs/probe-protocols.md",
        "Random-CNN has {:.2f} by the challenge report's F1, as published, and no variable is more "
        "than {:.2f} away from its log. By the usual F1, the same predictions have {:.2f}.",
        mean,
        max(abs(a - b) for a, b in zip(ours.values(), theirs, strict=True)),
        f1_of(UNTRAINED, "challenge")[0],
    )
    majority = "challenge-pong/pong/majority/seed0"
    yield (
        "docs/probe-protocols.md",
        "has {:.2f} instead of {:.2f}.",
        *(f1_of(majority, "majority", metric)[0] for metric in ("report_f1", "f1")),
    )
    yield (
        "docs/probe-protocols.md",
        "{:.2f} from the paper's kind of frames, {:.2f} from the challenge report's.",
        f1_of(f"{SNAPSHOTS}/step0", "converged")[0],
        f1_of(UNTRAINED, "converged")[0],
    )
    for protocol, sentence in (
        ("paper", "Under `paper` Random-CNN has {:.2f} and ST-DIM {:.2f}, where the paper has"),
        ("converged", "under `converged` they have {:.2f} and {:.2f}."),
    ):
        told = (f1_of(f"{SNAPSHOTS}/{step}", protocol)[0] for step in ("step0", "step69608"))
        yield "README.md", sentence, *told
    leads = [
        f1_of(f"{BOXING}/step16000", protocol)[0] - f1_of(f"{BOXING}/step0", protocol)[0]
        for protocol in ("paper", "converged")
    ]
    yield "README.md", "by {:.2f} under `paper` and by {:.2f} under `converged`", *leads
    yield "docs/probe-protocols.md", "after 16 000 steps by {:.2f} and {:.2f}", *leads
    for grid, sentence in (
        ("pong-laptop-float32", "its runs took [{:.0f} minutes](results/{}/report.md)"),
        ("pong-laptop-bf16", "bfloat16 units, [{:.0f}](results/{}/report.md)"),
    ):
        runs = [read_results(path.parent) for path in ROOT.glob(f"results/{grid}/**/results.json")]
        assert len(runs) == 4
        assert {run["environment"]["cores"] for run in runs} == {2}
        assert all("Intel(R) Xeon" in run["environment"]["cpu"] for run in runs)
        yield "README.md", sentence, sum(run["budget"]["seconds"] for run in runs) / 60, grid
    faults = record("studies/faults.json")["counts"]
    yield "docs/data.md", "has killed collections at {} random moments", faults["kills"]
    yield "docs/data.md", "none of the {} finished files differed", faults["files compared"]
    collected = record("benchmarks/memory_collect.json")["peak_bytes"]
    parents = [row["parent"] / 1e6 for row in collected]
    worker = max(row["worker"] for row in collected) / 1e6
    yield "docs/data.md", "takes {:.0f} MB of memory a worker", worker
    yield "docs/data.md", "and {:.0f} to {:.0f} MB for the process", min(parents), max(parents)
    gathered = record("benchmarks/frames_on_disk.json")["seconds_a_batch"]
    yield (
        "docs/data.md",
        "a batch of 64 pairs then takes {:.0f} ms to gather rather than {:.1f}",
        *(1e3 * median(gathered[name]) for name in ("on disk", "in memory")),
    )
    first, second = (
        record(f"{name}/training.json")["curve"][-1] for name in ("pong-ppo", "pong-agent")
    )
    yield "docs/data.md", "took {:.0f} minutes on one core", first["seconds"] / 60
    yield "docs/data.md", "to {:.1f} ([record](../results/pong-ppo))", first["mean_return"]
    yield (
        "docs/data.md",
        "in {:.0f} minutes beside other work, ended at {:.1f}",
        second["seconds"] / 60,
        second["mean_return"],
    )
    yield "docs/methods.md", "at a mean return of {:.0f} (", second["mean_return"]
    files = record("pong-policies/describe.json")
    ball, player = (
        [next(v for v in file["variables"] if v["name"] == name) for file in files]
        for name in ("ball_x", "player_score")
    )
    yield (
        "docs/data.md",
        "finds {:.2f} nats of `ball_x` against {:.2f}, and {} values of `player_score` against {}",
        *(variable["entropy"] for variable in ball),
        *(variable["values"] for variable in player),
    )
    scales = {
        name: record(f"pong-scale/{name}-seed0.json")
        for name in ("random-cnn", "st-dim", "supervised")
    }
    yield (
        "docs/probe-protocols.md",
        "(deviation {:.2f}; ST-DIM's {:.1f}, supervised's {:.0f}",
        *(found["deviation"] for found in scales.values()),
    )
    starting = record("benchmarks/startup.json")["median_seconds"]
    yield "benchmarks/README.md", "({:.1f} in the [record]", starting["fit --help"]
    step = starting["fit, to the end of its first step"]
    yield "benchmarks/README.md", "has taken its first step after {:.1f} s", step
    envpool = record("benchmarks/envpool.json")
    yield (
        "benchmarks/README.md",
        "({} of {} steps)",
        envpool["ram_steps_equal"],
        envpool["ram_steps_checked"],
    )
    yield (
        "benchmarks/README.md",
        "it reaches {:.2f} of the bare loop's rate, where our worker's loop reaches {:.2f}",
        *(envpool["to_bare"][name] for name in ("envpool", "our worker")),
    )
    emulators = record("emulator-2019/record.json")
    equal = [row["equal_frames"] == emulators["frames"] for row in emulators["games"].values()]
    yield (
        "docs/games.md",
        "In {} of the {} games, Pong, Breakout and Ms. Pac-Man among them, their RAM is equal",
        sum(equal),
        len(equal),
    )


def test_numbers_told_in_words_are_those_of_their_records():
    for document, sentence, *numbers in quoted_sentences():
        expected = sentence.format(*numbers)
        assert expected in prose(document), f"{document}: {expected}"
