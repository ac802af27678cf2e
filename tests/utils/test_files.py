"""What is written atomically is there whole or not at all."""

from __future__ import annotations

import pytest

from lightning_stdim.errors import StoreError
from lightning_stdim.utils.files import atomically


def test_a_file_is_replaced_only_when_it_is_finished(tmp_path):
    path = tmp_path / "new" / "a.txt"
    for text in ("old", "young"):
        with atomically(path) as temporary:
            temporary.write_text(text)
            assert not path.exists() or path.read_text() == "old"
        assert path.read_text() == text
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, StoreError])
def test_nothing_is_left_after_an_error(tmp_path, error):
    def write(*, folder: bool) -> None:
        with atomically(tmp_path / "a") as temporary:
            if folder:
                temporary.mkdir()
            (temporary / "b" if folder else temporary).write_text("half")
            raise error

    for folder in (False, True):
        with pytest.raises(error):
            write(folder=folder)
        assert list(tmp_path.iterdir()) == []


def test_a_folder_s_contents_are_not_replaced(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "mine").touch()
    with pytest.raises(StoreError, match=r"a cannot be written"), atomically(tmp_path / "a") as new:
        new.mkdir()
    assert [path.name for path in tmp_path.rglob("*")] == ["a", "mine"]


def test_what_cannot_be_written_is_one_clear_error(tmp_path):
    (tmp_path / "file").touch()
    where = tmp_path / "file" / "a"
    with pytest.raises(StoreError, match=r"file/a cannot be written"), atomically(where) as new:
        new.touch()
