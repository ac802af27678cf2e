"""Training that diverges ends with an error, and leaves no checkpoint from after that."""

from pathlib import Path

import pytest
import torch
from pytorch_lightning.callbacks import ModelCheckpoint

from lightning_stdim.callbacks import Snapshots
from lightning_stdim.errors import TrainingError
from lightning_stdim.runs.lightning import LastCheckpoint, RunCheckpoint
from tests.methods.test_base import Measured, of_pixels
from tests.trainers import quiet

BATCHES = 8


class Diverging(Measured):
    """Its weights are lost after a given number of steps; the last loss is still a number."""

    def __init__(self, step: int, value: float) -> None:
        super().__init__()
        self.step, self.value = step, value

    def on_before_zero_grad(self, optimizer: torch.optim.Optimizer) -> None:
        if self.global_step == self.step:
            torch.nn.init.constant_(self.encoder.weight, self.value)


def fit(folder: Path, step: int, value: float = float("nan"), **options: object) -> list[Path]:
    keep = [
        RunCheckpoint(folder, "val/loss"),
        LastCheckpoint(folder, minutes=options.pop("minutes", 15)),
        Snapshots(folder / "snapshots", range(1, BATCHES)),
        ModelCheckpoint(folder / "own", every_n_train_steps=1, save_top_k=-1),
    ]
    chosen = [keep[k] for k in options.pop("keep")]
    loader = of_pixels(*[(pixel, 1) for pixel in range(BATCHES)])
    trainer = quiet(max_epochs=2, callbacks=chosen, enable_checkpointing=True, **options)
    with pytest.raises(TrainingError, match="checkpoints are from before it"):
        trainer.fit(Diverging(step, value), loader, of_pixels((2, 1), (4, 1)))
    return sorted(folder.rglob("*.ckpt"))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize(
    ("keep", "options", "written"),
    [
        ([0, 1], {"val_check_interval": 2}, 2),  # best and last after validations
        ([1], {"minutes": 0, "limit_val_batches": 0}, 1),  # last after every batch
        ([2], {"limit_val_batches": 0}, 5),  # snapshots
        ([3], {"limit_val_batches": 0}, 5),  # a user's own
        ([1], {"limit_val_batches": 0}, 1),  # at the end of the epoch, if it is the second one
    ],
    ids=["validation", "minutes", "snapshots", "own", "epoch"],
)
def test_no_checkpoint_is_from_after_divergence(tmp_path, keep, options, written, value):
    step = 5 if written > 1 or "minutes" in options else BATCHES + 5
    found = fit(tmp_path, step, value, keep=keep, **options)
    assert len(found) == written
    for path in found:
        contents = torch.load(path, weights_only=True)
        assert all(value.isfinite().all() for value in contents["state_dict"].values())
        assert contents["global_step"] <= step
