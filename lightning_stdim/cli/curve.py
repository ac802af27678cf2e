"""The command ``curve``."""

from __future__ import annotations

from pathlib import Path


def curve(
    runs: list[str],
    *,
    out: str | None = None,
    protocols: str = "",
    probe_steps: int | None = None,
    root: str | None = None,
    workers: int | None = None,
    controls: bool = False,
    device: str | None = None,
    command_line: str = "",
) -> int:
    """Draw F1 against optimiser steps, beside the untrained encoder.

    Probes the encoder that each run started from and every snapshot that fit --snapshots has kept,
    with the run's own frames and probe settings. After an interruption the same command goes on;
    what has been probed is not probed again, and of a finished run the scores of the kept encoder
    are taken from its results. The runs may be of several games, methods and seeds. Writes
    curve.png, curve.md (from how many steps on is a method ahead, where, and by how much),
    curve.csv and curve.json.

    Example:
        python -m lightning_stdim curve runs/pong-STDIM-seed0

    Args:
        runs: directories of fit, or of a benchmark for all of its runs that have snapshots.
        out: folder for the curves, and for the scores of snapshots where these are not in the run's
            folder already. By default, the scores go to the runs' folders, snapshots/step<N>, and
            the curves to the folder snapshots of a single run, or for several runs to
            runs/curves/<games>-<methods>.
        protocols: names of the probe protocols, separated by commas; by default the runs' own.
        probe_steps: number of frames to probe on, instead of the runs' own, for a quick look; this
            needs an --out.
        root: folder of the collections; by default the runs' own.
        workers: number of processes that collect; by default the runs' own.
        controls: also train probes on shuffled labels, as a control, for the records.
        device: where to compute, such as cpu or cuda:1; by default a GPU if there is one.
        command_line: the command line of this call, for the records.

    Returns:
        The exit status.
    """
    import torch

    from lightning_stdim.errors import ConfigurationError
    from lightning_stdim.report.output.step_curves_text import verdict
    from lightning_stdim.report.step_curves import write_step_curves
    from lightning_stdim.report.tables.step_curves import step_curves
    from lightning_stdim.runs.directory import SNAPSHOTS, hold_run
    from lightning_stdim.runs.naming import curves_folder
    from lightning_stdim.runs.probe_snapshots import probe_snapshots
    from lightning_stdim.runs.processes import become_rank_zero
    from lightning_stdim.runs.trained_run import TrainedRun, runs_with_snapshots
    from lightning_stdim.utils.comma_separated import comma_separated
    from lightning_stdim.utils.hardware import check_device

    become_rank_zero()
    if probe_steps is not None and not out:
        raise ConfigurationError(
            "probe_steps takes the place of the runs' own: give an --out, so that these scores do "
            "not take the place of theirs"
        )
    there = device or ("cuda" if torch.cuda.is_available() else "cpu")
    check_device(there)
    folders = [folder for name in runs for folder in runs_with_snapshots(Path(name))]
    found = [
        TrainedRun.read(
            folder,
            protocols=comma_separated(protocols),
            probe_steps=probe_steps,
            root=root,
            workers=workers,
        )
        for folder in dict.fromkeys(folders)
    ]
    if out:
        folder = Path(out)
    elif len(found) == 1:
        folder = found[0].folder / SNAPSHOTS
    else:
        folder = curves_folder(run.key for run in found)
    with hold_run(folder):
        probed = [
            one
            for run in found
            for one in probe_snapshots(
                run,
                out=folder if out else None,
                controls=controls,
                device=there,
                command=command_line,
            )
        ]
        curves = step_curves(probed)
        if not curves:
            raise ConfigurationError(
                "the runs have no snapshot but that of step 0: there is no curve"
            )
        for path in write_step_curves(folder, curves):
            print(path)
    for one in curves:
        print(f"{one.game}, {one.protocol}: {verdict(one).replace('**', '')}")
    return 0
