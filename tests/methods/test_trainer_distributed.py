"""Two processes through the Trainer and the data module train and score as one process does."""

import os
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from pytorch_lightning import Callback, seed_everything

from lightning_stdim.callbacks import RepresentationHealth, Snapshots
from lightning_stdim.datamodules.atari import AtariDataModule
from lightning_stdim.methods import STDIM
from lightning_stdim.probes import majority
from lightning_stdim.utils.epoch_means import WeightedMean
from tests.trainers import quiet, torchrun_environment

WORLD, BATCHES = 2, 3


class WhereTheFramesAre(Callback):
    """Finds the file that the frames in memory are a map of, by Linux's account."""

    mapped = None

    def on_train_start(self, trainer, pl_module):
        address = trainer.datamodule._frames.data_ptr()
        for line in Path("/proc/self/maps").read_text().splitlines():
            span, _, _, _, inode, *name = line.split(maxsplit=5)
            first, end = (int(edge, 16) for edge in span.split("-"))
            if first <= address < end:
                self.mapped = int(inode), "".join(name)


def train(small, devices, result):
    torch.set_num_threads(1)
    seed_everything(0)
    where, health = WhereTheFramesAre(), RepresentationHealth()
    trainer = quiet(
        callbacks=[where, health, Snapshots(f"{result}-snapshots", [0, BATCHES])],
        devices=devices,
        strategy="ddp" if devices > 1 else "auto",
        max_epochs=1,
        limit_train_batches=BATCHES,
        limit_val_batches=2,
        limit_predict_batches=1,
        num_sanity_val_steps=0,
    )
    assert trainer.world_size == devices
    # Plain SGD: Adam divides by gradients that are zero but for rounding.
    method = STDIM()
    method.configure_optimizers = lambda: torch.optim.SGD(method.parameters(), lr=0.1)
    data = AtariDataModule("pong", batch_size=8, **small)
    trainer.fit(method, datamodule=data)
    if trainer.is_global_zero:
        data.probe_data()  # one rank has the frames already when all are to load them
    trainer.predict(method, datamodule=data)
    torch.save(where.mapped, f"{result}-mapped{trainer.global_rank}")
    if trainer.is_global_zero:
        logged = {name: value.item() for name, value in trainer.callback_metrics.items()}
        logged |= health.state_dict()
        torch.save((logged, method.state_dict()), result)


def run_rank(rank, small, store, result):
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=WORLD)
    os.environ |= torchrun_environment(rank, WORLD)
    train(small, WORLD, result)
    if rank == 0:  # probing is one rank's work, and waits for no other
        data = AtariDataModule("pong", **small).probe_data()
        torch.save(majority(data)["protocols"], f"{result}-scores")
    mean = WeightedMean()  # of ranks whose shares of a last batch differ: of its samples
    mean.update(torch.tensor([2.0, 5.0][rank]), weight=[3, 1][rank])
    assert mean.compute() == (3 * 2.0 + 5.0) / 4
    dist.destroy_process_group()


def test_same_weights_and_losses(small, tmp_path):
    AtariDataModule("pong", **small).prepare_data()
    train(small, 1, tmp_path / "one")
    mp.spawn(run_rank, (small, tmp_path / "store", tmp_path / "two"), nprocs=WORLD)
    (one, weights), (two, expected) = (torch.load(tmp_path / n) for n in ("one", "two"))
    for name, value in one.items():
        assert abs(two[name] - value) < 1e-4, name
    alone = majority(AtariDataModule("pong", **small).probe_data())["protocols"]
    assert torch.load(f"{tmp_path / 'two'}-scores") == alone
    # One copy of the frames for both, whose file cannot be left behind; one process has its own.
    (inode, name), second = (torch.load(f"{tmp_path / 'two'}-mapped{k}") for k in range(WORLD))
    assert second == (inode, name)
    assert inode
    assert name.startswith("/dev/shm/lightning-stdim-")
    assert name.endswith(" (deleted)")
    assert torch.load(f"{tmp_path / 'one'}-mapped0")[0] == 0
    for name, value in weights.items():
        torch.testing.assert_close(expected[name], value, rtol=1e-3, atol=1e-5)
    for result, trained in (("one", weights), ("two", expected)):
        untrained, last = (
            torch.load(tmp_path / f"{result}-snapshots" / f"step{step}.ckpt", weights_only=True)
            for step in (0, BATCHES)
        )
        for name, value in trained.items():
            assert torch.equal(last["state_dict"][name], value)
            assert not torch.equal(untrained["state_dict"][name], value)
