"""A synthetic game whose state is readable from pixels: methods must learn to read it.

A sprite walks at random over a grid of five columns and six rows; one pixel in 25 is flipped anew
in every frame. The noise swamps a random encoder's features; a temporal objective learns to ignore
what the next frame does not share.
"""

import torch

from lightning_stdim import STDIM, evaluate_encoder
from lightning_stdim.datamodules.batches import ProbeData, SequenceBatch


def play(frames, seed):
    generator = torch.Generator().manual_seed(seed)
    screens = (torch.rand(frames, 210, 160, generator=generator) < 0.04).byte() * 255
    state = torch.tensor([2, 2])
    states = []
    for screen in screens:
        step = torch.randint(-1, 2, (2,), generator=generator)
        state = (state + step).clamp(torch.zeros(2, dtype=int), torch.tensor([4, 5]))
        column, row = state.tolist()
        screen[20 + 30 * row : 36 + 30 * row, 12 + 30 * column : 24 + 30 * column] = 200
        states.append(state)
    return screens, torch.stack(states)


def score(encoder):
    frames, labels = play(1000, seed=1)
    data = ProbeData(
        game="synthetic",
        label_set="paper",
        variables=("x", "y"),
        categories={"x": ("agent_localization",), "y": ("agent_localization",)},
        dropped={},
        frames=frames,
        labels=labels,
        splits={
            "train": torch.arange(600),
            "val": torch.arange(600, 700),
            "test": torch.arange(700, 1000),
        },
    )
    scores = evaluate_encoder(encoder, data, protocols=("converged",), progress=False)
    return scores["protocols"]["converged"]["f1"]["mean_over_variables"]


def test_stdim_beats_the_random_encoder_within_seconds():
    torch.manual_seed(0)
    method = STDIM(lr=2e-3)
    before = score(method.encoder)
    frames, _ = play(2000, seed=0)
    optimizer = method.configure_optimizers()
    for _ in range(60):
        anchors = 1 + 4 * torch.randperm(499)[:32]
        pairs = torch.stack([frames[anchors - 1], frames[anchors]]).unsqueeze(2)
        optimizer.zero_grad()
        method.loss(SequenceBatch(pairs, anchors))["loss"].backward()
        optimizer.step()
    assert score(method.encoder) > before + 0.25
