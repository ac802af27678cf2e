"""A synthetic game whose state is readable from pixels, and what a method learns of it.

A sprite walks at random over a grid of five columns and six rows; one pixel in 25 is flipped anew
in every frame. The noise swamps a random encoder's features; what learns, learns to ignore it.
"""

import torch

from lightning_stdim import SSLMethod, evaluate_encoder
from lightning_stdim.datamodules.batches import ProbeData, SequenceBatch
from lightning_stdim.methods.target import TargetNetworkMethod


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
    scores = evaluate_encoder(
        encoder, data, protocols=("converged",), controls=False, progress=False
    )
    return scores["protocols"]["converged"]["f1"]["mean_over_variables"]


def learn(method: SSLMethod, *, steps: int = 60, batch_size: int = 32) -> tuple[float, float]:
    """Train a method on the game, and score its encoder before and after.

    Args:
        method: any method.
        steps: of its optimiser.
        batch_size: sequences per step; at most 2000 // (sequence length + 2).

    Returns:
        The mean F1 of the two coordinates, under the converged protocol, before and after.
    """
    before = score(method.encoder)
    frames, _ = play(2000, seed=0)
    length = method.sequence_length
    back = torch.arange(1 - length, 1)[:, None]
    optimizer = method.configure_optimizers()
    for _ in range(steps):
        slots = torch.randperm(2000 // (length + 2))[:batch_size]
        anchors = length - 1 + (length + 2) * slots
        others = torch.randint(2000, anchors.shape) if method.needs_same_episode_frames else None
        batch = SequenceBatch(
            frames[anchors + back].unsqueeze(2),
            anchors,
            None if others is None else frames[others].unsqueeze(1),
        )
        optimizer.zero_grad()
        method.loss(batch)["loss"].backward()
        optimizer.step()
        if isinstance(method, TargetNetworkMethod):
            method.update_target()
    return before, score(method.encoder)
