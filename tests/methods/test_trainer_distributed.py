"""Two processes through the Trainer and the data module train and score as one process does."""

import os

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from lightning import Trainer, seed_everything

from lightning_stdim.datamodules.atari import AtariDataModule
from lightning_stdim.methods import STDIM
from lightning_stdim.probes import majority

WORLD, BATCHES = 2, 3


def train(small, devices, result):
    torch.set_num_threads(1)
    seed_everything(0)
    trainer = Trainer(
        accelerator="cpu",
        devices=devices,
        strategy="ddp" if devices > 1 else "auto",
        max_epochs=1,
        limit_train_batches=BATCHES,
        limit_val_batches=2,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    assert trainer.world_size == devices
    # Plain SGD: Adam divides by gradients that are zero but for rounding.
    method = STDIM()
    method.configure_optimizers = lambda: torch.optim.SGD(method.parameters(), lr=0.1)
    trainer.fit(method, datamodule=AtariDataModule("pong", batch_size=8, **small))
    if trainer.is_global_zero:
        logged = {name: value.item() for name, value in trainer.callback_metrics.items()}
        torch.save((logged, method.state_dict()), result)


def run_rank(rank, small, store, result):
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=WORLD)
    os.environ |= {  # as torchrun sets it
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "GROUP_RANK": "0",
        "WORLD_SIZE": str(WORLD),
        "LOCAL_WORLD_SIZE": str(WORLD),
        "TORCHELASTIC_RUN_ID": "none",
    }
    train(small, WORLD, result)
    if rank == 0:  # probing is one rank's work, and waits for no other
        data = AtariDataModule("pong", **small).probe_data()
        torch.save(majority(data)["protocols"], f"{result}-scores")
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
    for name, value in weights.items():
        torch.testing.assert_close(expected[name], value, rtol=1e-3, atol=1e-5)
