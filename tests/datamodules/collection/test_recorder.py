"""What is kept of screens makes the frames that they show."""

import numpy as np
import pytest

from lightning_stdim.datamodules.collection.recorder import BLOCK, Recorder, frames
from lightning_stdim.datamodules.emulator.palette import maximum

SIZE = 3 * BLOCK


class Changing:
    """An emulator that only shows something."""

    ram, lives, terminated, truncated = np.zeros(128, np.uint8), 0, False, False

    def __init__(self, rng):
        self.screens = self.place = tuple(rng.integers(0, 256, (2, 210, 160), dtype=np.uint8))

    def show_in(self, place):
        self.place = place

    def change(self, where, values):
        both = np.concatenate(self.screens)
        both.reshape(-1)[where] = values
        self.screens = self.place
        for screen, changed in zip(self.screens, np.split(both, 2), strict=True):
            screen[...] = changed


@pytest.mark.parametrize("pixels", ["luma", "rgb"])
@pytest.mark.parametrize("changes", [0, 1, 100, 210 * 160])
def test_only_what_changed_is_kept_and_nothing_is_missed(changes, pixels):
    rng = np.random.default_rng(changes)
    recorder = Recorder(SIZE)
    state = Changing(rng)
    # Segments that end within a block, with one and with their memory.
    for rows in (1, BLOCK - 1, BLOCK, BLOCK + 1, SIZE):
        expected = []
        for row in range(rows):
            where = rng.integers(0, 2 * 210 * 160, changes)
            state.change(where, rng.integers(0, 256, changes))
            state.ram[:] = row
            assert not recorder.full()
            recorder.add(state, row % 6, row / 2)
            expected.append(maximum(*state.screens, pixels))
        assert recorder.full() == (rows == SIZE)
        columns = recorder.take()
        found = [frame.copy() for frame in frames(columns, pixels)]
        np.testing.assert_array_equal(found, expected)
        assert columns["changes"][0] == 4200  # a segment stands alone
        assert (columns["changes"][1:] <= min(changes, 4200)).all()
        np.testing.assert_array_equal(columns["ram"][:, 5], np.arange(rows))
        np.testing.assert_array_equal(columns["rewards"], np.arange(rows) / 2)
