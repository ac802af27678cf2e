"""The data module: from a game's name to batches on the device."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from pytorch_lightning import LightningDataModule
from pytorch_lightning.trainer.states import TrainerFn
from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor
from torch.utils.data import DataLoader

from lightning_stdim.datamodules import store
from lightning_stdim.datamodules.batches import ProbeBatch, ProbeData, SequenceBatch
from lightning_stdim.datamodules.collection.collect import collect
from lightning_stdim.datamodules.collection.settings import CollectionSettings
from lightning_stdim.datamodules.emulator.environments import Environment
from lightning_stdim.datamodules.episodes import episodes_of
from lightning_stdim.datamodules.frames.bank import FrameBank
from lightning_stdim.datamodules.frames.loading import load_frames, rearranged
from lightning_stdim.datamodules.frames.on_disk import Frames, FramesOnDisk
from lightning_stdim.datamodules.frames.shared import share_frames
from lightning_stdim.datamodules.labels.games import (
    LabelSet,
    canonical_game,
    default_label_set,
)
from lightning_stdim.datamodules.pixels import Pixels
from lightning_stdim.datamodules.policies.settings import PolicySettings
from lightning_stdim.datamodules.probe_data import load_probe_data
from lightning_stdim.datamodules.samplers import (
    FrameSampler,
    Neighbours,
    ResumableLoader,
    Sampling,
    SequenceSampler,
)
from lightning_stdim.datamodules.splits import (
    PRETRAIN_FRACTIONS,
    PROBE_FRACTIONS,
    Int64,
    SplitBy,
    SplitOrder,
    split_episodes,
)
from lightning_stdim.errors import ConfigurationError
from lightning_stdim.utils.checks import integer, one_of
from lightning_stdim.utils.counted import counted
from lightning_stdim.utils.hardware import cores
from lightning_stdim.utils.lightning_package import PackageAware
from lightning_stdim.utils.shared_docs import arguments_as_in

PROBE_SEED_OFFSET = 1_000_000
"""Added to the seed for the probe collection, so that the two collections share no game."""

SAME = (
    "game",
    "steps",
    "probe_steps",
    "seed",
    "batch_size",
    "pixels",
    "mode",
    "difficulty",
    "environment",
    "label_set",
    "entropy_threshold",
    "sampling",
    "min_episode_length",
    "deduplicate",
    "split_order",
    "split_by",
    "stale_first_label",
    "stale_first_frame",
    "wrap_episodes",
    "repeat_first_pair",
    "neighbours",
    "pretrain_on",
    "stage",
    "sequence_length",
)
"""Attributes that a run keeps from its start to its end, beside the policy's and the stride."""

Stage = Literal["pretrain", "probe"]
PretrainOn = Literal["own", "probe"]


@arguments_as_in(CollectionSettings)
class AtariDataModule(PackageAware, LightningDataModule):
    """Frames of one game: collected once, loaded once, and gathered into batches on the device.

    There are two stages. The stage ``"pretrain"`` gives sequences of consecutive frames
    (:class:`SequenceBatch`) from a collection of ``steps`` frames, whose episodes are split 80/20.
    The stage ``"probe"`` gives labelled frames (:class:`ProbeBatch`) from a second collection of
    ``probe_steps`` frames, whose episodes are split 70/10/20. Test frames that are identical to a
    frame of another split are removed.

    The LightningModule's attributes ``data_stage``, ``sequence_length`` (default 2), ``batch_size``
    (64), ``frame_stack`` (1) and ``needs_same_episode_frames`` (False) determine the batches; the
    first three can be given here instead. If it has an attribute ``pixels``, the frames must have
    the same.

    Frames are held on the GPU that trains if they fit there, otherwise in memory. If they fit in
    neither, they stay compressed on disk and every batch reads its own: that is slower, and gives
    the same numbers.

    Everything depends on ``seed`` alone: the games, the splits and the order of the batches.

    Args:
        game: as in CollectionSettings.
        steps: number of frames to pretrain on.
        probe_steps: number of frames for the probes, which are collected separately.
        seed: random seed of the collections, the data splits and the order of the batches, from 0
            to 999999. By default the seed that Lightning's seed_everything was given, or 0.
        batch_size: number of samples in a batch, over all devices together. By default what the
            model asks for.
        root: folder of the collections.
        workers: number of processes that collect. By default one for every core that this process
            may use. The data do not depend on it.
        policy: as in CollectionSettings.
        epsilon: as in CollectionSettings.
        greedy: as in CollectionSettings.
        pixels: as in CollectionSettings.
        mode: as in CollectionSettings.
        difficulty: as in CollectionSettings.
        environment: as in CollectionSettings.
        label_set: labels to score: paper (the 308 variables that the paper scored) or upstream (all
            that its authors have annotated since). By default paper where it has the game.
        entropy_threshold: variables are scored only if their labels have at least this entropy, in
            nats, over the probe collection.
        sampling: how an epoch's training sequences are chosen: frames (each frame ends at most one
            sequence) or episodes (a random episode, then a random frame in it, as in the reference
            implementation).
        min_episode_length: shorter episodes are left out. The reference implementation asks for
            more than 64 frames without the final state, which is 66 here.
        deduplicate: remove test frames that are identical to a training or validation frame.
        split_order: how episodes are ordered before they are split: shuffled, or time for the order
            in which they were played, as in the reference implementation.
        split_by: of what the splits get their shares: of the frames, or of the episodes whatever
            their lengths, as in the reference implementation.
        stale_first_label: repeat an error of the reference implementation: the first frame of every
            episode but the first is labelled with the state before the reset.
        stale_first_frame: repeat an error of the challenge report: the last frame of every episode
            that has ended is, with its label, the first of the next one, whose own first
            frame is lost.
        wrap_episodes: repeat an error of the reference implementation: an episode's last frame
            counts as the one before its first.
        repeat_first_pair: use an episode's first pair of frames twice in an epoch, as in the
            challenge report, which pairs an episode's first frame with the next and every other
            frame with the one before it.
        neighbours: whether a batch may hold sequences that overlap or touch in time. Each is a
            negative of the others, so they are kept apart, unless this is any, as in the
            challenge report.
        pretrain_on: frames to pretrain on: own for a collection of their own, or probe for the
            training and validation splits of the probe collection, as in the challenge
            report. There is no other collection then, and steps is not used.
        anchor_stride: only one in this many frames ends a sequence in an epoch. By default half the
            sequence length, so that an epoch shows every frame about twice. For pairs that is 1, as
            in the reference implementation.
        stage: pretrain for sequences or probe for labelled frames. By default what the model asks
            for.
        sequence_length: number of frames in a sequence. By default what the model asks for.

    Raises:
        ConfigurationError: a value is out of its range, or does not go with the others.
        StoreError: the policy's file is missing.
    """

    def __init__(
        self,
        game: str = "pong",
        *,
        steps: int = 100_000,
        probe_steps: int = 50_000,
        seed: int | None = None,
        batch_size: int | None = None,
        root: str = "data",
        workers: int | None = None,
        policy: str | os.PathLike[str] = "random",
        epsilon: float = 0.0,
        greedy: bool = False,
        pixels: Pixels = "luma",
        mode: int | None = None,
        difficulty: int | None = None,
        environment: Environment = "paper",
        label_set: LabelSet | None = None,
        entropy_threshold: float = 0.6,
        sampling: Sampling = "frames",
        min_episode_length: int = 1,
        deduplicate: bool = True,
        split_order: SplitOrder = "shuffled",
        split_by: SplitBy = "frames",
        stale_first_label: bool = False,
        stale_first_frame: bool = False,
        wrap_episodes: bool = False,
        repeat_first_pair: bool = False,
        neighbours: Neighbours = "apart",
        pretrain_on: PretrainOn = "own",
        anchor_stride: int | None = None,
        stage: Stage | None = None,
        sequence_length: int | None = None,
    ) -> None:
        super().__init__()
        if seed is None:
            seed = int(os.environ.get("PL_GLOBAL_SEED", 0))
        policy = os.fspath(policy) if isinstance(policy, os.PathLike) else policy  # plain data
        for name, value in (
            ("steps", steps),
            ("probe_steps", probe_steps),
            ("batch_size", batch_size),
            ("anchor_stride", anchor_stride),
            ("min_episode_length", min_episode_length),
            ("workers", workers),
        ):
            if value is not None:
                integer(f"data.{name}", value, at_least=1)
        one_of("data.split_by", split_by, get_args(SplitBy))
        one_of("data.neighbours", neighbours, get_args(Neighbours))
        one_of("data.pretrain_on", pretrain_on, get_args(PretrainOn))
        seed = integer("data.seed", seed, at_most=PROBE_SEED_OFFSET - 1)
        self._settings = settings = CollectionSettings(
            game,
            policy=policy,
            epsilon=epsilon,
            greedy=greedy,
            pixels=pixels,
            mode=mode,
            difficulty=difficulty,
            environment=environment,
            label_set=label_set,
        )
        # Not for the loggers: they would merge them with the method's, whose names may be the same.
        # Lightning's BatchSizeFinder reads a batch size from here first, if there is one.
        unknown = ["batch_size"] if batch_size is None else []
        self.save_hyperparameters(logger=False, ignore=unknown)
        self.game = settings.game
        self.steps = steps
        self.probe_steps = probe_steps
        self.seed = seed
        self.root = Path(root)
        self.workers = workers or cores()
        self.policy = settings.policy_settings
        self.pixels: Pixels = pixels
        self.mode = settings.mode
        self.difficulty = settings.difficulty
        self.environment = settings.environment
        self.label_set: LabelSet = label_set or default_label_set(self.game)
        self.entropy_threshold = entropy_threshold
        self.sampling = sampling
        self.min_episode_length = min_episode_length
        self.deduplicate = deduplicate
        self.split_order: SplitOrder = split_order
        self.split_by: SplitBy = split_by
        self.stale_first_label = stale_first_label
        self.stale_first_frame = stale_first_frame
        self.wrap_episodes = wrap_episodes
        self.repeat_first_pair = repeat_first_pair
        self.neighbours: Neighbours = neighbours
        self.pretrain_on: PretrainOn = pretrain_on
        self._anchor_stride = anchor_stride
        self._batch_size = batch_size
        self._stage = stage
        self._sequence_length = sequence_length
        self._frames: Frames | None = None
        self._together = False  # whether all ranks of a node are loading the same frames
        self._episodes: dict[str, Int64] = {}
        self._probe: ProbeData | None = None
        self._banks: dict[torch.device, FrameBank] = {}

    @property
    def variation(self) -> tuple[tuple[str, str], ...]:
        """Names and values of what differs from the protocol's frames; often empty.

        Such as ``(("mode", "12"),)``. A policy's value tells agents apart that share a file's name.
        """
        found: dict[str, Any] = {"mode": self.mode, "difficulty": self.difficulty}
        if self.policy != PolicySettings():
            found |= {"policy": self.policy.label()}
        if self.pixels != "luma":
            found |= {"pixels": self.pixels}
        if self.environment != "paper":
            found |= {"environment": self.environment}
        return tuple((name, str(value)) for name, value in found.items() if value is not None)

    @property
    def stage(self) -> Stage:
        """The current stage."""
        if self._stage is not None:
            return self._stage
        if self.trainer is not None and self.trainer.predicting:
            return "probe"
        stage: Stage = self._asked("data_stage", "pretrain")
        return stage

    @property
    def sequence_length(self) -> int:
        """Number of frames in a sequence of the pretraining stage."""
        return self._sequence_length or int(self._asked("sequence_length", 2))

    @property
    def batch_size(self) -> int:
        """Number of samples in a batch, over all devices together."""
        return self._batch_size or int(self._asked("batch_size", 64))

    @batch_size.setter
    def batch_size(self, batch_size: int) -> None:
        self._batch_size = integer("data.batch_size", batch_size, at_least=1)
        self.hparams["batch_size"] = self._batch_size

    def _asked(self, name: str, default: Any) -> Any:
        """Read what the LightningModule asks for."""
        return getattr(getattr(self.trainer, "lightning_module", None), name, default)

    @property
    def _processes(self) -> int:
        """Number of processes on this machine that hold the frames at the same time."""
        return getattr(self.trainer, "num_devices", 1)

    @property
    def _device(self) -> torch.device:
        """Where batches are wanted."""
        strategy = getattr(self.trainer, "strategy", None)
        return FramesOnDisk.device if strategy is None else strategy.root_device

    @property
    def _pretrained_on(self) -> Stage:
        """The stage whose collection is pretrained on."""
        return "probe" if self.pretrain_on == "probe" else "pretrain"

    @property
    def pretrain_steps(self) -> int:
        """Number of frames in the collection that is pretrained on."""
        return self.collection(self._pretrained_on).steps

    def collection(self, which: Stage) -> CollectionSettings:
        """Give the settings of a stage's collection.

        Args:
            which: the stage.

        Returns:
            The settings, always with the default label set: other labels need no other collection,
            since they are read from the stored RAM.
        """
        probe = which == "probe"
        return replace(
            self._settings,
            steps=self.probe_steps if probe else self.steps,
            seed=self.seed + (PROBE_SEED_OFFSET if probe else 0),
            label_set=None,
        )

    def collect(self, which: Stage) -> Path:
        """Collect the frames of a stage, unless that has been done.

        Args:
            which: the stage.

        Returns:
            The path of its collection.
        """
        return collect(self.collection(which), workers=self.workers, root=self.root)

    def prepare_data(self) -> None:
        """Collect what is missing, once per node.

        The probe collection comes first and always: a run ends with probes, and fails at its
        beginning if they cannot be made.

        Raises:
            ConfigurationError: the LightningModule takes other pixels.
        """
        if (asked := self._asked("pixels", self.pixels)) != self.pixels:
            raise ConfigurationError(
                f"the model takes {asked} frames and data.pixels={self.pixels}: give both the same "
                "pixels (on the command line --data.pixels alone), or take another model"
            )
        self.probe_labels()
        if self.stage == "pretrain":
            self.collect(self._pretrained_on)

    def setup(self, stage: str) -> None:
        """Load the current stage's frames."""
        self.teardown(stage)  # an earlier run that failed has left its frames
        missing = self.stage != "probe" or self._probe is None
        if self.trainer is not None and self._processes > 1:
            # A rank that has the frames already would leave the others waiting for it.
            self._together = self.trainer.strategy.reduce_boolean_decision(missing, all=True)
        try:
            if self.stage == "probe":
                self.probe_data()
            elif self.pretrain_on == "probe":
                self._load("probe", PROBE_FRACTIONS)
            elif stage == "test":  # a method's own loss on episodes that it has never seen
                self._load("probe", {"test": 1.0})
            else:
                self._load("pretrain", PRETRAIN_FRACTIONS)
        finally:
            self._together = False

    def _load(self, which: Stage, fractions: dict[str, float]) -> None:
        path = self.collect(which)
        collection = store.read(path, with_frames=False)
        shape = (len(collection), *collection.frames.shape[1:])
        played = episodes_of(collection, stale_first_frames=self.stale_first_frame)
        frames = self._load_frames(path, shape, self._device)
        self._frames = rearranged(frames, played.rows)
        shortest = max(self.min_episode_length, self.sequence_length)
        # The probe's splits do not depend on the method, or test episodes would be trained on.
        as_probed = self.pretrain_on == "probe"
        split = split_episodes(
            played.length,
            fractions=fractions,
            seed=self.seed,
            min_length=self.min_episode_length if as_probed else shortest,
            order=self.split_order,
            by=self.split_by,
        )
        bounds = played.bounds
        self._bounds = torch.from_numpy(bounds.T.copy())  # first frame and length of each episode
        self._episodes = {
            name: bounds[episodes[played.length[episodes] >= shortest]]
            for name, episodes in split.items()
        }
        for name, part in self._episodes.items():
            episodes, count = counted(len(part), "episode"), part[:, 1].sum()
            rank_zero_info(f"{self.game}, {which}, {name}: {episodes}, {count} frames")

    def probe_data(self) -> ProbeData:
        """Load, label, filter and split the probe collection, once.

        Returns:
            The labelled frames, the same object at every call.
        """
        if self._probe is None:
            self._probe = data = self._load_probe(with_frames=True)
            for split, part in data.splits.items():
                episodes = counted(len(data.provenance["episodes"][split]), "episode")
                rank_zero_info(f"{self.game}, probe, {split}: {episodes}, {len(part)} frames")
            for name, reason in data.dropped.items():
                rank_zero_info(f"{self.game}, probe: {name} is not scored ({reason})")
        return self._probe

    def probe_labels(self) -> ProbeData:
        """Read what :meth:`probe_data` gives without the frames: quick, and small in memory.

        Returns:
            Labels and splits; frames are missing, and duplicates are still in the test split.
        """
        return self._load_probe(with_frames=False)

    def _load_probe(self, *, with_frames: bool) -> ProbeData:
        return load_probe_data(
            self.collect("probe"),
            label_set=self.label_set,
            entropy_threshold=self.entropy_threshold,
            seed=self.seed,
            min_episode_length=self.min_episode_length,
            deduplicate=self.deduplicate,
            split_order=self.split_order,
            split_by=self.split_by,
            stale_first_label=self.stale_first_label,
            stale_first_frame=self.stale_first_frame,
            with_frames=with_frames,
            load=self._load_frames,
        )

    def _load_frames(
        self, path: Path, shape: Sequence[int], device: torch.device = FramesOnDisk.device
    ) -> Frames:
        """Load all frames of a file; if all ranks of a node do so, they share one copy."""
        shared_as_stored = not self.stale_first_frame  # a copy that is rearranged is one's own
        if self._together and self.trainer is not None and shared_as_stored:
            shared = share_frames(path, shape, self.trainer)
            if shared is not None:
                return shared
            rank_zero_info(
                "the ranks of a node cannot share the frames: /dev/shm is missing or too small (in "
                "a container see --shm-size). Each rank loads a copy of its own"
            )
        return load_frames(path, shape, processes=self._processes, device=device)

    def state_dict(self) -> dict[str, Any]:
        """Give what a checkpoint keeps: all that the frames and the batches depend on."""
        return {name: getattr(self, name) for name in SAME} | {
            "policy_sha256": self.policy.attributes()["policy_sha256"],
            "epsilon": self.policy.epsilon,
            "greedy": self.policy.greedy,
            "anchor_stride": self._anchor_stride,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Refuse to go on with a run with other frames or other batches.

        Args:
            state_dict: what :meth:`state_dict` gave. A checkpoint of an older version has less.

        Raises:
            ConfigurationError: something has changed; if nothing is trained, only pixels matter,
                and what was played: the policy's file, the mode, the difficulty, the environment.
        """
        trains = self.trainer is None or self.trainer.state.fn == TrainerFn.FITTING
        usual = {"pixels": "luma", "mode": None, "difficulty": None, "environment": "paper"}
        played = (*usual, "policy_sha256")
        had = usual | state_dict
        restored = Path(str(self.trainer.ckpt_path)).name if self.trainer else ""
        if restored.startswith(".scale_batch_size"):  # by Lightning's search, after it
            had.pop("batch_size")
        self.check_same({k: v for k, v in had.items() if trains or k in played})

    def check_same(self, had: Mapping[str, Any]) -> None:
        """Refuse settings that differ from those of a run that training goes on with.

        Args:
            had: the run's settings by their names. Those that the data do not depend on, and
                unknown ones, are ignored.

        Raises:
            ConfigurationError: one of them differs.
        """
        state = self.state_dict()
        if (then := had.get("policy_sha256", "")) != (now := state.pop("policy_sha256")) and (
            "policy_sha256" in had
        ):
            raise ConfigurationError(
                f"policy {self.policy.policy!r} has changed: the checkpoint's run had its file "
                f"with SHA-256 {then[:8]}..., now it is {now[:8]}...: put the old file back, or "
                "start another run"
            )
        for name, has in state.items():
            then = had.get(name, has)
            if has != (canonical_game(then) if name == "game" else then):
                raise ConfigurationError(
                    f"data.{name}={has}, but the checkpoint's run had {then}: give that, or start "
                    "another run"
                )

    def teardown(self, stage: str) -> None:
        """Release the pretraining frames; those of the probe stay for the probing to come."""
        self._frames = None
        self._banks.clear()

    def train_dataloader(self) -> DataLoader[Tensor]:
        """Load batches of the training split, in another order every epoch."""
        return self._loader("train")

    def val_dataloader(self) -> DataLoader[Tensor]:
        """Load batches of the validation split, the same in every epoch."""
        return self._loader("val")

    def test_dataloader(self) -> DataLoader[Tensor]:
        """Load the test split, or in the pretraining stage sequences from the probe collection."""
        return self._loader("test")

    def predict_dataloader(self) -> DataLoader[Tensor]:
        """Load every frame of the probe collection, in order."""
        sampler = FrameSampler(
            np.arange(len(self.probe_data().frames)),
            batch_size=self.batch_size,
            seed=self.seed,
            shuffle=False,
        )
        # Lightning makes this loader anew for its own bookkeeping, which takes PyTorch's own class.
        return DataLoader(
            sampler.dataset, batch_size=None, sampler=sampler, pin_memory=self._pinned
        )

    @property
    def _pinned(self) -> bool:
        """Whether batches go into pinned memory, because a GPU is to fetch them."""
        return self._device.type == "cuda"

    def _loader(self, split: Literal["train", "val", "test"]) -> DataLoader[Tensor]:
        ranks = {
            "num_replicas": getattr(self.trainer, "world_size", 1),
            "rank": getattr(self.trainer, "global_rank", 0),
        }
        sampler: FrameSampler | SequenceSampler
        if self.stage == "probe":
            if self.sampling != "frames":
                raise ConfigurationError(
                    f"data.sampling={self.sampling} is for pretraining; the probe's is "
                    "paper.sampling, and supervised training takes every frame once an epoch"
                )
            sampler = FrameSampler(
                self.probe_data().splits[split].numpy(),
                batch_size=self.batch_size,
                seed=self.seed,
                shuffle=split == "train",
                **ranks,
            )
        else:
            sampler = SequenceSampler(
                self._episodes[split],
                sequence_length=self.sequence_length,
                batch_size=self.batch_size,
                seed=self.seed,
                sampling=self.sampling if split == "train" else "frames",
                wrap=self.wrap_episodes,
                repeat_first=self.repeat_first_pair,
                neighbours=self.neighbours,
                stride=self._anchor_stride or max(1, self.sequence_length // 2),
                shuffle=split == "train",
                **ranks,
            )
            if sampler.batch_size < self.batch_size:
                rank_zero_info(
                    f"{self.game}, pretrain, {split}: batches of {sampler.batch_size} instead of "
                    f"{self.batch_size}, because no more sequences lie apart in time"
                )
        return ResumableLoader(sampler, pin_memory=self._pinned)

    def transfer_batch_to_device(
        self, batch: Tensor, device: torch.device, dataloader_idx: int
    ) -> SequenceBatch | ProbeBatch:
        """Gather a batch's frames by index, on the device that holds them.

        Args:
            batch: int64 [B], positions in the collection.
            device: the trainer's device.
            dataloader_idx: unused.

        Returns:
            The current stage's kind of batch, on ``device``.
        """
        bank = self._bank(device)
        frame_stack = self._asked("frame_stack", 1)
        if bank.labels is not None:
            return bank.labelled_frames(batch, frame_stack=frame_stack)
        epoch = self.trainer.current_epoch if self.trainer and self.trainer.training else 0
        return bank.sequences(
            batch,
            length=self.sequence_length,
            frame_stack=frame_stack,
            wrap=self.wrap_episodes,
            others=(self.seed, epoch) if self._asked("needs_same_episode_frames", False) else None,
        )

    def _bank(self, device: torch.device) -> FrameBank:
        """Put the current stage's frames on the device, once."""
        if device not in self._banks:
            if self.stage == "probe":
                data = self.probe_data()
                start = data.episode_start
                assert start is not None, "a collection knows its episodes"
                length = start.diff(append=torch.tensor([len(data.frames)]))
                bank = FrameBank(data.frames, start, length, data.labels, device=device)
            else:
                assert self._frames is not None, "setup() comes before the first batch"
                bank = FrameBank(self._frames, *self._bounds, device=device)
            self._banks[device] = bank
        return self._banks[device]
