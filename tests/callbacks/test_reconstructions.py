"""Pictures of reconstructions: what is in them, when they are drawn, and by whom."""

import json

import pytest
import torch
from matplotlib.image import imread
from pytorch_lightning.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lightning_stdim.callbacks import Reconstructions
from lightning_stdim.cli import main
from lightning_stdim.datamodules.atari import AtariDataModule
from lightning_stdim.errors import ConfigurationError
from lightning_stdim.methods import STDIM
from lightning_stdim.presets import method_path, preset_path
from tests.trainers import quiet


class Inverting(STDIM):
    """Learns something else, and makes the second frame's negative."""

    def reconstruct(self, batch):
        self.seen = batch
        frames = batch.frames[1].float() / 255
        return frames, 1 - frames


def fit(method, callback, small, folder, **settings):
    trainer = quiet(
        default_root_dir=folder,
        limit_train_batches=1,
        limit_val_batches=2,
        callbacks=[callback],
        **settings,
    )
    trainer.fit(method, datamodule=AtariDataModule(**{"game": "pong", "batch_size": 3, **small}))


def test_targets_are_above_what_was_made_of_them(small, tmp_path):
    method = Inverting()
    logger = TensorBoardLogger(tmp_path, name="", version="tensorboard")
    fit(method, Reconstructions(2, samples=2), small, tmp_path, max_epochs=4, logger=logger)
    folder = tmp_path / "reconstructions"
    assert sorted(path.name for path in folder.iterdir()) == ["epoch-002.png", "epoch-004.png"]
    picture = torch.from_numpy(imread(folder / "epoch-004.png"))[..., 0] * 255
    assert picture.shape == (2 + 2 * 210, 2 + 2 * 160)
    gap = torch.full((210, 2), 255.0)
    first, second = method.seen.frames[1, :, 0].float()
    torch.testing.assert_close(picture[:210], torch.cat([first, gap, second], dim=1))
    torch.testing.assert_close(picture[212:], torch.cat([255 - first, gap, 255 - second], dim=1))
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    image = events.Images("reconstructions")[-1]
    assert (image.height, image.width) == picture.shape


def test_of_stacked_colour_frames_the_newest_is_drawn_in_colour(root, tmp_path):
    colour = {"game": "breakout", "pixels": "rgb", "steps": 1500, "probe_steps": 3000}
    colour |= {"root": str(root), "workers": 1}
    method = Inverting(pixels="rgb", encoder_args={"in_channels": 6})
    fit(method, Reconstructions(samples=1), colour, tmp_path, max_epochs=1, logger=False)
    picture = imread(tmp_path / "reconstructions" / "epoch-001.png")[..., :3] * 255
    newest = method.seen.frames[1, 0, 3:].permute(1, 2, 0).float()
    torch.testing.assert_close(torch.from_numpy(picture[:210]), newest)
    torch.testing.assert_close(torch.from_numpy(picture[212:]), 255 - newest)


def test_wrong_settings_and_methods_are_named(small, tmp_path):
    with pytest.raises(ConfigurationError, match="every_n_epochs=0"):
        Reconstructions(every_n_epochs=0)
    with pytest.raises(ConfigurationError, match=r"STDIM has no reconstruct\(batch\)"):
        fit(STDIM(), Reconstructions(), small, tmp_path, max_epochs=1, logger=False)


CHOSEN = [
    "--trainer.callbacks=lightning_stdim.callbacks.Reconstructions",
    "--trainer.callbacks.every_n_epochs=2",
]


@pytest.mark.parametrize(
    ("method", "more", "epochs"), [("vae", [], [1, 2]), ("pixel-pred", CHOSEN, [2])]
)
def test_fit_draws_for_methods_that_reconstruct(method, more, epochs, small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = [
        f"--config={preset_path('smoke')}",
        f"--config={method_path(method)}",
        f"--data.steps={small['steps']}",
        f"--data.probe_steps={small['probe_steps']}",
        f"--data.root={small['root']}",
        "--data.workers=1",
        "--data.batch_size=4",
        "--model.encoder_args.resize=[76,81]",
        "--model.encoder_args.feature_dim=8",
        "--trainer.max_epochs=2",
        "--trainer.limit_train_batches=2",
        "--trainer.limit_val_batches=2",
        "--trainer.accelerator=cpu",
        "--paper.max_epochs=1",
        "--converged.strengths=[0.01]",
        "--out=run",
    ]
    assert main(["fit", *words, *more]) == 0
    assert json.loads((tmp_path / "run" / "results.json").read_text())["method"] == method
    drawn = sorted(path.name for path in (tmp_path / "run" / "reconstructions").iterdir())
    assert drawn == [f"epoch-00{epoch}.png" for epoch in epochs]
