"""The key of a run that ``fit`` or ``probe`` makes, and the names that follow from it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_stdim.catalogue import METHODS
from lightning_stdim.errors import ConfigurationError
from lightning_stdim.runs.directory import run_of_encoder
from lightning_stdim.runs.key import FRAMES, Option, RunKey
from lightning_stdim.runs.results import FILE, read_results

if TYPE_CHECKING:
    from lightning_stdim.probes import PaperSettings

RUN_KEY = 'an object such as {"options": [["steps", "3000"]], "source": null}'


UNTRAINED = {"random": "random-cnn", "majority": "majority"}
"""Names of the methods of what ``probe`` takes without an encoder's file or class."""

LONGEST = 150
"""Number of characters of a key's name in the name of a directory."""


def method_name(model: object) -> str:
    """Name a model's method.

    Args:
        model: an object of the method's class.

    Returns:
        The class's own ``name``. An inherited name is another method's, so a class without its own
        is called by its dotted path, such as ``"my_module.MyMethod"``.
    """
    return class_name(type(model))


def check_method_name(name: str, model: object) -> None:
    """Refuse to give a model the name of another method, which its record would then claim.

    Args:
        name: what the method is to be called.
        model: an object of the method's class.

    Raises:
        ConfigurationError: the name is that of a method of the catalogue, and the model is none.
    """
    known = METHODS.get(name)
    if known is None:
        return
    wanted = str(known.class_path).rpartition(".")[2]
    if wanted not in {cls.__name__ for cls in type(model).__mro__}:
        raise ConfigurationError(
            f"method_name={name}, but the model is a {type(model).__name__}: --model {name} "
            "chooses the method; as its name give one that no other method has"
        )


def class_name(method: type) -> str:
    """Name the method of a class, as :func:`method_name` does that of its objects.

    Args:
        method: the class.

    Returns:
        The name.
    """
    own = vars(method).get("name")
    return own if isinstance(own, str) and own else f"{method.__module__}.{method.__qualname__}"


def make_key(
    *,
    game: str,
    method: str,
    seed: int,
    run_key: str | None = None,
    variant: str = "",
    variation: Sequence[Option] = (),
) -> RunKey:
    """Make a run's key.

    Args:
        game: canonical name.
        method: name of the run's method.
        seed: the run's seed.
        run_key: JSON that says what differs from the preset: an object with ``"options"``, a list
            of [name, value], and ``"source"``, the key of the run whose encoder is probed, or null.
            A benchmark sets it.
        variant: what differs, in a person's own words.
        variation: options in which the data differ from the protocol's; used if neither
            ``run_key`` nor ``variant`` is given.

    Returns:
        The key.

    Raises:
        ConfigurationError: ``run_key`` is not of that form.
    """
    options: tuple[Option, ...] = ()
    source = None
    if run_key is not None:
        options, source = _parse(run_key)
    elif not variant:
        options = tuple(variation)
    if variant:
        options += (("", variant),)
    return RunKey(game=game, method=method, seed=seed, options=options, source=source)


def make_probe_key(
    encoder: str,
    *,
    game: str,
    seed: int,
    method: str | None = None,
    run_key: str | None = None,
    variant: str = "",
    variation: Sequence[Option] = (),
    probes: Sequence[Option] = (),
) -> RunKey:
    """Make the key of a run that only probes an encoder.

    Args:
        encoder: ``"random"``, ``"majority"``, the path of a folder or a checkpoint, or
            ``"my_module.MyEncoder"``.
        game: canonical name of the game that is probed.
        seed: the probe's seed.
        method: name of the method; None for the encoder's.
        run_key: as for :func:`make_key`.
        variant: as for :func:`make_key`.
        variation: options in which the frames differ from the protocol's.
        probes: options in which the probes differ from the preset's, as :func:`probe_options`.

    Returns:
        The key. For an encoder of a finished run, that run's key is the source, and its method the
        method. If the run's own probes are repeated, there are no options.

    Raises:
        ConfigurationError: ``run_key`` is not of the form that :func:`make_key` takes.
        StoreError: the results of the encoder's run cannot be read.
    """
    own, source = _identify(encoder)
    extra = (*probes, *_checkpoint(encoder))
    options = (*variation, *extra)
    if source:
        frames = {name: value for name, value in source.options if name in FRAMES}
        if not extra and source.game == game and frames == dict(variation):
            options = ()
        else:  # what the source's frames had, and these have not, needs words
            back = [(name, FRAMES[name]) for name in frames.keys() - dict(variation).keys()]
            options = (*variation, *sorted(back), *extra)
    key = make_key(
        game=game,
        method=method or own,
        seed=seed,
        run_key=run_key,
        variant=variant,
        variation=options,
    )
    return key if run_key is not None else replace(key, source=source)


def probe_options(paper: PaperSettings, preset: PaperSettings) -> tuple[Option, ...]:
    """List the options in which probes differ from the preset's, as a benchmark writes them.

    Args:
        paper: settings of the probes.
        preset: the preset's settings.

    Returns:
        Names and values. That the features of a hidden layer are standardised follows from the
        layer, and is not listed.
    """
    usual = asdict(preset)
    if paper.hidden != preset.hidden:
        usual["standardize"] = True
    return tuple(
        (name, str(value).lower())
        for name, value in asdict(paper).items()
        if name in ("hidden", "standardize", "classes") and value != usual[name]
    )


def probe_folder(key: RunKey) -> str:
    """Name the default directory of a run that only probes.

    Args:
        key: the run's key.

    Returns:
        Such as ``"pong-probe-st-dim-steps-3000-seed0"``: a name of letters, digits and ``_.-`` that
        file systems take.
    """
    return f"{key.game}-probe-{_safe(key.name)[:LONGEST]}-seed{key.seed}"


def curves_folder(keys: Iterable[RunKey]) -> Path:
    """Name the default folder of the curves of several runs.

    Args:
        keys: the runs' keys.

    Returns:
        Such as ``"runs/curves/pong-random-cnn-st-dim"``: it depends on games and methods alone.
    """
    keys = list(keys)
    games, names = ({getattr(key, what) for key in keys} for what in ("game", "name"))
    return Path("runs") / "curves" / _safe("-".join([*sorted(games), *sorted(names)]))[:LONGEST]


def _safe(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name)


def _identify(encoder: str) -> tuple[str, RunKey | None]:
    """Name an encoder's method, and find the key of its run, if it has one that has finished."""
    if encoder in UNTRAINED:
        return UNTRAINED[encoder], None
    path = Path(encoder)
    if not path.exists():  # "module:callable", called as a method of that class would be
        return encoder.replace(":", "."), None
    if run := run_of_encoder(path):
        if (run / FILE).is_file():
            key = RunKey.of_record(read_results(run))
            return key.method, key
        # In a benchmark's directory many runs are called "seed0".
        parts = run.parts[-3:] if re.fullmatch(r"seed\d+", run.name) else run.parts[-1:]
        return _safe("-".join(parts)), None
    return _safe(path.resolve().name if path.is_dir() else path.stem), None


def _checkpoint(encoder: str) -> tuple[Option, ...]:
    """Tell a run's checkpoint from the one that the run's own encoder is taken from."""
    path = Path(encoder)
    if path.is_dir() or not run_of_encoder(path):
        return ()
    kept = "best" if path.with_name("best.ckpt").is_file() else "last"
    return () if path.stem == kept else (("checkpoint", path.stem),)


def _parse(text: str) -> tuple[tuple[Option, ...], RunKey | None]:
    try:
        data = json.loads(text)
    except ValueError as error:
        raise ConfigurationError(
            f"run_key {text!r} is not JSON ({error}): give {RUN_KEY}"
        ) from error
    problem = _problem(data, required={"options"})
    if problem:
        raise ConfigurationError(f"run_key {text!r}: {problem}; give {RUN_KEY}")
    # The rest of the key is the command's own.
    key = RunKey.from_dict({"game": "", "method": "", "seed": 0, **data})
    return key.options, key.source


def _problem(data: Any, *, required: set[str], where: str = "it") -> str | None:
    """Say what is wrong with a key as plain data; None if nothing is."""
    if not isinstance(data, dict):
        return f"{where} is a {type(data).__name__}, not an object"
    if missing := sorted(required - data.keys()):
        return f"{where} has no {missing[0]!r}"
    if unknown := sorted(data.keys() - required - {"options", "source"}):
        return f"{where} has {unknown[0]!r}, which no key has"
    for name in ("game", "method"):
        if name in required and not isinstance(data[name], str):
            return f"{name} {data[name]!r} of {where} is not a string"
    if "seed" in required and type(data["seed"]) is not int:
        return f"seed {data['seed']!r} of {where} is not a whole number"
    options = data.get("options", [])
    if not isinstance(options, list):
        return f"the options of {where} are not a list"
    for option in options:
        if not isinstance(option, list) or [type(part) for part in option] != [str, str]:
            return f"option {option!r} of {where} is not a list of two strings, [name, value]"
    source = data.get("source")
    if source is None:
        return None
    return _problem(source, required={"game", "method", "seed"}, where="source")
