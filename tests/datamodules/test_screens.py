"""Frames: tables over pairs of palette indices against NumPy and OpenCV."""

import cv2
import numpy as np
import pytest

from lightning_stdim.datamodules.screens import LUMA, PALETTE, RGB, MaximumOfScreens, luma


def test_luma_is_opencv_s_on_any_colour():
    rgb = np.random.default_rng(0).integers(0, 256, (512, 512, 3), dtype=np.uint8)
    np.testing.assert_array_equal(luma(rgb), cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY))


def test_the_tables_hold_every_pair_of_palette_colours():
    maximum = np.maximum(PALETTE[:, None], PALETTE[None])
    expected = cv2.cvtColor(maximum, cv2.COLOR_RGB2GRAY)
    np.testing.assert_array_equal(LUMA.reshape(256, 256), expected)
    np.testing.assert_array_equal(RGB.reshape(3, 256, 256).transpose(1, 2, 0), maximum)


@pytest.mark.parametrize("pixels", ["luma", "rgb"])
@pytest.mark.parametrize("changes", [0, 1, 100, 210 * 160])
def test_only_what_changed_is_looked_up_and_nothing_is_missed(changes, pixels):
    rng = np.random.default_rng(changes)
    converter = MaximumOfScreens(pixels)
    for _ in range(5):
        where = rng.integers(0, 2 * 210 * 160, changes)
        converter.screens.reshape(-1)[where] = rng.integers(0, 256, changes)
        converter.update()
        maximum = np.maximum(*PALETTE[converter.screens])
        grey = cv2.cvtColor(maximum, cv2.COLOR_RGB2GRAY)
        np.testing.assert_array_equal(converter.luma, grey)
        expected = grey if pixels == "luma" else maximum.transpose(2, 0, 1)
        np.testing.assert_array_equal(converter.frame, expected)
