"""The data module against its own files, read directly."""

from inspect import signature

import numpy as np
import pytest
import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.trainer.states import TrainerFn

from lightning_stdim.datamodules import store
from lightning_stdim.datamodules.atari import AtariDataModule
from lightning_stdim.datamodules.batches import ProbeBatch, SequenceBatch
from lightning_stdim.errors import ConfigurationError
from tests.trainers import quiet

CPU = torch.device("cpu")


def batches(data, loader):
    return [data.transfer_batch_to_device(index, CPU, 0) for index in loader]


@pytest.fixture(scope="module")
def pretraining(small):
    data = AtariDataModule("pong", batch_size=8, **small)
    data.prepare_data()
    data.setup("fit")
    return data


@pytest.mark.parametrize("length", [2, 5])
def test_sequences_are_consecutive_frames_of_one_episode(small, length):
    data = AtariDataModule("pong", batch_size=8, sequence_length=length, **small)
    data.setup("fit")
    collection = store.read(data.collect("pretrain"))
    episode = np.repeat(np.arange(len(collection.episode_length)), collection.episode_length)
    for batch in batches(data, data.train_dataloader()):
        assert isinstance(batch, SequenceBatch)
        assert batch.frames.dtype == torch.uint8
        assert batch.frames.shape == (length, 8, 1, 210, 160)
        for k in range(length):
            times = batch.anchors.numpy() - (length - 1) + k
            assert np.array_equal(batch.frames[k, :, 0].numpy(), collection.frames[times])
            assert np.array_equal(episode[times], episode[batch.anchors.numpy()])


class Asking(LightningModule):
    """Asks for everything that can be asked for, and keeps what it gets."""

    sequence_length, batch_size, frame_stack, needs_same_episode_frames = 3, 4, 2, True
    automatic_optimization = False

    def __init__(self):
        super().__init__()
        self.batches = {"train": [], "val": []}

    def training_step(self, batch, index):
        self.batches["train"].append((self.current_epoch, batch))

    def validation_step(self, batch, index):
        self.batches["val"].append((self.current_epoch, batch))

    def configure_optimizers(self):
        return None


def test_the_data_are_what_the_module_asks_for(small):
    collection = store.read(AtariDataModule("pong", **small).collect("pretrain"))
    starts, lengths = collection.episode_start, collection.episode_length
    episode = np.repeat(np.arange(len(lengths)), lengths)
    runs = []
    for _ in range(2):
        model = Asking()
        trainer = quiet(max_epochs=2, limit_train_batches=3, limit_val_batches=2)
        trainer.fit(model, datamodule=AtariDataModule("pong", **small))
        runs.append(model.batches)
    for stage in ("train", "val"):
        for (_, batch), (_, again) in zip(runs[0][stage], runs[1][stage], strict=True):
            assert batch.frames.shape == (3, 4, 2, 210, 160)
            anchors = batch.anchors.numpy()
            for k in range(3):
                newest = anchors - 2 + k
                oldest = np.maximum(newest - 1, starts[episode[anchors]])
                for channel, times in enumerate((oldest, newest)):
                    assert np.array_equal(batch.frames[k, :, channel], collection.frames[times])
            for anchor, other in zip(anchors, batch.same_episode_frames.numpy(), strict=True):
                own = slice(
                    starts[episode[anchor]], starts[episode[anchor]] + lengths[episode[anchor]]
                )
                assert (collection.frames[own] == other[1]).all((1, 2)).any()
            assert all(map(torch.equal, batch, again))
    epochs = dict(runs[0]["val"])
    assert all(map(torch.equal, epochs[0], epochs[1]))
    first, second = (
        next(batch for epoch, batch in runs[0]["train"] if epoch == k) for k in range(2)
    )
    assert not torch.equal(first.anchors, second.anchors)


def test_colour_batches_are_the_file_s_frames(root):
    arguments = {"steps": 1500, "probe_steps": 3000, "root": str(root), "workers": 1}
    data = AtariDataModule("breakout", pixels="rgb", batch_size=8, **arguments)
    data.setup("fit")
    collection = store.read(data.collect("pretrain"))
    for batch in batches(data, data.train_dataloader())[:3]:
        assert batch.frames.shape == (2, 8, 3, 210, 160)
        assert np.array_equal(batch.frames[1], collection.frames[batch.anchors])
        assert np.array_equal(batch.frames[0], collection.frames[batch.anchors - 1])
    probe = data.probe_data()
    luma = AtariDataModule("breakout", **arguments).probe_data()
    assert torch.equal(probe.labels, luma.labels)
    assert torch.equal(probe.splits["train"], luma.splits["train"])
    frames = store.read(data.collect("probe")).frames
    seen = {f.tobytes() for s in ("train", "val") for f in frames[probe.splits[s]]}
    assert not any(f.tobytes() in seen for f in frames[probe.splits["test"]])
    with pytest.raises(ConfigurationError, match=r"pixels=rgb, .* run had luma: give that"):
        data.load_state_dict({})


def test_a_run_does_not_go_on_in_another_mode():
    state = AtariDataModule("breakout", mode=12).state_dict()
    AtariDataModule("breakout", mode=12).load_state_dict(state)
    for arguments, message in (
        ({}, "data.mode=None, but the checkpoint's run had 12"),
        ({"mode": 12, "difficulty": 1}, "data.difficulty=1, but .* had None"),
        ({"mode": 12, "environment": "challenge"}, "data.environment=challenge, .* had paper"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            AtariDataModule("breakout", **arguments).load_state_dict(state)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("game", "boxing"),
        ("steps", 1),
        ("probe_steps", 1),
        ("seed", 1),
        ("batch_size", 32),
        ("epsilon", 0.5),
        ("label_set", "upstream"),
        ("entropy_threshold", 0.1),
        ("sampling", "episodes"),
        ("min_episode_length", 9),
        ("deduplicate", False),
        ("split_order", "time"),
        ("split_by", "episodes"),
        ("stale_first_label", True),
        ("stale_first_frame", True),
        ("wrap_episodes", True),
        ("repeat_first_pair", True),
        ("neighbours", "any"),
        ("pretrain_on", "probe"),
        ("anchor_stride", 3),
        ("stage", "probe"),
        ("sequence_length", 4),
    ],
)
def test_a_run_does_not_go_on_with_other_data(name, value):
    state = AtariDataModule("pong", root="here", workers=1).state_dict()
    AtariDataModule("Pong", root="there", workers=2).load_state_dict(state)
    other = AtariDataModule(**{"game": "pong", name: value})
    with pytest.raises(ConfigurationError, match=f"data.{name}={value}, but .* run had"):
        other.load_state_dict(state)
    older = {key: state[key] for key in ("policy_sha256", "pixels", "mode", "difficulty")}
    other.load_state_dict(older)  # a checkpoint of an older version says no more
    trainer = Trainer(barebones=True, accelerator="cpu", devices=1)
    other.trainer = trainer
    trainer.state.fn = TrainerFn.TESTING  # a model may be tested on other data
    other.load_state_dict(state)


def test_every_choice_of_data_is_kept_in_checkpoints():
    """A choice that is added later must not be forgotten."""
    choices = set(signature(AtariDataModule.__init__).parameters) - {"self"}
    kept = set(AtariDataModule("pong").state_dict())
    assert choices - kept == {"root", "workers", "policy"}
    assert kept - choices == {"policy_sha256"}


@pytest.mark.parametrize(
    ("arguments", "variation"),
    [
        ({}, ()),
        ({"mode": 0}, (("mode", "0"),)),
        (
            {"mode": 12, "difficulty": 1, "epsilon": 0.1},
            (("mode", "12"), ("difficulty", "1"), ("policy", "random-eps0.1")),
        ),
        ({"pixels": "rgb"}, (("pixels", "rgb"),)),
        ({"environment": "challenge"}, (("environment", "challenge"),)),
    ],
)
def test_the_variation_is_what_the_protocol_does_not_say(arguments, variation):
    assert AtariDataModule("breakout", **arguments).variation == variation


class AskingForColour(Asking):
    pixels = "rgb"


def test_model_and_data_must_have_the_same_pixels(small, tmp_path):
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    with pytest.raises(ConfigurationError, match=r"takes rgb frames and data\.pixels=luma"):
        trainer.fit(AskingForColour(), datamodule=AtariDataModule("pong", **small))
    with pytest.raises(ConfigurationError, match="pixels='grey'"):
        AtariDataModule("pong", pixels="grey")


def test_a_policy_s_path(tmp_path):
    agent = tmp_path / "agent.pt"
    agent.touch()
    data = AtariDataModule("pong", policy=agent)
    assert data.policy == AtariDataModule("pong", policy=str(agent)).policy
    assert data.hparams["policy"] == str(agent)  # what a checkpoint can hold


def test_an_epoch_of_long_sequences_shows_every_frame_about_twice(small):
    steps = []
    for arguments in ({"sequence_length": 2}, {"sequence_length": 20}, {"anchor_stride": 1}):
        data = AtariDataModule("pong", batch_size=2, **{"sequence_length": 20} | arguments, **small)
        data.setup("fit")
        steps.append(len(data.train_dataloader()))
    pairs, sequences, every = steps
    assert 0.8 * 2 * pairs < 20 * sequences <= 2 * pairs
    assert every // sequences == 10


def test_a_run_that_failed_leaves_no_frames_to_the_next(small):
    class Failing(LightningModule):
        def __init__(self):
            super().__init__()
            self.seen = []

        def training_step(self, batch, index):
            raise RuntimeError

        def test_step(self, batch, index):
            self.seen.append(batch)

        def configure_optimizers(self):
            return None

    data, method = AtariDataModule("pong", batch_size=8, **small), Failing()
    trainer = quiet(limit_test_batches=3, num_sanity_val_steps=0)
    with pytest.raises(RuntimeError):
        trainer.fit(method, datamodule=data)
    trainer.test(method, datamodule=data, verbose=False)
    frames = store.read(data.collect("probe")).frames
    for batch in method.seen:
        assert np.array_equal(batch.frames[1, :, 0].numpy(), frames[batch.anchors.numpy()])
    assert len(method.seen) == 3


def test_training_and_validation_share_no_episode(pretraining):
    collection = store.read(pretraining.collect("pretrain"))
    episode = np.repeat(np.arange(len(collection.episode_length)), collection.episode_length)
    seen = [
        {int(episode[i]) for index in loader for i in index}
        for loader in (pretraining.train_dataloader(), pretraining.val_dataloader())
    ]
    assert seen[0]
    assert seen[1]
    assert not seen[0] & seen[1]


def test_probe_batches_carry_the_ram_of_their_frames(small):
    data = AtariDataModule("pong", batch_size=32, stage="probe", **small)
    data.setup("fit")
    collection = store.read(data.collect("probe"))
    probe = data.probe_data()
    bytes_of = {"player_y": 51, "enemy_y": 50, "ball_x": 49, "ball_y": 54}  # PROTOCOL's facts
    used = []
    for name in ("train", "val", "test"):
        loader = getattr(data, f"{name}_dataloader")()
        for index, batch in zip(loader, batches(data, loader), strict=True):
            assert isinstance(batch, ProbeBatch)
            assert np.array_equal(batch.frames[:, 0].numpy(), collection.frames[index])
            for variable, byte in bytes_of.items():
                column = probe.variables.index(variable)
                assert np.array_equal(batch.labels[:, column], collection.ram[index, byte])
            used.append(index)
    assert len(torch.cat(used).unique()) == sum(len(part) for part in probe.splits.values())


def test_no_test_frame_occurs_elsewhere(small):
    probe = AtariDataModule("pong", stage="probe", **small).probe_data()
    seen = {
        probe.frames[i].numpy().tobytes()
        for i in torch.cat([probe.splits["train"], probe.splits["val"]])
    }
    assert not any(probe.frames[i].numpy().tobytes() in seen for i in probe.splits["test"])
    kept = AtariDataModule("pong", stage="probe", deduplicate=False, **small).probe_data()
    removed = len(kept.splits["test"]) - len(probe.splits["test"])
    assert removed == probe.provenance["test_duplicates_removed"]


def test_the_reference_pairs_a_first_frame_with_the_last(small):
    data = AtariDataModule("pong", batch_size=8, wrap_episodes=True, **small)
    data.setup("fit")
    collection = store.read(data.collect("pretrain"))
    start = collection.episode_start
    last = dict(zip(start.tolist(), (start + collection.episode_length - 1).tolist(), strict=True))
    firsts = 0
    for batch in batches(data, data.train_dataloader()):
        for anchor, past in zip(batch.anchors.tolist(), batch.frames[0, :, 0], strict=True):
            firsts += anchor in last
            expected = collection.frames[last.get(anchor, anchor - 1)]
            assert np.array_equal(past.numpy(), expected)
    assert firsts > 0


def test_the_reference_labels_a_first_frame_with_the_byte_before_the_reset(small):
    own = AtariDataModule("pong", stage="probe", **small).probe_data()
    data = AtariDataModule("pong", stage="probe", stale_first_label=True, **small)
    stale = data.probe_data()
    collection = store.read(data.collect("probe"))
    rows = np.arange(len(own.labels))
    rows[collection.episode_start[1:]] -= 1
    assert stale.variables == own.variables
    assert torch.equal(stale.labels, own.labels[rows])
    assert not torch.equal(stale.labels, own.labels)


def test_the_two_collections_share_no_episode(pretraining):
    seeds = [set(store.read(pretraining.collect(s)).episode_seed) for s in ("pretrain", "probe")]
    assert not seeds[0] & seeds[1]


def test_filtered_variables_are_named_with_their_entropy(small):
    probe = AtariDataModule("pong", stage="probe", entropy_threshold=3.0, **small).probe_data()
    dropped = {v for v in ("player_score", "enemy_score") if v in probe.dropped}
    assert "player_score" in dropped
    assert not set(probe.variables) & set(probe.dropped)
    _, counts = np.unique(
        store.read(AtariDataModule("pong", **small).collect("probe")).ram[:, 14], return_counts=True
    )
    share = counts / counts.sum()
    assert f"{-(share * np.log(share)).sum():.2f}"[:3] in probe.dropped["player_score"]


def test_games_that_the_paper_does_not_have_use_todays_labels():
    assert AtariDataModule("skiing").label_set == "upstream"
    assert AtariDataModule("pong").label_set == "paper"


def test_other_label_sets_need_no_new_collection(small):
    probe = AtariDataModule("pong", stage="probe", label_set="upstream", **small).probe_data()
    assert set(probe.variables) | set(probe.dropped) >= {"player_x", "enemy_x"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"game": "ponk"}, "pong"),
        ({"game": "skiing", "label_set": "paper"}, "upstream"),
        ({"steps": 0}, "data.steps=0 must be at least 1"),
        ({"probe_steps": -5}, "data.probe_steps=-5 must be at least 1"),
        ({"seed": -1}, "data.seed=-1"),
        ({"environment": "v0"}, "environment='v0' is unknown: choose from paper, challenge"),
        ({"neighbours": "far"}, "data.neighbours='far' is unknown: choose from apart, any"),
        ({"split_by": "time"}, "data.split_by='time' is unknown: choose from frames, episodes"),
        ({"pretrain_on": "both"}, "data.pretrain_on='both' is unknown: choose from own, probe"),
    ],
)
def test_wrong_arguments_get_one_clear_message(arguments, message):
    with pytest.raises(ConfigurationError, match=message):
        AtariDataModule(**{"game": "pong", **arguments})


def test_too_few_episodes_say_how_many_steps_would_do(root):
    data = AtariDataModule("pong", stage="probe", probe_steps=500, root=str(root), workers=1)
    with pytest.raises(ConfigurationError, match=r"more than 2000 steps would do"):
        data.probe_data()
