"""The statistics of a collection against slow ones, and its contact sheet."""

from __future__ import annotations

import dataclasses
import io
import json
import statistics
import tracemalloc
from collections import Counter

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image
from rich.console import Console
from scipy.stats import entropy

from lightning_stdim.cli import main
from lightning_stdim.cli.console import print_descriptions
from lightning_stdim.datamodules import store
from lightning_stdim.datamodules.collection.collect import collect
from lightning_stdim.datamodules.collection.settings import CollectionSettings
from lightning_stdim.datamodules.labels.annotations import annotation, probed_in_paper, ram2label
from lightning_stdim.datamodules.splits import split_episodes
from lightning_stdim.datamodules.tools.contact_sheet import pick, png
from lightning_stdim.datamodules.tools.describe import describe
from tests.datamodules.synthetic import make

GAMES = st.lists(st.lists(st.integers(1, 12), min_size=1, max_size=3), min_size=1, max_size=4)


@settings(max_examples=25, deadline=None)
@given(GAMES)
def test_amounts_and_returns(games):
    collection = make(games)
    found = describe(collection)
    lengths = [length for episodes in games for length in episodes]
    rewards = iter(collection.rewards.tolist())
    returns = [sum(next(rewards) for _ in range(sum(episodes))) for episodes in games]
    assert (found.frames, found.episodes, found.games) == (sum(lengths), len(lengths), len(games))
    assert found.complete_games == len(games)
    median = statistics.median(lengths)
    assert found.episode_length == {"min": min(lengths), "median": median, "max": max(lengths)}
    assert found.returns == pytest.approx(
        {"mean": statistics.mean(returns), "min": min(returns), "max": max(returns)}
    )


@settings(max_examples=25, deadline=None)
@given(GAMES)
def test_repeated_frames(games):
    collection = make(games)
    found = describe(collection)
    frames = [frame.tobytes() for frame in collection.frames]
    assert found.unique_frames == len(set(frames))
    assert found.unique_share == pytest.approx(len(set(frames)) / len(frames))
    if found.episodes < 3:
        assert found.test_duplicates is None
        return
    fractions = {"train": 0.7, "val": 0.1, "test": 0.2}
    split = split_episodes(collection.episode_length, fractions=fractions, seed=0)
    bounds = list(zip(collection.episode_start, collection.episode_length, strict=True))
    rows = {
        name: [start + k for start, length in (bounds[e] for e in part) for k in range(length)]
        for name, part in split.items()
    }
    seen = {frames[row] for row in [*rows["train"], *rows["val"]]}
    again = [frames[row] in seen for row in rows["test"]]
    assert found.test_duplicates == pytest.approx(sum(again) / len(again))


@pytest.mark.parametrize("label_set", ["paper", "upstream"])
def test_variables(label_set):
    collection = make([[40, 30], [50]])
    found = describe(collection, label_set=label_set).variables
    facts = annotation("pong", label_set)
    assert [variable.name for variable in found] == list(facts.variables)
    assert len({variable.scored for variable in found}) == 2  # the example has both kinds
    for variable, code in zip(found, facts.codes, strict=True):
        counts = Counter(collection.ram[:, code.ram[0]].tolist())
        assert variable.values == len(counts)
        assert variable.top_share == pytest.approx(max(counts.values()) / 120)
        assert variable.entropy == pytest.approx(entropy(list(counts.values())))
        assert variable.scored == (variable.entropy >= 0.6)


@pytest.mark.parametrize(
    ("policy", "agent"), [("random", "random_agent"), ("ppo", "ppo_agent"), ("a.zip", "ppo_agent")]
)
def test_the_paper_s_variables_are_those_of_the_same_kind_of_agent(policy, agent):
    found = describe(make([[5]], game="breakout", policy=policy))
    assert found.agent == agent
    probed = {variable.name for variable in found.variables if variable.probed_in_paper}
    assert probed == set(probed_in_paper("breakout", agent))
    assert probed != set(probed_in_paper("breakout", "random_agent")) or policy == "random"


@pytest.mark.parametrize(
    ("lives", "terminated", "complete"), [(0, True, 2), (1, True, 1), (0, False, 1)]
)
def test_the_last_game_counts_only_if_it_is_over(lives, terminated, complete):
    collection = make([[5], [4, 3]])
    collection.lives[-1], collection.terminated[-1] = lives, terminated
    collection.truncated[-1] = not terminated
    found = describe(collection)
    assert found.complete_games == complete
    assert found.returns["min"] == min(
        collection.rewards[:5].sum(), collection.rewards[5:].sum() if complete == 2 else np.inf
    )


def test_a_game_that_was_cut_has_no_return_and_epsilon_may_be_there():
    collection = make([[5]])
    collection.terminated[-1] = False
    collection.attributes["epsilon"] = 0.2
    found = describe(collection)
    assert (found.games, found.complete_games, found.returns) == (1, 0, None)
    assert found.epsilon == 0.2


def test_which_file_an_agent_came_from(capsys, tmp_path):
    collection = make([[5]], policy="agent.zip")
    assert (describe(collection).policy_sha256, describe(collection).greedy) == (None, None)
    collection.attributes |= {"policy_sha256": "0123456789abcdef", "greedy": True}
    store.write(tmp_path / "a.h5", collection)
    assert main(["describe", str(tmp_path / "a.h5")]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["policy's", "SHA-256", "01234567"] in rows
    assert ["greedy", "yes"] in rows


def test_frames_are_not_copied():
    collection = make([[300], [300], [300]])
    tracemalloc.start()
    describe(collection)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < collection.frames.nbytes / 4


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=60), st.integers(1, 30))
def test_the_contact_sheet_s_frames_are_spread(lengths, n):
    collection = dataclasses.replace(
        make([[1]]),
        episode_start=np.cumsum([0, *lengths[:-1]]),
        episode_length=np.array(lengths),
    )
    rows = pick(collection, n)
    assert 1 <= len(rows) <= n
    assert rows[0] >= 0
    assert rows[-1] < sum(lengths)
    assert (np.diff(rows) > 0).all()
    episodes = np.repeat(np.arange(len(lengths)), lengths)[rows]
    if len(lengths) >= n:
        assert len(set(episodes)) == n
        assert np.ptp(np.diff(episodes)) <= 1 if n > 1 else True
    else:
        assert set(episodes) == set(range(len(lengths)))


@pytest.mark.parametrize("game", ["pong", "asteroids"])
def test_the_contact_sheet_shows_frames_as_they_are(game):
    collection = make([[4]], game=game)
    page = np.array(Image.open(io.BytesIO(png(collection, name="x"))).convert("L"))
    for row in pick(collection, 24):
        twice = np.kron(collection.frames[row], np.ones((2, 2), np.uint8))
        differences = cv2.matchTemplate(page, twice, cv2.TM_SQDIFF)
        y, x = np.unravel_index(differences.argmin(), differences.shape)
        np.testing.assert_array_equal(page[y : y + 420, x : x + 320], twice)


def test_the_contact_sheet_shows_colours_as_they_are():
    collection = make([[4]], shape=(3, 210, 160))
    assert describe(collection).pixels == "rgb"
    page = np.array(Image.open(io.BytesIO(png(collection, name="x"))).convert("RGB"))
    for row in pick(collection, 24):
        twice = collection.frames[row].repeat(2, 1).repeat(2, 2).transpose(1, 2, 0)
        differences = cv2.matchTemplate(page, twice, cv2.TM_SQDIFF)
        y, x = np.unravel_index(differences.argmin(), differences.shape)
        np.testing.assert_array_equal(page[y : y + 420, x : x + 320], twice)


def beside_frames(figure):
    """What stands to the right of each frame: by their first words, the texts' other words."""
    beside = [{} for _ in figure.images]
    for text in figure.texts:
        x, y = text.get_position()
        left = [
            (image.ox, number)
            for number, image in enumerate(figure.images)
            if image.ox + 320 < x and image.oy < y <= image.oy + 421  # frames are 320 x 420
        ]
        if left:
            _, nearest = max(left)
            name, *words = text.get_text().split()
            beside[nearest][name] = words
    return beside


@pytest.mark.parametrize(
    ("game", "label_set"), [("pong", "paper"), ("pong", "upstream"), ("boxing", "paper")]
)
def test_the_contact_sheet_shows_labels_beside_their_frame(game, label_set, monkeypatch):
    drawn, save = [], Figure.savefig

    def seen(figure, *args, **options):
        drawn.append(figure)
        save(figure, *args, **options)

    monkeypatch.setattr(Figure, "savefig", seen)
    collection = make([[3], [4, 2]], game=game)
    png(collection, name="$x", label_set=label_set)
    rows = pick(collection, 24)
    labels = ram2label(game, collection.ram[rows], label_set)
    assert len(np.unique(labels, axis=0)) == len(rows) > 2
    for row, values, texts in zip(rows, labels, beside_frames(*drawn), strict=True):
        assert texts.pop("step")[0] == f"{row},"
        names = annotation(game, label_set).variables
        assert texts == {name: [str(value)] for name, value in zip(names, values, strict=True)}


def test_the_same_collection_makes_the_same_contact_sheet():
    assert png(make([[3]]), name="$x") == png(make([[3]]), name="$x")


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    return collect(
        CollectionSettings("breakout", steps=500),
        root=tmp_path_factory.mktemp("real"),
        progress=False,
    )


def test_the_command_describes_files_side_by_side(real, tmp_path, capsys):
    other = tmp_path / "other.h5"
    store.write(other, make([[3], [4, 5], [2]]))
    out = tmp_path / "out"
    assert main(["describe", str(real), str(other), "--out", str(out)]) == 0
    text = capsys.readouterr().out
    files = json.loads((out / "describe.json").read_text())
    assert [part["file"] for part in files] == [str(real), str(other)]
    for part in files:
        assert part.pop("file")
        assert part["game"] in text
        assert f"{part['unique_frames']} (" in text
        assert all(variable["name"] in text for variable in part["variables"])
    found = [describe(store.read(path)) for path in (real, other)]
    assert files == [dataclasses.asdict(part) for part in found]
    assert sorted(path.name for path in out.iterdir()) == [
        "contact-sheet-1.png",
        "contact-sheet-2.png",
        "describe.json",
    ]
    assert (out / "contact-sheet-2.png").read_bytes() == png(store.read(other), name="other.h5")


def test_the_command_needs_no_folder_and_takes_a_label_set(real, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store.write(tmp_path / "pong.h5", make([[30]]))
    assert main(["describe", "pong.h5", "--label_set", "upstream"]) == 0
    text = capsys.readouterr().out
    assert "enemy_x" in text
    assert "upstream" in text
    assert [path.name for path in tmp_path.iterdir()] == ["pong.h5"]


def test_many_files_fit_a_narrow_terminal():
    console = Console(width=80, file=io.StringIO())
    policies = {"pong": "random", "asteroids": "runs/an-agent/with-a-long/path.zip", "hero": "a"}
    found = [describe(make([[3]], game=game, policy=who)) for game, who in policies.items()]
    names = ["a", "[red]", "a-collection-of-frames-with-a-very-long-name"]
    print_descriptions(names, found, console)
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    assert "[red]" in text
    assert all(part.game in text for part in found)


def test_no_number_is_cut_at_the_edge():
    found = describe(make([[3]]))
    found = dataclasses.replace(found, returns={"mean": 123456.7, "min": -10000, "max": 1234567})
    for width in (80, 40):
        console = Console(width=width, file=io.StringIO())
        print_descriptions(["one", "other"], [found, found], console)
        assert console.file.getvalue().count("1.235e+05 (-10000 to 1.23457e+06)") == 2


def test_a_damaged_file_is_one_error(real, tmp_path, capsys):
    bad = bytearray(real.read_bytes())
    bad[len(bad) // 2] ^= 1
    (tmp_path / "bad.h5").write_bytes(bad)
    assert main(["describe", str(real), str(tmp_path / "bad.h5")]) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("error: ")
    assert "bad.h5 is damaged" in errors
    assert len(errors.splitlines()) == 1


def test_nothing_is_written_when_a_file_is_missing(real, tmp_path, capsys):
    out = tmp_path / "sheets"
    assert main(["describe", str(real), str(tmp_path / "missing.h5"), "--out", str(out)]) == 2
    assert "there is no file" in capsys.readouterr().err
    assert not out.exists()
