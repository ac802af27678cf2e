"""The folder of an unfinished collection: what it still needs."""

import time
from itertools import takewhile

import numpy as np
import pytest

from lightning_stdim.datamodules.collection import segment_file
from lightning_stdim.datamodules.collection.unfinished import UnfinishedCollection, segment_name
from lightning_stdim.errors import StoreError


def segments(unfinished: UnfinishedCollection) -> list[tuple[int, str]]:
    """What is there of the collection's beginning."""
    return [(game, path.name) for game, path in takewhile(bool, unfinished.in_order())]


def put(
    unfinished: UnfinishedCollection, game: int, start: int, rows: int, ended: bool = False
) -> None:
    path = unfinished.folder / segment_name(game, start, rows, ended)
    segment_file.write(path, {"x": np.zeros(rows)})
    unfinished.add(game, start, rows, ended)


@pytest.fixture
def unfinished(tmp_path) -> UnfinishedCollection:
    return UnfinishedCollection(tmp_path / "a.unfinished", {"seed": 0})


def test_games_are_played_in_order_each_once(unfinished):
    assert unfinished.next_game(100, []) == (0, 100)
    assert unfinished.next_game(100, [0]) == (1, 100)
    put(unfinished, 0, 0, 30)
    assert unfinished.next_game(100, [0]) == (1, 70)  # game 0 has 30 rows at least
    assert unfinished.next_game(100, [0, 1]) == (2, 70)
    put(unfinished, 1, 0, 60, ended=True)
    assert unfinished.next_game(100, [0, 2]) == (3, 10)
    assert unfinished.reached() == 30  # game 0 goes on
    put(unfinished, 0, 30, 10, ended=True)
    assert unfinished.next_game(100, []) is None
    assert unfinished.reached() == 100


def test_a_game_that_was_cut_is_not_played_again(unfinished):
    put(unfinished, 0, 0, 100)
    assert unfinished.reached() == 100
    assert unfinished.next_game(100, []) is None
    assert unfinished.next_game(150, []) == (0, 150)


def test_a_game_played_again_replaces_a_segment_that_was_cut_short(unfinished):
    put(unfinished, 0, 0, 8)
    put(unfinished, 0, 8, 3)  # cut: no more was needed then
    unfinished.add(0, 0, 8, False)  # seen again
    assert unfinished.rows(0) == 11
    put(unfinished, 0, 8, 8)
    put(unfinished, 0, 16, 8, ended=True)
    assert segments(unfinished) == [
        (0, "000000-000000-8.npz.zst"),
        (0, "000000-000008-8.npz.zst"),
        (0, "000000-000016-8-end.npz.zst"),
    ]
    again = UnfinishedCollection(
        unfinished.folder, {"seed": 0}
    )  # never two versions of a row, never a gap
    assert segments(again) == [
        (0, "000000-000000-8.npz.zst"),
        (0, "000000-000008-3.npz.zst"),
    ]


def test_a_segment_costs_the_same_after_thousands_of_games(unfinished):
    def seconds(games: range) -> float:
        started = time.process_time()
        for game in games:
            unfinished.add(game, 0, 150, True)
            assert unfinished.total() == unfinished.reached() == 150 * (game + 1)
            assert unfinished.next_game(10**6, [game + 1]) == (game + 2, 10**6 - 150 * (game + 1))
        return time.process_time() - started

    early = seconds(range(500))
    seconds(range(500, 5500))
    assert seconds(range(5500, 6000)) < 5 * early  # eleven times, if every game were looked at


def test_the_next_segment_is_waited_for(unfinished):
    in_order = unfinished.in_order()
    assert next(in_order) is None
    put(unfinished, 1, 0, 4)
    assert next(in_order) is None  # game 0 comes first
    for start, ended in ((0, False), (3, True)):
        put(unfinished, 0, start, 3, ended)
        assert next(in_order) == (0, unfinished.folder / segment_name(0, start, 3, ended))
    assert next(in_order) == (1, unfinished.folder / segment_name(1, 0, 4, False))
    assert next(in_order) is None


def test_what_was_there_is_found_again_and_what_is_wrong_removed(unfinished):
    put(unfinished, 0, 0, 5)
    put(unfinished, 0, 5, 5)
    put(unfinished, 0, 10, 3, ended=True)
    put(unfinished, 1, 0, 7, ended=True)
    folder = unfinished.folder
    again = UnfinishedCollection(folder, {"seed": 0})
    assert again.reached() == 20
    assert segments(again) == [
        (0, "000000-000000-5.npz.zst"),
        (0, "000000-000005-5.npz.zst"),
        (0, "000000-000010-3-end.npz.zst"),
        (1, "000001-000000-7-end.npz.zst"),
    ]
    damaged = folder / "000000-000005-5.npz.zst"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    (folder / "other.tmp").write_text("")
    again = UnfinishedCollection(folder, {"seed": 0})
    assert again.reached() == 5
    assert again.next_game(100, []) == (0, 100)
    assert sorted(path.name for path in folder.iterdir()) == [
        "000000-000000-5.npz.zst",
        "000001-000000-7-end.npz.zst",
        "settings.json",
    ]


def test_what_was_played_under_other_settings_is_removed(unfinished):
    put(unfinished, 0, 0, 5)
    assert UnfinishedCollection(unfinished.folder, {"seed": 1}).reached() == 0
    assert not list(unfinished.folder.glob("*.zst"))


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        UnfinishedCollection(tmp_path / "file" / "a.unfinished", {})
