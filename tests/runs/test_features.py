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
    with pytest.raises(StoreError, match="cannot be written"):
        write_features(tmp_path / "run" / "features.npz", vectors, data)
