"""The probe's score while the method is still training."""

from __future__ import annotations

from dataclasses import replace

from pytorch_lightning import Callback, LightningModule, Trainer

from lightning_stdim.datamodules.batches import ProbeData
from lightning_stdim.errors import ConfigurationError
from lightning_stdim.probes.evaluate import evaluate_encoder


class OnlineProbe(Callback):
    """Scores, every n epochs, of linear probes on the encoder as it is by then.

    Probes of the ``converged`` protocol, trained on five sixths of the probe collection's training
    split; the rest chooses the regularisation, and the score is that of the validation split: no
    test frame has a say in anything that is decided while training. The method and its optimiser
    are left as they are: a run with this callback gives the same weights as one without.

    Logs ``probe/f1`` and ``probe/accuracy``, means over categories (over variables where none has
    one), 0 to 1.

    Args:
        every_n_epochs: epochs from one probe to the next; the last epoch is always probed.
        frames: approximate number of frames, evenly spaced over the training and validation splits.
            4000 take a few seconds.

    Raises:
        ConfigurationError: an argument is out of its range.
    """

    def __init__(self, every_n_epochs: int = 1, frames: int = 4000) -> None:
        if every_n_epochs < 1 or frames < 100:
            raise ConfigurationError(
                f"every_n_epochs={every_n_epochs} must be at least 1 and frames={frames} at least "
                "100"
            )
        self.every_n_epochs = every_n_epochs
        self.frames = frames

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse a model without an encoder, or data without labelled frames."""
        data = getattr(trainer, "datamodule", None)
        if not hasattr(data, "probe_data") or not hasattr(pl_module, "encoder"):
            raise ConfigurationError(
                "OnlineProbe needs a model with an encoder and a data module with probe_data(), "
                f"such as AtariDataModule, not {type(pl_module).__name__} and "
                f"{type(data).__name__}"
            )

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Probe the encoder and log its scores."""
        done = trainer.current_epoch + 1
        if done % self.every_n_epochs and done != trainer.max_epochs:
            return
        means = self._means(trainer, pl_module) if trainer.is_global_zero else None
        means = trainer.strategy.broadcast(means)
        assert means is not None
        pl_module.log_dict({f"probe/{metric}": mean for metric, mean in means.items()})

    def _means(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, float]:
        scores = evaluate_encoder(
            pl_module.encoder,  # type: ignore[arg-type]
            _thinned(trainer.datamodule.probe_data(), self.frames),  # type: ignore[attr-defined]
            protocols=("converged",),
            controls=False,
            progress=False,
        )
        return {metric: scores.mean(metric) for metric in ("f1", "accuracy")}


def _thinned(data: ProbeData, frames: int) -> ProbeData:
    """Keep some frames, and put the validation split in the test split's place."""
    train, val = data.splits["train"], data.splits["val"]
    step = max(1, (len(train) + len(val)) // frames)
    train, val = train[::step], val[::step]
    # In order of time, so that neighbours lie on the same side.
    cut = 5 * len(train) // 6
    return replace(data, splits={"train": train[:cut], "val": train[cut:], "test": val})
