"""Greyscale: a table over pairs of palette indices against OpenCV."""

import cv2
import numpy as np
import pytest

from lightning_stdim.datamodules.luma import PALETTE, TABLE, LumaOfMaximum, luma


def test_luma_is_opencv_s_on_any_colour():
    rgb = np.random.default_rng(0).integers(0, 256, (512, 512, 3), dtype=np.uint8)
    np.testing.assert_array_equal(luma(rgb), cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY))


def test_the_table_holds_every_pair_of_palette_colours():
    maximum = np.maximum(PALETTE[:, None], PALETTE[None])
    expected = cv2.cvtColor(maximum, cv2.COLOR_RGB2GRAY)
    np.testing.assert_array_equal(TABLE.reshape(256, 256), expected)


@pytest.mark.parametrize("changes", [0, 1, 100, 210 * 160])
def test_only_what_changed_is_looked_up_and_nothing_is_missed(changes):
    rng = np.random.default_rng(changes)
    converter = LumaOfMaximum()
    for _ in range(5):
        where = rng.integers(0, 2 * 210 * 160, changes)
        converter.screens.reshape(-1)[where] = rng.integers(0, 256, changes)
        converter.update()
        expected = luma(np.maximum(*PALETTE[converter.screens]))
        np.testing.assert_array_equal(converter.frame, expected)
