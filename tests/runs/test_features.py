import numpy as np
import pytest
import torch

from lightning_stdim.errors import StoreError
from lightning_stdim.runs.features import write_features
from tests.probes.games import game


def test_vectors_stand_beside_the_labels_of_their_frames(tmp_path):
    data = game()
    vectors = torch.randn(len(data.frames), 4)
    found = np.load(write_features(tmp_path / "run", vectors.bfloat16(), data))
    assert found["features"].dtype == np.float32
    np.testing.assert_allclose(found["features"], vectors.bfloat16().float())
    assert np.array_equal(found["labels"], data.labels)
    assert tuple(found["variables"]) == data.variables
    assert np.array_equal(found["positions"], np.arange(len(vectors)))
    with pytest.raises(StoreError, match="cannot be written"):
        write_features(tmp_path / "run" / "features.npz", vectors, data)


def test_some_frames_never_replace_all_of_them(tmp_path):
    data = game()
    vectors = torch.randn(len(data.frames), 4)
    complete = write_features(tmp_path, vectors, data)
    before = complete.read_bytes()
    partial = write_features(tmp_path, vectors[:5], data)
    assert complete.read_bytes() == before
    found = np.load(partial)
    assert np.array_equal(found["positions"], range(5))
    assert np.array_equal(found["labels"], data.labels[:5])
    np.testing.assert_allclose(found["features"], vectors[:5])
