"""The interface of ``atariari``, the reference implementation's package of 2019.

A script for that package runs when its import lines are changed::

    import gymnasium as gym
    from lightning_stdim.compat.atariari import AtariARIWrapper, ProbeTrainer, get_episodes

Names, arguments and returned structures are those of mila-iqia/atari-representation-learning
(commit a06f52c); the labels are those of its last label set, ``"upstream"``. The code behind the
names is this package's. Each docstring says what differs, and a value that is not supported is an
error. Importing this module registers ale-py's environments with Gymnasium.
"""

from __future__ import annotations

from typing import Any, SupportsFloat

import ale_py
import gymnasium
import numpy as np
import torch
from gymnasium.core import ActType, ObsType
from numpy.typing import NDArray
from torch import Tensor, nn

from lightning_stdim.datamodules import store
from lightning_stdim.datamodules.atari import AtariDataModule
from lightning_stdim.datamodules.batches import ProbeData, Split
from lightning_stdim.datamodules.emulator import gymnasium_wrapper
from lightning_stdim.datamodules.labels.annotations import CATEGORIES, annotation
from lightning_stdim.datamodules.labels.games import LabelSet, games
from lightning_stdim.datamodules.splits import PRETRAIN_FRACTIONS, split_episodes
from lightning_stdim.encoders import NatureEncoder
from lightning_stdim.errors import ConfigurationError, EncoderError
from lightning_stdim.probes.evaluate import encode_splits
from lightning_stdim.probes.paper import FrozenProbe, PaperSettings, fit_paper
from lightning_stdim.probes.scores import score_predictions

gymnasium.register_envs(ale_py)

LABEL_SET: LabelSet = "upstream"
_ANNOTATIONS = {game: annotation(game, LABEL_SET) for game in games(LABEL_SET)}
_CATEGORIES = {k: v for a in _ANNOTATIONS.values() for k, v in a.categories.items()}

atari_dict: dict[str, dict[str, int]] = {
    game: {name: code.ram[0] for name, code in zip(a.variables, a.codes, strict=True)}
    for game, a in _ANNOTATIONS.items()
}
"""For every game, the RAM byte of each variable."""

summary_key_dict: dict[str, list[str]] = {
    category: [name for name, found in _CATEGORIES.items() if category in found]
    for category in CATEGORIES
}
"""For every score category, the variables of all games that count in it."""

Episodes = list[list[Tensor]]
"""Episodes of frames, each uint8 [1, 210, 160], or [3, 210, 160] in colour."""
Labels = list[list[dict[str, int]]]
"""For every frame of every episode, the labels by variable name."""


def ram2label(env_name: str, ram: NDArray[np.uint8]) -> dict[str, int]:
    """Read the state variables from the RAM.

    Args:
        env_name: name of the environment, such as ``"PongNoFrameskip-v4"``.
        ram: the emulator's RAM, uint8 [128].

    Returns:
        The labels by variable name, values 0 to 255.

    Raises:
        ConfigurationError: the game has no annotation, or `ram` is not uint8 [128].
    """
    if np.ndim(ram) != 1:
        raise ConfigurationError(
            f"ram has shape {np.shape(ram)}: expected [128]; use lightning_stdim.ram2label"
        )
    described = annotation(env_name, LABEL_SET)
    return dict(zip(described.variables, described.decode(ram).tolist(), strict=True))


class AtariARIWrapper(gymnasium_wrapper.AtariARIWrapper[ObsType, ActType]):
    """The wrapper that adds labels to ``info``, with the interface of an old Gym environment.

    ``reset`` returns the observation alone, and ``step`` returns four values. ``info`` has
    ``"labels"``, ``"ale.lives"`` and, if the episode was cut, ``"TimeLimit.truncated"``.

    Args:
        env: environment from ``gymnasium.make``, such as ``"MsPacmanNoFrameskip-v4"``.

    Raises:
        ConfigurationError: the environment is not one of an annotated game.
    """

    def __init__(self, env: gymnasium.Env[ObsType, ActType]) -> None:
        # Gymnasium keeps the first recorded arguments, so this records those without a label set.
        gymnasium.utils.RecordConstructorArgs.__init__(self)
        super().__init__(env, label_set=LABEL_SET)
        self._seed: int | None = None

    def seed(self, seed: int | None = None) -> None:
        """Seed the next reset.

        Args:
            seed: random seed of the environment, as for Gymnasium's ``Env.reset``.
        """
        self._seed = seed

    def reset(self, **options: Any) -> ObsType:  # type: ignore[override]
        """Begin an episode.

        Args:
            **options: arguments of Gymnasium's ``Env.reset``.

        Returns:
            The first observation.
        """
        observation, _ = super().reset(**{"seed": self._seed, **options})
        self._seed = None
        return observation

    def step(self, action: ActType) -> tuple[ObsType, SupportsFloat, bool, dict[str, Any]]:  # type: ignore[override]
        """Take an action.

        Args:
            action: an element of the action space.

        Returns:
            The observation, the reward, whether the episode is over, and the info.
        """
        observation, reward, terminated, truncated, info = super().step(action)
        info["ale.lives"] = info["lives"]
        if truncated:
            info["TimeLimit.truncated"] = not terminated
        return observation, reward, terminated or truncated, info


def get_episodes(
    env_name: str,
    steps: int,
    seed: int = 42,
    num_processes: int = 1,
    num_frame_stack: int = 1,
    downsample: bool = False,
    color: bool = False,
    entropy_threshold: float = 0.6,
    collect_mode: str = "random_agent",
    train_mode: str = "probe",
    checkpoint_index: int = -1,
    min_episode_length: int = 64,
    root: str = "data",
) -> tuple[Episodes, Episodes] | tuple[Episodes, Episodes, Labels, Labels, Episodes, Labels]:
    """Collect episodes, or read them if they have been collected before.

    Three things differ from the reference: the splits have given shares of the frames and are
    shuffled by the seed, the two modes do not share games, and the first frame of an episode has
    its own label.

    Args:
        env_name: name of the environment, such as ``"PitfallNoFrameskip-v4"``.
        steps: number of frames to collect.
        seed: random seed of the collection and of the splits.
        num_processes: number of processes that collect; the frames do not depend on it.
        num_frame_stack: only 1 is supported.
        downsample: only False is supported.
        color: whether frames are RGB instead of luma.
        entropy_threshold: variables whose labels have a lower entropy, in nats, are left out.
        collect_mode: only ``"random_agent"`` is supported.
        train_mode: ``"probe"`` or ``"train_encoder"``.
        checkpoint_index: only -1 is supported.
        min_episode_length: episodes of at most this length, without the state that ends them, are
            left out.
        root: folder of the collections.

    Returns:
        For ``"train_encoder"``: training and validation episodes. For ``"probe"``: training and
        validation episodes, training and validation labels, test episodes and test labels.

    Raises:
        ConfigurationError: an argument is not supported, or there are too few episodes.
    """
    _only("num_frame_stack", num_frame_stack, 1, "stack the frames of an episode yourself")
    _only("downsample", downsample, False, "labels are for whole frames")
    _only(
        "collect_mode",
        collect_mode,
        "random_agent",
        "collect another agent's frames with `python -m lightning_stdim collect --policy ...`, and "
        "read them with lightning_stdim.datamodules.probe_data.load_probe_data",
    )
    _only("checkpoint_index", checkpoint_index, -1, "there is no list of agents to choose from")
    if train_mode not in ("probe", "train_encoder"):
        raise ConfigurationError(f"train_mode={train_mode!r}: choose 'probe' or 'train_encoder'")
    module = AtariDataModule(
        env_name,
        steps=steps,
        probe_steps=steps,
        seed=seed,
        workers=num_processes,
        root=root,
        pixels="rgb" if color else "luma",
        label_set=LABEL_SET,
        entropy_threshold=entropy_threshold,
        # Longer by one, and one more for the state that ends an episode, which is a frame here.
        min_episode_length=min_episode_length + 2,
    )
    if train_mode == "probe":
        return _probe_episodes(module.probe_data())
    collection = store.read(module.collect("pretrain"))
    split = split_episodes(
        collection.episode_length,
        fractions=PRETRAIN_FRACTIONS,
        seed=seed,
        min_length=module.min_episode_length,
    )
    frames = _with_channels(torch.from_numpy(collection.frames))
    episodes = torch.split(frames, collection.episode_length.tolist())
    return [list(episodes[e]) for e in split["train"]], [list(episodes[e]) for e in split["val"]]


def _probe_episodes(
    data: ProbeData,
) -> tuple[Episodes, Episodes, Labels, Labels, Episodes, Labels]:
    starts = torch.tensor(data.provenance["episode_start"])

    def episodes_of(split: Split) -> tuple[Episodes, Labels]:
        positions = data.splits[split]
        number = torch.bucketize(positions, starts, right=True)
        lengths = torch.unique_consecutive(number, return_counts=True)[1].tolist()
        # Without duplicates a test episode may have a single frame left. The reference drops it.
        episodes = [part for part in torch.split(positions, lengths) if len(part) > 1]
        frames = [list(_with_channels(data.frames[part])) for part in episodes]
        rows = [data.labels[part].tolist() for part in episodes]
        return frames, [[dict(zip(data.variables, v, strict=True)) for v in row] for row in rows]

    (train, train_labels), (val, val_labels), (test, test_labels) = map(episodes_of, data.splits)
    return train, val, train_labels, val_labels, test, test_labels


def _with_channels(frames: Tensor) -> Tensor:
    """Add a channel dimension to luma frames: uint8 [n, C, 210, 160]."""
    return frames.unsqueeze(1) if frames.ndim == 3 else frames


class ProbeTrainer:
    """Linear probes on a frozen encoder, trained by the ``paper`` protocol.

    The frames are encoded once, in evaluation mode, and the probes' best weights are scored. The
    reference encodes the frames for every probe, in whatever mode the encoder is, and scores the
    last weights.

    Args:
        encoder: module from float frames [B, C, 210, 160], values 0 to 1, to float [B, D].
        method_name: name of the method, kept as the attribute ``method``.
        wandb: only None is supported.
        patience: number of epochs without better validation accuracy after which a probe stops.
        num_classes: only 256 is supported.
        fully_supervised: only False is supported.
        save_dir: only the default is supported; nothing is saved.
        device: device of the computation; by default a GPU if there is one.
        lr: Adam's initial learning rate. The published scores are for 3e-4.
        epochs: largest number of epochs.
        batch_size: number of frames per training step.
        representation_len: size of the encoder's vector, D.

    Raises:
        ConfigurationError: an argument is not supported.
    """

    def __init__(
        self,
        encoder: nn.Module | None = None,
        method_name: str = "my_method",
        wandb: Any = None,
        patience: int = 15,
        num_classes: int = 256,
        fully_supervised: bool = False,
        save_dir: str = ".models",
        device: torch.device | str | None = None,
        lr: float = 5e-4,
        epochs: int = 100,
        batch_size: int = 64,
        representation_len: int = 256,
    ) -> None:
        if encoder is None:
            raise ConfigurationError(
                "encoder=None is not supported here: give an encoder of frames"
            )
        _only("wandb", wandb, None, "log what test() returns")
        _only("num_classes", num_classes, 256, "a label is a byte")
        _only("fully_supervised", fully_supervised, False, "use lightning_stdim.Supervised")
        _only("save_dir", save_dir, ".models", "nothing is saved")
        self.encoder = encoder
        self.method = method_name
        self.feature_size = representation_len
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self._settings = PaperSettings(
            lr=lr, patience=patience, max_epochs=epochs, batch_size=batch_size
        )
        self._probe: FrozenProbe | None = None

    def train(
        self, tr_eps: Episodes, val_eps: Episodes, tr_labels: Labels, val_labels: Labels
    ) -> None:
        """Train the probes.

        Args:
            tr_eps: training episodes.
            val_eps: validation episodes.
            tr_labels: labels of the training episodes.
            val_labels: labels of the validation episodes.

        Raises:
            ConfigurationError: the numbers of frames and labels differ, or the encoder's vectors
                do not have ``representation_len`` elements.
            EncoderError: the encoder fails on the frames.
        """
        variables = tuple(tr_labels[0][0])
        data = _probe_data(variables, {"train": (tr_eps, tr_labels), "val": (val_eps, val_labels)})
        features = encode_splits(_Floats(self.encoder), data, device=self.device)
        found = features.features["train"].shape[1]
        if found != self.feature_size:
            raise ConfigurationError(
                f"representation_len={self.feature_size}, but the encoder returns {found} features"
            )
        self._probe, _ = fit_paper(features, settings=self._settings)

    def test(
        self, test_episodes: Episodes, test_label_dicts: Labels
    ) -> tuple[dict[str, float], dict[str, float]]:
        """Score the trained probes.

        Args:
            test_episodes: test episodes.
            test_label_dicts: labels of the test episodes.

        Returns:
            Accuracies and F1 scores (weighted by support), 0 to 1. The keys are ``<variable>``,
            ``<category>_avg``, ``overall_avg`` (the mean over variables) and
            ``across_categories_avg`` (the number in the paper's tables), each followed by ``_acc``
            or ``_f1``.

        Raises:
            ConfigurationError: ``train`` has not been called, or the numbers of frames and labels
                differ.
        """
        if self._probe is None:
            raise ConfigurationError("ProbeTrainer.test comes after ProbeTrainer.train")
        data = _probe_data(self._probe.heads.variables, {"test": (test_episodes, test_label_dicts)})
        features = encode_splits(_Floats(self.encoder), data, device=self.device)
        self._probe.data = features
        scores = score_predictions(self._probe.predict("test"), features.labels["test"], data)

        def flatten(metric: str, suffix: str) -> dict[str, float]:
            table = scores[metric]
            means = {f"{name}_avg": mean for name, mean in table["categories"].items()}
            means["overall_avg"] = table["mean_over_variables"]
            means["across_categories_avg"] = table["mean_over_categories"]
            return {f"{name}{suffix}": v for name, v in {**table["variables"], **means}.items()}

        return flatten("accuracy", "_acc"), flatten("f1", "_f1")


class NatureCNN(nn.Module):
    """The reference's encoder: :class:`NatureEncoder` on float frames.

    Its weights have the reference's names, so that weights saved there can be loaded.

    Args:
        input_channels: number of channels of a frame.
        args: object with ``feature_size``, the size D of the vector; ``no_downsample``, of which
            only True is supported; and ``end_with_relu``, whether ReLU follows the last layer.

    Raises:
        ConfigurationError: ``args.no_downsample`` is False.
    """

    local_layer_depth = 128

    def __init__(self, input_channels: int, args: Any) -> None:
        super().__init__()
        _only("args.no_downsample", args.no_downsample, True, "labels are for whole frames")
        self.args = args
        self.input_channels = input_channels
        self.feature_size = self.hidden_size = args.feature_size
        encoder = NatureEncoder(input_channels, args.feature_size)
        self.main = nn.Sequential(*encoder.local_layers, *encoder.global_layers)

    def forward(self, inputs: Tensor, fmaps: bool = False) -> Tensor | dict[str, Tensor]:
        """Encode frames.

        Args:
            inputs: float [B, C, 210, 160], values 0 to 1.
            fmaps: whether to return the maps of the third and fourth convolution too.

        Returns:
            The vectors, float [B, D]. With `fmaps` a dictionary of the vectors, ``"out"``, and the
            maps, ``"f5"`` [B, 11, 8, 128] and ``"f7"`` [B, 9, 6, 64].

        Raises:
            EncoderError: the frames are not floats.
        """
        if not inputs.is_floating_point():
            raise EncoderError(f"NatureCNN takes float frames in [0, 1], not {inputs.dtype}")
        f5 = self.main[:6](inputs)
        f7 = self.main[6:8](f5)
        out: Tensor = self.main[8:](f7)
        if self.args.end_with_relu:
            out = out.relu()
        if not fmaps:
            return out
        return {"f5": f5.permute(0, 2, 3, 1), "f7": f7.permute(0, 2, 3, 1), "out": out}


class _Floats(nn.Module):
    """An encoder of bytes, made from an encoder of floats."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, frames: Tensor) -> Any:
        return self.encoder(frames.float() / 255)


def _probe_data(
    variables: tuple[str, ...], splits: dict[Split, tuple[Episodes, Labels]]
) -> ProbeData:
    """Concatenate episodes and their labels."""
    frames: list[Tensor] = []
    labels: list[list[int]] = []
    positions: dict[Split, Tensor] = {}
    for split, (episodes, episode_labels) in splits.items():
        start = len(frames)
        frames += [frame for episode in episodes for frame in episode]
        labels += [[row[name] for name in variables] for rows in episode_labels for row in rows]
        positions[split] = torch.arange(start, len(frames))
        if not start < len(frames) == len(labels):
            raise ConfigurationError(
                f"{split}: {len(frames) - start} frames and {len(labels) - start} labels: there "
                "must be equally many, and at least one"
            )
    return ProbeData(
        game="",
        label_set=LABEL_SET,
        variables=variables,
        categories={name: _CATEGORIES.get(name, ()) for name in variables},
        dropped={},
        frames=torch.stack(frames),
        labels=torch.tensor(labels),
        splits=positions,
    )


def _only(name: str, value: object, supported: object, instead: str) -> None:
    """Refuse a value that is not supported, rather than ignore it."""
    if value != supported:
        raise ConfigurationError(
            f"{name}={value!r} is not supported, only {supported!r}: {instead}"
        )
