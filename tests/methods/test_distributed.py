"""Two gloo processes with half the batch each compute what one process computes."""

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from lightning_stdim.datamodules.batches import SequenceBatch
from lightning_stdim.methods import (
    DIMUA,
    JSDSTDIM,
    STDIM,
    VAE,
    GlobalTDIM,
    PixelPrediction,
    StaticDIM,
)


def jsd_over_the_batch():
    return JSDSTDIM(negatives="batch")


def vae():
    # Its sums over pixels leave little of float32's precision.
    return VAE(encoder_args={"resize": [76, 81]}).double()


def pixel_prediction():
    return PixelPrediction(encoder_args={"resize": [76, 81]})


METHODS = [
    DIMUA,
    STDIM,
    GlobalTDIM,
    StaticDIM,
    JSDSTDIM,
    jsd_over_the_batch,
    vae,
    pixel_prediction,
]
WORLD, BATCH = 2, 6


def make(method):
    torch.manual_seed(0)
    model = method()
    frames = torch.randint(
        0,
        256,
        (model.sequence_length, BATCH, 1, 210, 160),
        generator=torch.Generator().manual_seed(1),
    ).byte()
    return model, frames


def loss_and_gradients(model, frames):
    others = frames[0].flip(-1)
    loss = model.loss(SequenceBatch(frames, torch.arange(frames.shape[1]), others))["loss"]
    loss.backward()
    return loss.detach(), [p.grad for p in model.parameters() if p.requires_grad]


def run_rank(rank, method, store, results):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=WORLD)
    model, frames = make(method)
    loss, gradients = loss_and_gradients(model, frames.chunk(WORLD, dim=1)[rank])
    for tensor in (loss, *gradients):  # what DDP does: average over ranks
        dist.all_reduce(tensor)
        tensor /= WORLD
    if rank == 0:
        torch.save((loss, gradients), results)
    dist.destroy_process_group()


@pytest.mark.parametrize("method", METHODS)
def test_same_loss_and_gradient(method, tmp_path):
    mp.spawn(run_rank, (method, tmp_path / "store", tmp_path / "results"), nprocs=WORLD)
    loss, gradients = torch.load(tmp_path / "results")
    expected_loss, expected_gradients = loss_and_gradients(*make(method))
    torch.testing.assert_close(loss, expected_loss)
    for ours, theirs in zip(gradients, expected_gradients, strict=True):
        rounding = 1e-5 * theirs.abs().max().item()
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=rounding)
