"""Training a PPO agent for one game, to collect frames that a random agent never sees.

Stable-Baselines3 trains it, with the usual settings for Atari (Schulman et al. 2017, arXiv
1707.06347, table 5, and RL Baselines3 Zoo). This module adds resuming, progress and the record.
"""

from __future__ import annotations

import json
import time
import zipfile
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, get_args

from lightning_stdim.datamodules.labels.games import canonical_game
from lightning_stdim.errors import ConfigurationError, StoreError
from lightning_stdim.utils.checks import integer
from lightning_stdim.utils.directories import hold_directory
from lightning_stdim.utils.extras import install_extra
from lightning_stdim.utils.files import atomically
from lightning_stdim.utils.hardware import check_device
from lightning_stdim.utils.locks import LockHeldError
from lightning_stdim.utils.progress_bar import progress_bar

Precision = Literal["32", "bf16-mixed"]

POLICY = "policy.zip"
RECORD = "training.json"
"""The record, beside the policy and within its archive, so that weights and record always match."""

SETTINGS: dict[str, Any] = {
    "n_envs": 8,
    "frame_stack": 4,
    "n_steps": 128,
    "batch_size": 256,
    "n_epochs": 4,
    "learning_rate": 2.5e-4,  # both decay to 0 over the whole training
    "clip_range": 0.1,
    "gamma": 0.99,
    "gae_lambda": 0.95,
    "ent_coef": 0.01,
    "vf_coef": 0.5,
    "max_grad_norm": 0.5,
}
SAVE_EVERY = 16
"""Number of rollouts (``n_envs * n_steps`` steps) between two checkpoints: what a kill can lose."""


def train_ppo(
    game: str,
    *,
    steps: int,
    out: str | Path,
    seed: int = 0,
    device: str = "auto",
    precision: Precision = "32",
    provenance: Mapping[str, Any] | None = None,
    progress: bool = True,
) -> Path:
    """Train an agent, or go on where an earlier call stopped.

    The agent plays ``{Game}NoFrameskip-v4`` in Stable-Baselines3's ``AtariWrapper``, which has the
    same wrappers as our collections, with stacks of four frames of 84x84 and clipped rewards. A
    resumed training goes on with the weights, the optimiser and the schedules, but begins new
    games: it does not give the same numbers as an uninterrupted one.

    Args:
        game: any usual spelling of an annotated game's name.
        steps: number of the agent's steps in all, more than one rollout of 1024; rounded up to
            whole rollouts. Learning rate and clipping decay to 0 over them, so a training that goes
            on with more steps starts with the rates that the larger number gives.
        out: the run's directory; made if it is missing.
        seed: random seed of the games and the initial weights, 0 to 2**31 - 1.
        device: where to compute, as Stable-Baselines3 names it.
        precision: ``"bf16-mixed"`` computes the convolutional features, which take most of the
            time, under autocast. On a CPU with bfloat16 that takes about 0.6 of the time.
        provenance: plain data to keep with the record, such as the command and the machine.
        progress: show a progress bar on standard error.

    Returns:
        The policy: ``OUT/policy.zip``, a Stable-Baselines3 checkpoint. Beside it are
        ``training.json`` (settings and the curve: for every rollout the steps so far, the games
        finished so far, the mean return of the last 100 games, not clipped, and the seconds spent)
        and its picture ``training.png``.

    Raises:
        ConfigurationError: an argument is wrong, Stable-Baselines3 is not installed, or the
            directory holds another training.
        StoreError: the directory cannot be written, or the policy in it is damaged.
        KeyboardInterrupt: when interrupted, with a message that says what is kept.
    """
    game = canonical_game(game)
    rollout = SETTINGS["n_envs"] * SETTINGS["n_steps"]
    if steps <= rollout:  # learning rate and clipping are 0 for the last rollout
        raise ConfigurationError(f"steps={steps} must be more than a rollout of {rollout}")
    integer("seed", seed, at_most=2**31 - 1)
    if precision not in get_args(Precision):
        raise ConfigurationError(
            f"precision {precision!r} is unknown: choose one of {', '.join(get_args(Precision))}"
        )
    path = Path(out) / POLICY
    settings = {**SETTINGS, "precision": precision}
    wanted: dict[str, Any] = {"game": game, "seed": seed, "settings": settings}
    with _exclusive_lock(path.parent):
        record = {**wanted, "curve": [], "returns": [], "parts": []}
        if path.exists():
            record = read_record(path)
        for key, value in wanted.items():
            if record.get(key) != value:
                raise ConfigurationError(
                    f"{path} was trained with {key} {record.get(key)}, not {value}: choose another "
                    "directory"
                )
        done = record["curve"][-1]["steps"] if record["curve"] else 0
        if done < steps:
            record["parts"].append({"from": done, "to": steps, **(provenance or {})})
            # Other games than those that have been played.
            model = build_model(
                game, seed=(seed + done) % 2**31, device=device, precision=precision
            )
            try:
                if done:
                    _restore(model, record, path)
                _learn(model, record, steps, path, progress)
            finally:
                model.get_env().close()
    return path


def read_record(path: Path) -> dict[str, Any]:
    """Read the record of a training out of its policy's archive.

    Args:
        path: what :func:`train_ppo` returned.

    Returns:
        ``game``, ``seed``, ``settings``, ``curve``, ``returns`` (of the last 100 games) and
        ``parts`` (the calls that it was trained by: from and to how many steps, and provenance).

    Raises:
        StoreError: the file is damaged, or no policy that :func:`train_ppo` wrote.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            record: dict[str, Any] = json.loads(archive.read(RECORD))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise StoreError(
            f"{path} is damaged, or `train-policy` did not write it ({error}): move it away to "
            "train again"
        ) from error
    return record


def build_model(game: str, *, seed: int, device: str, precision: Precision) -> Any:
    """Make the untrained model and its environments.

    Args:
        game: canonical name.
        seed: random seed of the games and the initial weights, 0 to 2**31 - 1.
        device: as for :func:`train_ppo`.
        precision: as for :func:`train_ppo`.

    Returns:
        A ``stable_baselines3.PPO``.

    Raises:
        ConfigurationError: Stable-Baselines3 is not installed, or the device is not there.
    """
    try:
        import ale_py
        import cv2  # noqa: F401  (Stable-Baselines3 looks for it only when a frame comes)
        import gymnasium
        import torch
        from stable_baselines3 import PPO
        from stable_baselines3.common.env_util import make_atari_env
        from stable_baselines3.common.logger import Logger
        from stable_baselines3.common.torch_layers import NatureCNN
        from stable_baselines3.common.utils import LinearSchedule
        from stable_baselines3.common.vec_env import VecFrameStack
    except ImportError as error:
        raise ConfigurationError(
            f"training a policy needs {error.name}: {install_extra('agents')}"
        ) from error
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)  # before it prints its banner
    gymnasium.register_envs(ale_py)
    if device != "auto":
        check_device(device)
    name = next(name for name in gymnasium.registry if name.lower() == f"{game}noframeskip-v4")
    settings = dict(SETTINGS)
    env = make_atari_env(name, n_envs=settings.pop("n_envs"), seed=seed)
    env = VecFrameStack(env, n_stack=settings.pop("frame_stack"))
    for decaying in ("learning_rate", "clip_range"):
        settings[decaying] = LinearSchedule(settings[decaying], 0.0, 1.0)

    class MixedNatureCNN(NatureCNN):
        """The same layers under autocast; what follows them stays in float32."""

        def forward(self, observations: torch.Tensor) -> torch.Tensor:
            with torch.autocast(observations.device.type, torch.bfloat16):
                features: torch.Tensor = super().forward(observations)
            return features.float()

    features = {"32": NatureCNN, "bf16-mixed": MixedNatureCNN}[precision]
    # Stable-Baselines3 puts layers between features and actions unless told not to.
    policy = {"features_extractor_class": features, "net_arch": []}
    model = PPO("CnnPolicy", env, seed=seed, device=device, policy_kwargs=policy, **settings)
    model.set_logger(Logger(None, []))  # its own makes a folder among the temporary ones
    return model


def _restore(model: Any, record: dict[str, Any], path: Path) -> None:
    """Go on with the weights and the optimiser of a checkpoint."""
    try:
        model.set_parameters(str(path))  # reads weights only, never the archive's pickles
    except Exception as error:  # whatever a reader of foreign bytes may raise
        raise StoreError(
            f"{path} is damaged ({type(error).__name__}: {error}): move it away to train again"
        ) from error
    model.num_timesteps = record["curve"][-1]["steps"]


def _learn(model: Any, record: dict[str, Any], steps: int, path: Path, progress: bool) -> None:
    from stable_baselines3.common.callbacks import BaseCallback

    curve, returns = record["curve"], deque(record["returns"], maxlen=100)
    before = len(curve)
    started = time.monotonic() - (curve[-1]["seconds"] if curve else 0.0)
    games = curve[-1]["games"] if curve else 0

    class Record(BaseCallback):
        """Records the curve, and saves now and then."""

        def _on_step(self) -> bool:
            nonlocal games
            over = [info["episode"]["r"] for info in self.locals["infos"] if "episode" in info]
            games += len(over)
            returns.extend(map(float, over))
            return True

        def _on_rollout_end(self) -> None:
            record["returns"] = list(returns)
            mean = sum(returns) / len(returns) if returns else None
            seconds = round(time.monotonic() - started, 1)
            curve.append(
                {
                    "steps": model.num_timesteps,
                    "games": games,
                    "mean_return": mean,
                    "seconds": seconds,
                }
            )
            note = "" if mean is None else f"mean return {mean:.1f}"
            update(min(model.num_timesteps, steps), note)

        def _on_rollout_start(self) -> None:  # the model has learnt from the last rollout
            if len(curve) > before and len(curve) % SAVE_EVERY == 0:
                _save(model, record, path)

    with progress_bar(f"training on {record['game']}", steps, enabled=progress) as update:
        update(model.num_timesteps, "")
        try:
            model.learn(steps - model.num_timesteps, callback=Record(), reset_num_timesteps=False)
        except KeyboardInterrupt:
            kept = read_record(path)["curve"][-1]["steps"] if path.exists() else 0
            raise KeyboardInterrupt(
                f"interrupted; {kept} of {steps} steps are kept in {path.parent}: do the same "
                "again to go on"
            ) from None
    _save(model, record, path)


def _save(model: Any, record: dict[str, Any], path: Path) -> None:
    """Write policy, record and picture, each atomically; the policy's archive is what counts."""
    text = json.dumps(record, indent=1)
    with atomically(path) as temporary:
        with temporary.open("wb") as file:
            model.save(file)
        with zipfile.ZipFile(temporary, "a") as archive:
            archive.writestr(RECORD, text)
    with atomically(path.with_name(RECORD)) as temporary:
        temporary.write_text(text, "utf-8")
    with atomically(path.with_name(RECORD).with_suffix(".png")) as temporary:
        _draw(record, temporary)


def _draw(record: dict[str, Any], path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    points = [point for point in record["curve"] if point["mean_return"] is not None]
    figure = Figure(figsize=(6, 3.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    if not points:
        axes.text(0.5, 0.5, "no game has ended yet", ha="center", transform=axes.transAxes)
    axes.plot([p["steps"] for p in points], [p["mean_return"] for p in points], color="#2171b5")
    axes.set_xlabel("steps")
    axes.set_ylabel("mean return of the last 100 games")
    axes.set_title(f"PPO on {record['game']}, seed {record['seed']}")
    axes.grid(alpha=0.3)
    figure.savefig(path, format="png", dpi=150)


@contextmanager
def _exclusive_lock(folder: Path) -> Iterator[None]:
    """Keep two trainings out of one directory."""
    try:
        with hold_directory(folder):
            yield
    except LockHeldError as error:
        raise ConfigurationError(f"{folder} is in use by another training: {error}") from None
