"""The commands ``collect``, ``describe`` and ``export``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from lightning_stdim.datamodules.collection.settings import CollectionSettings
from lightning_stdim.datamodules.labels.games import LabelSet


def collect(settings: CollectionSettings, *, workers: int | None = None, root: str = "data") -> int:
    """Play a game and store frames, RAM and labels in one HDF5 file.

    After an interruption, the same command goes on where it stopped. A file that exists already is
    not made again.

    Args:
        settings: what to collect.
        workers: number of processes that play; by default one for every core that may be used. It
            does not change the file.
        root: folder for the file.

    Returns:
        The exit status.
    """
    import sys
    import time

    from lightning_stdim.datamodules.collection.collect import collect as run_collection
    from lightning_stdim.utils.hardware import cores

    started = time.time()
    path = run_collection(settings, workers=cores() if workers is None else workers, root=root)
    if path.stat().st_mtime < started:
        print("this collection exists already:", file=sys.stderr)
    print(path)
    return 0


def describe(files: list[str], *, label_set: LabelSet | None = None, out: str | None = None) -> int:
    """Print statistics of collections, side by side.

    Example:
        python -m lightning_stdim describe data/pong-random-seed0-20000.h5

    Args:
        files: files written by collect.
        label_set: labels to describe, paper or upstream; by default those in the file.
        out: folder for the statistics (describe.json) and for pages of frames with their labels
            (contact-sheet.png; for several files contact-sheet-1.png, -2, ... in their order).

    Returns:
        The exit status.
    """
    import dataclasses
    import json

    from lightning_stdim.cli.console import print_descriptions
    from lightning_stdim.datamodules import store
    from lightning_stdim.datamodules.tools.describe import Description
    from lightning_stdim.datamodules.tools.describe import describe as compute
    from lightning_stdim.utils.files import atomically

    def one(file: str, sheet: Path | None) -> Description:
        collection = store.read(file)
        if sheet:
            from lightning_stdim.datamodules.tools.contact_sheet import png

            picture = png(collection, name=Path(file).name, label_set=label_set)
            with atomically(sheet) as temporary:
                temporary.write_bytes(picture)
        return compute(collection, label_set=label_set)

    for file in files:  # so that a wrong one is refused before any work is done
        store.check(Path(file), verify=False)
    folder = Path(out) if out else None
    suffixes = [f"-{k}" for k in range(1, len(files) + 1)] if len(files) > 1 else [""]
    # A collection is released before the next one is read.
    described = [
        one(file, folder and folder / f"contact-sheet{suffix}.png")
        for file, suffix in zip(files, suffixes, strict=True)
    ]
    if folder:
        data = [
            {"file": file, **dataclasses.asdict(part)}
            for file, part in zip(files, described, strict=True)
        ]
        with atomically(folder / "describe.json") as temporary:
            temporary.write_text(json.dumps(data, indent=1) + "\n", "utf-8")
    print_descriptions([Path(file).stem for file in files], described)
    if folder:
        print(folder)
    return 0


def export(file: str, *, format: Literal["minari", "npz", "parquet"], out: str) -> int:
    """Write a collection in another format, with all values unchanged.

    Example:
        python -m lightning_stdim export data/pong-random-seed0-20000.h5 --format npz --out pong.npz

    Args:
        file: file written by collect.
        format: minari, a dataset with the frames, actions, rewards, RAM and labels of every
            episode; npz, every array of the file; or parquet, one row for every step with RAM and
            labels but no frames.
        out: file to write; for minari a folder, whose name is the dataset's, such as pong-v0.

    Returns:
        The exit status.
    """
    from lightning_stdim.datamodules.tools.export import export as write

    write(Path(file), format=format, out=Path(out))
    print(out)
    return 0
