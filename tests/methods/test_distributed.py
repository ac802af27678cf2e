"""Two gloo processes with half the batch each compute what one process computes."""

from functools import partial

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from lightning_stdim import methods as m
from lightning_stdim.datamodules.batches import SequenceBatch

METHODS = {
    "BYOL": m.BYOL,
    "CPC": partial(m.CPC, sequence_length=4, steps_between=2),
    "DIMUA": m.DIMUA,
    "JSDSTDIM": m.JSDSTDIM,
    "JSDSTDIM over the batch": partial(m.JSDSTDIM, negatives="batch"),
    "LatentPrediction": partial(m.LatentPrediction, steps=2),
    "PixelPrediction": partial(m.PixelPrediction, encoder_args={"resize": [76, 81]}),
    "STDIM": m.STDIM,
    "STDIM, global-local": partial(m.STDIM, terms="global-local"),
    "STDIM, local-local": partial(m.STDIM, terms="local-local"),
    "VAE": partial(m.VAE, encoder_args={"resize": [76, 81]}),
    "GlobalTDIM": m.GlobalTDIM,
    "StaticDIM": m.StaticDIM,
    "StaticDIM over positions": partial(m.StaticDIM, negatives="positions"),
    "VICReg": m.VICReg,
}
WORLD, BATCH = 2, 6


def make(name):
    torch.manual_seed(0)
    model = METHODS[name]().double()  # so that the order of a sum makes no difference that shows
    frames = torch.randint(0, 256, (model.sequence_length, BATCH, 1, 210, 160)).byte()
    return model, frames


def loss_and_gradients(model, frames):
    others = frames[0].flip(-1)
    loss = model.loss(SequenceBatch(frames, torch.arange(frames.shape[1]), others))["loss"]
    loss.backward()
    return loss.detach(), [p.grad for p in model.parameters() if p.requires_grad]


def run_rank(rank, folder):
    torch.set_num_threads(1)
    store = f"file://{folder / 'store'}"
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=WORLD)
    found = {}
    for name in METHODS:
        model, frames = make(name)
        # Orthogonal initialisation differs by rounding from process to process.
        for tensor in model.state_dict().values():
            dist.broadcast(tensor, 0)
        weights = {key: value.clone() for key, value in model.state_dict().items()}
        loss, gradients = loss_and_gradients(model, frames.chunk(WORLD, dim=1)[rank])
        for tensor in (loss, *gradients):  # what DDP does: average over ranks
            dist.all_reduce(tensor)
            tensor /= WORLD
        found[name] = weights, loss, gradients
    if rank == 0:
        torch.save(found, folder / "found")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What two processes compute for every method: to start them takes longer than the rest."""
    folder = tmp_path_factory.mktemp("distributed")
    mp.spawn(run_rank, (folder,), nprocs=WORLD)
    return torch.load(folder / "found")


def test_no_method_that_pretrains_is_left_out():
    exported = (getattr(m, name) for name in m.__all__ if name != "SSLMethod")
    pretraining = {cls for cls in exported if cls.data_stage == "pretrain"}
    assert pretraining == {getattr(make, "func", make) for make in METHODS.values()}


@pytest.mark.parametrize("name", METHODS)
def test_same_loss_and_gradient(name, found):
    weights, loss, gradients = found[name]
    model, frames = make(name)
    model.load_state_dict(weights)
    expected_loss, expected_gradients = loss_and_gradients(model, frames)
    torch.testing.assert_close(loss, expected_loss)
    for ours, theirs in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(ours, theirs)
