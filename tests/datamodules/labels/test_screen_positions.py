"""Where objects are drawn is where they are, on frames of the emulator."""

import numpy as np
import pytest

from lightning_stdim.datamodules import store
from lightning_stdim.datamodules.collection.collect import collect
from lightning_stdim.datamodules.collection.settings import CollectionSettings
from lightning_stdim.datamodules.labels.annotations import annotation
from lightning_stdim.datamodules.labels.games import games
from lightning_stdim.datamodules.labels.screen_positions import landmarks


@pytest.mark.parametrize(
    ("game", "names"),
    [
        ("pong", {"player", "enemy", "ball"}),
        ("boxing", {"player", "enemy"}),
        ("breakout", {"ball", "player"}),
    ],
)
def test_something_is_where_the_labels_say_and_not_where_others_say(game, names, root):
    path = collect(
        CollectionSettings(game, steps=700, seed=11), workers=1, root=root, progress=False
    )
    collection = store.read(path)
    described = annotation(game, "paper")
    labels = dict(zip(described.variables, described.decode(collection.ram).T, strict=True))
    # Another seed than the maps were measured on, and another way to tell: differences in time.
    still = np.median(collection.frames, axis=0)
    known = {thing.name: thing for thing in landmarks(game)}
    assert known.keys() == names
    for thing in known.values():
        middle = thing.middle(labels)
        there = np.flatnonzero(~np.isnan(middle[:, 0]))
        assert len(there) > 150

        def share(rows, middle=middle, there=there, thing=thing):
            """In how many of the frames something is within the object's box."""
            found = 0
            for row, (x, y) in zip(rows, middle[there], strict=True):
                left, top = round(x - thing.size[0] / 2), round(y - thing.size[1] / 2)
                box = np.s_[
                    max(0, top) : top + thing.size[1] + 1, max(0, left) : left + thing.size[0] + 1
                ]
                found += np.abs(collection.frames[row][box] - still[box]).max() > 20
            return found / len(rows)

        assert share(there) > 0.98, thing.name
        assert share(np.roll(there, len(there) // 2)) < 0.75, thing.name


def test_labels_outside_the_screen_have_no_place():
    (ball,) = (thing for thing in landmarks("pong") if thing.name == "ball")
    low, high = ball.x.seen
    labels = {"ball_x": np.array([low - 1, low, high, high + 1]), "ball_y": np.full(4, 120)}
    middle = ball.middle(labels)
    assert np.isnan(middle[[0, 3]]).all()
    assert np.isfinite(middle[1:3]).all()
    assert middle[2, 0] - middle[1, 0] == ball.x.scale * (high - low)


@pytest.mark.parametrize("game", games("upstream"))
def test_facts_are_about_annotated_variables_and_on_the_screen(game):
    described = annotation(game, "upstream")
    codes = dict(zip(described.variables, described.codes, strict=True))
    for thing in landmarks(game):
        assert thing.variables
        assert thing.present >= 0.85
        for axis, size in ((thing.x, 160), (thing.y, 210)):
            if axis.variable:
                assert axis.variable in codes
                ends = [axis.offset + axis.scale * label for label in axis.seen]
                assert -8 < min(ends) < max(ends) < size + 8


@pytest.mark.parametrize("game", games("paper"))
def test_both_label_sets_have_the_same_bytes_under_these_names(game):
    paper, upstream = (annotation(game, label_set) for label_set in ("paper", "upstream"))
    codes = dict(zip(upstream.variables, upstream.codes, strict=True))
    names = {name for thing in landmarks(game) for name in thing.variables}
    for name, code in zip(paper.variables, paper.codes, strict=True):
        if name in names:
            assert codes[name] == code


def test_a_game_that_nobody_knows_has_no_landmarks():
    assert landmarks("no such game") == ()
