"""Frames: tables over pairs of palette indices against NumPy and OpenCV."""

import cv2
import numpy as np

from lightning_stdim.datamodules.emulator.palette import LUMA, PALETTE, RGB, luma, maximum


def test_luma_is_opencv_s_on_any_colour():
    rgb = np.random.default_rng(0).integers(0, 256, (512, 512, 3), dtype=np.uint8)
    np.testing.assert_array_equal(luma(rgb), cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY))


def test_the_tables_hold_every_pair_of_palette_colours():
    maximum = np.maximum(PALETTE[:, None], PALETTE[None])
    expected = cv2.cvtColor(maximum, cv2.COLOR_RGB2GRAY)
    np.testing.assert_array_equal(LUMA.reshape(256, 256), expected)
    np.testing.assert_array_equal(RGB.reshape(3, 256, 256).transpose(1, 2, 0), maximum)


def test_frames_are_the_maximum_of_two_screens_or_its_luma():
    screens = np.random.default_rng(0).integers(0, 256, (2, 210, 160), dtype=np.uint8)
    expected = np.maximum(*PALETTE[screens])
    grey = cv2.cvtColor(expected, cv2.COLOR_RGB2GRAY)
    for first, second in (screens, screens[::-1]):
        np.testing.assert_array_equal(maximum(first, second, "luma"), grey)
        np.testing.assert_array_equal(maximum(first, second, "rgb"), expected.transpose(2, 0, 1))
