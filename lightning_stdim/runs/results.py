"""``results.json``: the results of a finished run, and how they are written, read and checked."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict, cast

from lightning_stdim.errors import ConfigurationError, StoreError
from lightning_stdim.runs.key import RunKey
from lightning_stdim.utils.files import atomically

SCHEMA = 1
FILE = "results.json"

Metric = Literal["f1", "accuracy"]


class MetricScores(TypedDict):
    """One metric of one encoder under one protocol, from 0 to 1; None where it is undefined.

    Old results lack the mean weighted by entropy.
    """

    variables: dict[str, float | None]
    categories: dict[str, float | None]
    mean_over_categories: float | None
    mean_over_variables: float | None
    mean_weighted_by_entropy: NotRequired[float | None]


REQUIRED = set(MetricScores.__annotations__) - {"mean_weighted_by_entropy"}


class ScoresJSON(TypedDict):
    """The scores of one encoder: metrics by protocol, and how they came about.

    ``protocols`` maps ``"paper"``, ``"converged"``, ``"challenge"``, ``"supervised"`` or
    ``"majority"`` to metrics (``"f1"``, ``"accuracy"``, ...; where ``"challenge"`` was asked for
    also ``"report_f1"``, which compares with the challenge report alone); ``controls`` does
    so for ``"majority"`` and ``"shuffled"``; ``entropies`` has each variable's label entropy in
    nats; ``dropped`` maps a variable that is not scored to the reason. Results from before label
    sets had versions are of version 1; older ones lack entropies and controls.
    """

    game: str
    label_set: str
    label_set_version: NotRequired[int]
    protocols: dict[str, dict[str, MetricScores]]
    controls: NotRequired[dict[str, dict[str, MetricScores]]]
    entropies: NotRequired[dict[str, float]]
    dropped: dict[str, str]
    provenance: NotRequired[dict[str, Any]]
    settings: NotRequired[dict[str, Any]]


class Budget(TypedDict, total=False):
    """The cost of a run: counts of frames, epochs and optimiser steps; wall time in seconds.

    ``seconds`` is the whole run's, with probing; ``training_seconds`` is its training's alone.
    """

    pretrain_frames: int | None
    probe_frames: int | None
    epochs: int | None
    optimizer_steps: int | None
    training_seconds: float | None
    seconds: float | None


class Results(TypedDict):
    """The content of ``results.json``.

    ``key`` is the run's :class:`~lightning_stdim.runs.key.RunKey` as plain data; results from
    before keys were stored lack it. ``variant`` says the same for readers: how a run differs from
    its preset, such as ``"steps=3000"``; absent or empty if it does not.
    """

    schema: int
    game: str
    method: str
    preset: str | None
    variant: NotRequired[str]
    seed: int
    key: NotRequired[dict[str, Any]]
    scores: ScoresJSON
    budget: Budget
    command: str
    environment: dict[str, Any]


def write_results(path: str | Path, results: Mapping[str, Any]) -> Path:
    """Check results and write ``results.json`` atomically.

    Args:
        path: the file, or the run's directory, which is made if it is missing.
        results: data in the form of :class:`Results`; ``schema`` may be left out. Any mapping may
            stand for a dictionary, such as an ``Evaluation`` for the scores. A number that is not
            finite is written as null.

    Returns:
        The file's path.

    Raises:
        StoreError: the data is not of that form, or the file cannot be written. What was there
            before is untouched.
    """
    path = _file(path)
    complete = validate(_plain({"schema": SCHEMA, **results}), origin=path)
    try:
        text = json.dumps(complete, indent=1, allow_nan=False) + "\n"
    except TypeError as error:
        raise StoreError(f"cannot write {path}: {error}") from error
    with atomically(path) as temporary:
        temporary.write_text(text, "utf-8")
    return path


def read_results(path: str | Path) -> Results:
    """Read and validate a results file.

    Args:
        path: the file, or the run's directory.

    Returns:
        Its content.

    Raises:
        StoreError: there is no such file, or it is not a results file of this schema.
    """
    path = _file(path)
    try:
        # A NaN is no number: it has no place in JSON, and would make others NaN.
        data = json.loads(path.read_text("utf-8"), parse_constant=lambda _: None)
    except FileNotFoundError:
        raise StoreError(f"no results: {path} does not exist; has the run finished?") from None
    except (OSError, ValueError) as error:
        raise StoreError(f"cannot read {path}: {error}; remove it and run again") from error
    return validate(data, origin=path)


def validate(data: object, *, origin: str | Path) -> Results:
    """Check that plain data has the form of :class:`Results`.

    Args:
        data: what a results file holds.
        origin: where the data is from, for the error's message.

    Returns:
        The same object.

    Raises:
        StoreError: the data has another form; the message says what is wrong.
    """
    problem = next(_problems(data), None)
    if problem is not None:
        raise StoreError(f"{origin} is not a results file of schema {SCHEMA}: {problem}")
    return cast(Results, data)


def is_complete(directory: str | Path) -> bool:
    """Tell whether a run has finished: its results file is there.

    Args:
        directory: the run's directory.

    Returns:
        True if there is nothing left to do for this run.

    Raises:
        StoreError: the file is there but does not have this schema. (It is written atomically, so
            an interrupted run does not leave such a file.)
    """
    if not _file(directory).exists():
        return False
    read_results(directory)
    return True


def _file(path: str | Path) -> Path:
    path = Path(path)
    return path if path.name == FILE else path / FILE


def _problems(data: object) -> Iterator[str]:
    """Yield what is wrong, the most fundamental first; only the first can be relied on."""
    if not isinstance(data, dict):
        yield f"expected an object, got {type(data).__name__}"
        return
    if data.get("schema") != SCHEMA:
        yield f"its schema is {data.get('schema')!r}; run again with this version of the package"
    kinds: dict[str, tuple[type, ...]] = {
        "game": (str,),
        "method": (str,),
        "preset": (str, type(None)),
        "seed": (int,),
        "scores": (dict,),
        "budget": (dict,),
        "command": (str,),
        "environment": (dict,),
    }
    for key, kind in kinds.items():
        if key not in data:
            yield f"{key!r} is missing"
        elif not isinstance(data[key], kind):
            yield f"{key!r} is of type {type(data[key]).__name__}"
    if "key" in data:
        yield from _problems_of_key(data["key"], data)
    scores = data["scores"]
    if not isinstance(scores.get("protocols"), dict) or not scores["protocols"]:
        yield "'scores' names no protocol"
    if not isinstance(scores.get("controls", {}), dict):
        yield "'controls' is no object"
    named = [(f"protocol {name!r}", found) for name, found in scores["protocols"].items()]
    named += [(f"control {name!r}", found) for name, found in scores.get("controls", {}).items()]
    for name, metrics in named:
        for metric in ("f1", "accuracy"):
            if not isinstance(metrics, dict) or not isinstance(metrics.get(metric), dict):
                yield f"{name} has no {metric!r}"
            if missing := REQUIRED - set(metrics[metric]):
                yield f"{metric!r} of {name} has no {sorted(missing)[0]!r}"


def _problems_of_key(key: Any, data: Mapping[str, Any]) -> Iterator[str]:
    """Yield why a key is malformed, or belongs to another run."""
    try:
        found = RunKey.from_dict(key)
    except (ConfigurationError, TypeError) as error:
        yield f"its key cannot be read: {error}"
        return
    for name in ("game", "method", "seed"):
        if getattr(found, name) != data[name]:
            yield f"its key is of {name} {getattr(found, name)!r}, its {name} is {data[name]!r}"


def _plain(value: Any) -> Any:
    """Make dictionaries of mappings, lists of tuples, and None of numbers that JSON has not."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
