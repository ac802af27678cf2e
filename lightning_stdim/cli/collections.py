"""``collect``, ``describe`` and ``export``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from lightning_stdim.datamodules.collection.settings import CollectionSettings
from lightning_stdim.datamodules.labels.games import LabelSet


def collect(settings: CollectionSettings, *, workers: int | None = None, root: str = "data") -> int:
    """Play a game and store frames, RAM and labels in one HDF5 file.

    If it is interrupted, the same command goes on where it stopped. If the file is there already,
    it says so.

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
        print("this collection is there already:", file=sys.stderr)
    print(path)
    return 0


def describe(files: list[str], *, label_set: LabelSet | None = None, out: str | None = None) -> int:
    """Print what files of collected frames hold, side by side.

    Args:
        files: that `collect` wrote.
        label_set: which labels to describe; by default those that the file has.
        out: folder for describe.json, and for frames with their labels, contact-sheet.png
            (contact-sheet-1.png, -2, ... in the order of several files).

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

    for file in files:  # before any work is done
        store.check(Path(file), verify=False)
    folder = Path(out) if out else None
    suffixes = [f"-{k}" for k in range(1, len(files) + 1)] if len(files) > 1 else [""]
    # A collection is released before the next one is read.
    described = [
        one(file, folder and folder / f"contact-sheet{suffix}.png")
        for file, suffix in zip(files, suffixes, strict=True)
    ]
    print_descriptions([Path(file).stem for file in files], described)
    if folder:
        data = [
            {"file": file, **dataclasses.asdict(part)}
            for file, part in zip(files, described, strict=True)
        ]
        with atomically(folder / "describe.json") as temporary:
            temporary.write_text(json.dumps(data, indent=1) + "\n")
        print(folder)
    return 0


def export(file: str, *, format: Literal["minari", "npz", "parquet"], out: str) -> int:
    """Write a file of collected frames in another format, every value as it is.

    Args:
        file: that `collect` wrote.
        format: minari, a dataset with frames, actions, rewards, RAM and labels by episode; npz,
            every array of the file; or parquet, a row a step with RAM and labels but no frames.
        out: the file to write; for minari a folder.

    Returns:
        The exit status.
    """
    from lightning_stdim.datamodules.tools.export import export as write

    write(Path(file), format=format, out=Path(out))
    print(out)
    return 0
