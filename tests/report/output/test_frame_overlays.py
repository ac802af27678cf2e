from __future__ import annotations

from base64 import b64decode
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from lightning_stdim.datamodules.labels.screen_positions import landmarks
from lightning_stdim.report.output.frame_overlays import data_uri, draw_marks, drawable
from tests.report.pages import predictions


@pytest.mark.parametrize("shape", [(210, 160), (3, 210, 160)])
def test_a_frame_comes_back_as_it_was(shape) -> None:
    frame = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    kind, _, data = data_uri(frame).partition(",")
    assert kind == "data:image/png;base64"
    pixels = np.asarray(Image.open(BytesIO(b64decode(data))))
    assert np.array_equal(pixels if pixels.ndim == 2 else pixels.transpose(2, 0, 1), frame)


def test_marks_are_where_the_labels_and_the_predictions_say() -> None:
    found = predictions()
    known = {thing.name: thing for thing in landmarks("pong")}
    pictures = draw_marks("pong", found, "converged")
    assert [picture.row for picture in pictures] == found.rows[found.shown].tolist()
    for picture in pictures:
        row = picture.row - found.rows[0]
        ball = next(mark for mark in picture.marks if mark.name == "ball")
        for place, values in (
            (ball.true, found.labels),
            (ball.predicted, found.predicted["converged"]),
        ):
            x, y = values[row, :2]
            ends = known["ball"].x.seen, known["ball"].y.seen
            if not (ends[0][0] <= x <= ends[0][1] and ends[1][0] <= y <= ends[1][1]):
                assert place is None
                continue
            assert place == (x + known["ball"].x.offset, y + known["ball"].y.offset)


def test_what_is_not_probed_is_not_drawn() -> None:
    found = predictions()
    assert {thing.name for thing in drawable("pong", found)} == {"ball", "player"}
    fewer = replace(found, variables=("ball_x", "other", "another"))
    assert drawable("pong", fewer) == []
    assert draw_marks("pong", fewer, "paper") == []
    off = replace(found, labels=np.zeros_like(found.labels))
    marks = [mark for picture in draw_marks("pong", off, "converged") for mark in picture.marks]
    assert marks
    assert all(mark.true is None for mark in marks)
    assert "off the screen" in draw_marks("pong", off, "converged")[0].description
