"""Probing a run's snapshots, each once: a record for every one of them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from torch import nn

from lightning_stdim.encoders.pretrained import load_encoder, read_checkpoint
from lightning_stdim.errors import ConfigurationError
from lightning_stdim.runs.directory import ENCODER, SNAPSHOTS, kept_checkpoint
from lightning_stdim.runs.finish import evaluate, write_record
from lightning_stdim.runs.key import RunKey
from lightning_stdim.runs.results import FILE, Budget, Results, read_results
from lightning_stdim.runs.snapshots import snapshots_of
from lightning_stdim.runs.trained_run import PROBE_SETTINGS, TrainedRun

Kind = Literal["untrained", "snapshot", "kept"]


@dataclass(frozen=True)
class ProbedEncoder:
    """An encoder of a run, and its scores.

    Attributes:
        run: the identity of the run that trained it.
        kind: the encoder before the first step, a snapshot, or the encoder that the run has kept.
        step: number of optimiser steps that it was trained for.
        results: its record.
        protocols: the probe protocols that were asked for; the record may have more.
    """

    run: RunKey
    kind: Kind
    step: int
    results: Results
    protocols: tuple[str, ...]


@dataclass(frozen=True)
class _Encoder:
    """An encoder that is to be probed.

    Attributes:
        name: the name of its record's folder, and in its key.
        kind: as for :class:`ProbedEncoder`.
        step: as for :class:`ProbedEncoder`.
        load: reads or makes it.
        origin: what its record says of where it is from.
    """

    name: str
    kind: Kind
    step: int
    load: Callable[[], nn.Module]
    origin: dict[str, Any]


def probe_snapshots(
    run: TrainedRun,
    *,
    out: Path | None = None,
    controls: bool = False,
    device: str | None = None,
    command: str = "",
) -> Iterator[ProbedEncoder]:
    """Probe the untrained encoder of a run, its snapshots, and the encoder that it has kept.

    The scores are those of ``probe`` with the run's own settings. A record is written as soon as an
    encoder has been probed, and encoders that have a record are not probed again; neither is the
    kept one of a finished run, whose results file has its scores. The frames are loaded once, and
    only if there is something to probe.

    Args:
        run: the run.
        out: the directory for records that the run's own folder does not have:
            ``out/snapshots/<game>/<method>/seed<seed>/step<N>``. By default they are in the run's
            folder, ``snapshots/step<N>``.
        controls: also train probes on shuffled labels.
        device: where to compute; by default on the CPU.
        command: the command line, for the records.

    Yields:
        The encoders by their steps; the kept one at the end.

    Raises:
        ConfigurationError: the run has no snapshots, or there is a record that was made with other
            settings.
        LightningStdimError: an encoder cannot be read or probed.
    """
    encoders = list(_encoders(run))
    places = [run.folder / SNAPSHOTS]
    if out:
        places.append(run.key.folder(out / SNAPSHOTS))
    for number, one in enumerate(encoders, start=1):
        results = _finished(run, one, places)
        if results is None:
            print(f"{run.key}: {one.name}, {number} of {len(encoders)}", flush=True)
            started = time.monotonic()
            evaluation = evaluate(
                one.load(),
                run.data.probe_data(),
                protocols=run.protocols,
                seed=run.seed,
                controls=controls,
                device=device,
                **run.probes,
            )
            budget: Budget = {
                "pretrain_frames": run.data.hparams["steps"] if one.step and run.pretrains else 0,
                "probe_frames": run.data.probe_steps,
                "epochs": None if one.step else 0,
                "optimizer_steps": one.step,
                "seconds": round(time.monotonic() - started, 1),
            }
            path = write_record(
                places[-1] / one.name,
                # Predictions are for pictures of a finished run.
                replace(
                    evaluation,
                    predictions={},
                    settings=evaluation.settings | {"encoder": one.origin},
                ),
                run.data.probe_data(),
                key=RunKey(
                    run.key.game,
                    run.key.method,
                    run.key.seed,
                    options=(("checkpoint", one.name),),
                    source=run.key,
                ),
                preset=run.preset,
                budget=budget,
                command=command,
            )
            results = read_results(path)
        yield ProbedEncoder(run.key, one.kind, one.step, results, run.protocols)


def _encoders(run: TrainedRun) -> Iterator[_Encoder]:
    """List the encoders of a run in the order in which they are probed."""
    snapshots = snapshots_of(run.folder)
    if not snapshots:
        raise ConfigurationError(
            f"{run.folder} has no snapshots: train with fit --snapshots 1000,2000,4000"
        )
    if 0 not in snapshots:
        origin = {"from": "initialisation", "seed": run.seed}
        yield _Encoder("step0", "untrained", 0, run.initial_encoder, origin)
    for step, path in snapshots.items():
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        yield _Encoder(
            name=path.stem,
            kind="snapshot" if step else "untrained",
            step=step,
            load=lambda path=path: load_encoder(path),  # type: ignore[misc]
            origin={"from": "snapshot", "sha256": digest},
        )
    folder = run.folder / ENCODER
    if run.results and folder.is_dir():
        kept = kept_checkpoint(run.folder)
        # The best epoch need not be the last one.
        trained = (
            read_checkpoint(kept)["global_step"]
            if kept.is_file()
            else run.results["budget"].get("optimizer_steps")
        )
        origin = {"from": ENCODER}
        yield _Encoder(ENCODER, "kept", trained or 0, lambda: load_encoder(folder), origin)


def _finished(run: TrainedRun, one: _Encoder, places: list[Path]) -> Results | None:
    """Find an encoder's record; None if it is still to be made."""
    if one.kind == "kept" and run.results and not _difference(run, one, run.results):
        return run.results
    for place in places:
        path = place / one.name / FILE
        if not path.is_file():
            continue
        results = read_results(path)
        difference = _difference(run, one, results)
        if not difference:
            return results
        if place == places[-1]:  # where this one's would be written
            raise ConfigurationError(
                f"{path} is of other settings: {difference}; choose another --out, or remove it"
            )
    return None


def _difference(run: TrainedRun, one: _Encoder, results: Results) -> str | None:
    """Say in which setting a record differs from what is asked for; None if it does not."""
    scores = results["scores"]
    known = scores.get("settings", {})
    wanted: dict[str, Any] = {"probe_frames": run.data.probe_steps}
    found: dict[str, Any] = {"probe_frames": results["budget"].get("probe_frames")}
    if one.kind != "kept":
        wanted["the encoder"], found["the encoder"] = one.origin, known.get("encoder")
    protocols: tuple[str, ...] = run.protocols
    for name in protocols:
        if name not in scores["protocols"]:
            return f"the protocol {name} is not among them"
        if name in known:
            usual = asdict(PROBE_SETTINGS[name]())
            for setting, value in asdict(run.probes[name]).items():
                value = list(value) if isinstance(value, tuple) else value
                wanted[f"{name}.{setting}"] = value
                # A record that does not name a setting is from before there was a choice.
                found[f"{name}.{setting}"] = known[name].get(setting, usual[setting])
    for name, value in wanted.items():
        if found[name] != value:
            return f"{name} was {found[name]}, and now it is {value}"
    return None
