"""How long does ST-DIM's training step take, part by part, and how much memory?

    python benchmarks/step.py [--out results/benchmarks/step.json]

The floor is a forward and backward pass of the encoder alone over the same 2 x 64 frames, in the
fastest memory format. The step adds gathering the frames, the objective and Adam. Repetitions of
all variants are interleaved, and ratios are medians of those within a round. The ratio that the
documentation quotes is that of ``methods.py``.
"""

from __future__ import annotations

import resource
from collections.abc import Callable

import torch
from record import print_table, script_parser, write_record
from timing import in_turn
from workload import contiguous, encoder_passes, frame_pool, training_step

from lightning_stdim.datamodules.batches import SequenceBatch
from lightning_stdim.datamodules.frames.on_disk import gather_frames
from lightning_stdim.encoders import NatureEncoder
from lightning_stdim.methods import STDIM

BATCH = 64


def main() -> None:
    parser = script_parser(__doc__)
    parser.add_argument("--repeats", type=int, default=15, help="rounds to measure")
    parser.add_argument("--frames", type=int, default=20_000, help="frames in memory")
    parser.add_argument("--out", help="file for the record (JSON)")
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    pool = frame_pool(arguments.frames).to(device)
    generator = torch.Generator().manual_seed(1)

    def batch() -> SequenceBatch:
        anchors = torch.randint(1, len(pool), (BATCH,), generator=generator).to(device)
        index = anchors + torch.tensor([[-1], [0]], device=device)
        return SequenceBatch(gather_frames(pool, index).unsqueeze(2), anchors)

    channels_last = NatureEncoder().to(device)
    fixed = batch().frames.flatten(0, 1)
    method = STDIM().to(device)
    variants: dict[str, Callable[[], object]] = {
        "encoder, channels last": encoder_passes(channels_last, fixed),
        "encoder, contiguous": encoder_passes(contiguous(NatureEncoder().to(device)), fixed),
        "ST-DIM training step": training_step(method, lambda: method.loss(batch())["loss"]),
        "gathering the frames": batch,
    }
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    rounds = in_turn(variants, repeats=arguments.repeats, warm_up=3)
    medians = {name: rounds.median(name) for name in variants}
    floor = min("encoder, channels last", "encoder, contiguous", key=rounds.median)
    ratios = {name: rounds.ratio(name, floor) for name in variants}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print_table(
        f"One step of {BATCH} pairs on {device.type}",
        ("what", "median ms", "ratio to the encoder"),
        [(name, f"{1e3 * m:.1f}", f"{ratios[name]:.2f}") for name, m in medians.items()],
    )
    print(
        f"frames {pool.nbytes / 1e9:.2f} GB, peak resident memory {peak / 1e9:.2f} GB "
        f"({(peak - pool.nbytes) / 1e9:.2f} GB beside the frames, {(peak - before) / 1e9:.2f} GB "
        "of it during the steps)"
    )
    write_record(
        arguments.out,
        {
            "batch": BATCH,
            "device": device.type,
            "median_seconds": medians,
            "ratio_to_encoder": ratios,
            "frames_bytes": pool.nbytes,
            "peak_resident_bytes": peak,
        },
    )


if __name__ == "__main__":
    main()
