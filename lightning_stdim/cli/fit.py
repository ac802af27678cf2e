"""``fit``, ``validate``, ``test`` and ``predict``: LightningCLI with our defaults and a probe."""

from __future__ import annotations

import shlex
import sys
import time
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI
from pytorch_lightning.loggers import Logger, TensorBoardLogger

from lightning_stdim.callbacks import PrintEpochSummary, Reconstructions, RepresentationHealth
from lightning_stdim.cli.console import print_scores
from lightning_stdim.datamodules.atari import AtariDataModule
from lightning_stdim.datamodules.labels.games import canonical_game
from lightning_stdim.encoders.pretrained import load_encoder, read_checkpoint, save_pretrained
from lightning_stdim.errors import (
    ConfigurationError,
    EncoderError,
    LightningStdimError,
    StoreError,
    TrainingError,
)
from lightning_stdim.methods import SSLMethod
from lightning_stdim.presets import preset_path
from lightning_stdim.probes import ConvergedSettings, PaperSettings, Supervised, evaluate_encoder
from lightning_stdim.runs.curves import draw_curves
from lightning_stdim.runs.directory import CHECKPOINTS, run_directory, run_of
from lightning_stdim.runs.environment import environment
from lightning_stdim.runs.lightning import AtomicCheckpointIO, ContinuedCSVLogger, RunCheckpoint
from lightning_stdim.runs.predictions import Predictions
from lightning_stdim.runs.results import write_results
from lightning_stdim.utils.files import make_directory


class StdimCLI(LightningCLI):
    """LightningCLI whose runs are directories and end with a probe.

    Attributes:
        words: the command line, for the results file.
    """

    words: ClassVar[list[str]] = []

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add what a run needs beside model, data and trainer."""
        parser.add_argument(
            "--out",
            type=str | None,
            default=None,
            help="the run's directory; by default runs/<game>-<model>-seed<seed>",
        )
        parser.add_argument(
            "--preset", type=str | None, default=None, help="name recorded beside the results"
        )
        parser.add_argument(
            "--method",
            type=str | None,
            default=None,
            help="name recorded in the results; by default the model's own",
        )
        parser.add_argument(
            "--controls",
            type=bool,
            default=True,
            help="also probe with shuffled labels; two fifths of the converged protocol's time",
        )
        parser.add_argument(
            "--variant",
            type=str,
            default="",
            help="what differs from the preset, recorded in the results",
        )
        parser.add_class_arguments(PaperSettings, "paper")
        parser.add_class_arguments(ConvergedSettings, "converged")
        parser.set_defaults({"model": "lightning_stdim.methods.STDIM"})

    def _parse_ckpt_path(self) -> None:
        """Check a checkpoint before Lightning reads it; give ``last`` and ``best`` their paths."""
        self.subcommand = self.config["subcommand"]
        settings = self.config[self.subcommand]
        checkpoint = settings.get("ckpt_path")
        self.resume = self.subcommand == "fit" and checkpoint is not None
        game = canonical_game(settings["data"]["game"])
        model = settings["model"]["class_path"].rpartition(".")[2]
        wanted = Path(
            settings["out"] or Path("runs") / f"{game}-{model}-seed{settings['seed_everything']}"
        )
        if checkpoint in ("last", "best"):
            self.folder = run_directory(wanted, existing=True)
            checkpoint = str(self.folder / CHECKPOINTS / f"{checkpoint}.ckpt")
            if not Path(checkpoint).is_file():
                raise ConfigurationError(
                    f"there is no run to go on with: no {checkpoint}; name the run's directory "
                    "with --out, or leave out --ckpt_path"
                )
            settings["ckpt_path"] = checkpoint
        elif (
            checkpoint is not None
            and "--out" not in _options(self.words)  # the run's configuration may name an old place
            and (not self.resume or Path(checkpoint).resolve().parent.name == CHECKPOINTS)
        ):
            self.folder = run_of(checkpoint)
        else:
            self.folder = run_directory(wanted)
        if checkpoint is not None:
            found = read_checkpoint(checkpoint)
            if not {"global_step", "hyper_parameters"} <= set(found):
                raise EncoderError(f"{checkpoint} is not a checkpoint of a run of this package")
            self.resume_step = found["global_step"]
        super()._parse_ckpt_path()

    def before_instantiate_classes(self) -> None:
        """Tell the model the data's pixels, and have every callback once.

        ``--data.pixels`` alone then says which pixels. A command that goes on with its own run
        names callbacks that the run's configuration already has.
        """
        settings = self.config[self.subcommand]
        callbacks = settings["trainer"]["callbacks"]
        if isinstance(callbacks, list):
            settings["trainer"]["callbacks"] = [
                callback for i, callback in enumerate(callbacks) if callback not in callbacks[:i]
            ]
        arguments = settings["model"].get("init_args", {})
        # No link of jsonargparse's: it would overrule a --model.pixels without a word.
        if "pixels" in arguments and settings["data"]["pixels"] == "rgb":
            arguments["pixels"] = "rgb"

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Give the trainer the run's directory, loggers and checkpoints."""
        trainer = self._get(self.config_init, "trainer")
        if trainer["overfit_batches"]:
            raise ConfigurationError(
                "trainer.overfit_batches takes the batches from another sampler than ours, which "
                "keeps neighbours in time apart; use a small --data.steps"
            )
        kwargs.setdefault("default_root_dir", str(self.folder))
        if self.subcommand != "fit":
            kwargs["logger"] = False
            self.save_config_callback = None
        elif trainer["logger"] in (None, True):
            kwargs["logger"] = self._loggers()
        if self.subcommand == "fit" and not trainer["fast_dev_run"]:
            make_directory(self.folder)
            own: list[Callback] = [RunCheckpoint(self.folder, getattr(self.model, "monitor", None))]
            if not sys.stdout.isatty():
                own.append(PrintEpochSummary())
            given = trainer["callbacks"] or []
            given = given if isinstance(given, list) else [given]
            usual: dict[type[Callback], bool] = {
                RepresentationHealth: getattr(self.model, "data_stage", None) == "pretrain",
                Reconstructions: hasattr(self.model, "reconstruct"),
            }
            for kind, fits in usual.items():
                if fits and not any(isinstance(callback, kind) for callback in given):
                    own.append(kind())
            kwargs["callbacks"] = [*given, *own]
            given = trainer["plugins"] or []
            plugins = [*(given if isinstance(given, list) else [given]), AtomicCheckpointIO()]
            kwargs["plugins"] = plugins
        try:
            return super().instantiate_trainer(**kwargs)
        except ValueError as error:  # of which Lightning's MisconfigurationException is none
            raise ConfigurationError(f"trainer: {error}") from error

    def _loggers(self) -> list[Logger]:
        step = self.resume_step if self.resume else 0
        loggers: list[Logger] = [ContinuedCSVLogger(self.folder, resume_step=step)]
        if find_spec("tensorboard"):
            loggers.append(TensorBoardLogger(self.folder, name="tensorboard", version=""))
        return loggers

    def before_fit(self) -> None:
        """Say where the run goes, and start the clock."""
        print(f"run directory: {self.folder}")
        self.started = time.monotonic()

    def fit(self, **arguments: Any) -> None:
        """Train, and say how to go on when interrupted.

        Args:
            **arguments: of ``Trainer.fit``.

        Raises:
            KeyboardInterrupt: when interrupted; Lightning itself exits without a word.
        """
        try:
            self.trainer.fit(**arguments)
        except SystemExit:
            last = self.folder / CHECKPOINTS / "last.ckpt"
            go_on = f"with --out {self.folder} --ckpt_path last" if last.is_file() else "again"
            raise KeyboardInterrupt(f"interrupted; to go on: the same command {go_on}") from None

    def after_fit(self) -> None:
        """Probe the encoder that was kept, and write ``results.json``."""
        if self.trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        if not self._kept().is_file():  # nothing was trained
            for name in ("last", "best"):
                self.trainer.save_checkpoint(self.folder / CHECKPOINTS / f"{name}.ckpt")
        trained = time.monotonic() - self.started
        if isinstance(self.model, Supervised):  # its own heads, with the best weights in place
            self.trainer.test(self.model, datamodule=self.datamodule, verbose=False)
        if not self.trainer.is_global_zero:
            return
        predictions: dict[str, torch.Tensor] = {}
        scores = self._scores(self._kept(), predictions)
        Predictions.of(self.datamodule.probe_data(), predictions).write(self.folder)
        pretrained = isinstance(self.model, SSLMethod) and self.model.data_stage == "pretrain"
        budget = {
            "pretrain_frames": self.datamodule.steps if pretrained else 0,
            "probe_frames": self.datamodule.probe_steps,
            "epochs": self.trainer.current_epoch,
            "optimizer_steps": self.trainer.global_step,
            # A resumed run does not know how long its earlier parts took.
            "training_seconds": None if self.resume else round(trained, 1),
            "seconds": None if self.resume else round(time.monotonic() - self.started, 1),
        }
        self._write(scores, budget)

    def after_test(self) -> None:
        """Probe the checkpoint's encoder and print its scores."""
        if self.trainer.is_global_zero:
            checkpoint = self._get(self.config, "ckpt_path")
            print_scores(self._scores(Path(checkpoint) if checkpoint else None))

    def predict(self, **arguments: Any) -> None:
        """Encode the probe frames and write them with their labels to ``features.npz``.

        Args:
            **arguments: of ``Trainer.predict``.
        """
        vectors = torch.cat(cast(list[torch.Tensor], self.trainer.predict(**arguments)))
        if not self.trainer.is_global_zero:
            return
        data = self.datamodule.probe_data()
        make_directory(self.folder)
        path = self.folder / "features.npz"
        np.savez(
            path,
            features=vectors.float().cpu().numpy(),
            labels=data.labels.numpy(),
            variables=np.array(data.variables),
        )
        print(f"features of {len(vectors)} frames: {path}")

    def _scores(
        self, checkpoint: Path | None, predictions: dict[str, torch.Tensor] | None = None
    ) -> dict[str, Any]:
        data = self.datamodule.probe_data()
        end_to_end: dict[str, Any] | None = None
        if isinstance(self.model, Supervised):
            end_to_end = self.model.scores()
            if predictions is not None:
                predictions["supervised"] = self.model.predict_labels("test")
            if self.model.per_variable_encoder:  # no one encoder to probe
                return end_to_end
        encoder = self.model.encoder if checkpoint is None else load_encoder(checkpoint)
        scores = evaluate_encoder(
            encoder.to(self.trainer.strategy.root_device),
            data,
            seed=self._get(self.config, "seed_everything"),
            paper=self._get(self.config_init, "paper"),
            converged=self._get(self.config_init, "converged"),
            controls=self._get(self.config, "controls"),
            predictions=predictions,
        )
        if end_to_end is not None:
            scores["protocols"] = end_to_end["protocols"] | scores["protocols"]
        return scores

    def _write(self, scores: dict[str, Any], budget: dict[str, Any]) -> None:
        results = {
            "game": self.datamodule.game,
            "method": self._get(self.config, "method")
            or getattr(self.model, "name", None)
            or type(self.model).__name__,
            "preset": self._get(self.config, "preset"),
            "variant": self._get(self.config, "variant") or self.datamodule.variation,
            "seed": self._get(self.config, "seed_everything"),
            "scores": scores,
            "budget": budget,
            "command": f"python -m lightning_stdim {shlex.join(self.words)}",
            "environment": environment(),
        }
        if (metrics := self.folder / "metrics.csv").is_file():
            draw_curves(metrics, self.folder / "curves.png")
        if hasattr(self.model, "encoder"):
            save_pretrained(
                load_encoder(self._kept()),
                self.folder / "encoder",
                path=self.model.hparams["encoder"],
                args=self.model.hparams["encoder_args"],
                pixels=self.datamodule.pixels,
                results=results,
            )
        path = write_results(self.folder, results)  # last: it says that the run is finished
        print_scores(scores)
        print(f"results: {path}")

    def _kept(self) -> Path:
        """Name the checkpoint whose encoder is the run's: the best one, if there is one."""
        last, best = (self.folder / CHECKPOINTS / f"{name}.ckpt" for name in ("last", "best"))
        return best if best.is_file() else last


def _options(args: Sequence[str]) -> dict[str, str]:
    """Read the options off a command line, ``--name=value`` or ``--name value``."""
    options = {}
    for word, following in zip(args, [*args[1:], ""], strict=True):
        name, equals, value = word.partition("=")
        options[name] = value if equals else following
    return options


def _run_configuration(args: Sequence[str]) -> Path | None:
    """Find the configuration of the run that a command goes on with; None if it names none."""
    options = _options(args)
    checkpoint, out = options.get("--ckpt_path", ""), options.get("--out")
    if checkpoint in ("last", "best"):
        folder = Path(out) if out else None
    else:
        folder = run_of(checkpoint) if checkpoint else None
    path = folder / "config.yaml" if folder else None
    return path if path and path.is_file() else None


def run(args: Sequence[str]) -> int:
    """Run one of LightningCLI's commands.

    Args:
        args: the command and its options.

    Returns:
        The exit status.

    Raises:
        LightningStdimError: with one message for the user.
    """
    StdimCLI.words = list(args)
    # Lightning 2.6 calls what PyTorch 2.13 and jsonargparse 4.49 deprecate; no user can act on it.
    warnings.filterwarnings("ignore", r".*isinstance\(treespec, LeafSpec\)")
    warnings.filterwarnings("ignore", r".*functional\.all_gather is deprecated")
    # Some methods have nothing to train, on purpose.
    warnings.filterwarnings("ignore", ".*configure_optimizers` returned `None`")
    # Index batches need no worker processes: the frames are in memory already.
    warnings.filterwarnings("ignore", ".*does not have many workers")
    # A resumed run's directory is meant to be there.
    warnings.filterwarnings("ignore", "Checkpoint directory .* exists and is not empty")
    # A configuration of the user's stands alone: nothing of the laptop preset leaks into it. Nor
    # into what goes on with a run: that has a configuration of its own.
    configured = not _options(args).keys().isdisjoint(("-c", "--config"))
    defaults = _run_configuration(args) or preset_path("laptop")
    preset = {} if configured else {"default_config_files": [str(defaults)]}
    try:
        StdimCLI(
            LightningModule,
            AtariDataModule,
            subclass_mode_model=True,
            auto_configure_optimizers=False,  # methods make their own optimisers
            seed_everything_default=0,
            trainer_defaults={
                "num_sanity_val_steps": 0,
                "enable_model_summary": False,
                "max_epochs": 100,  # the protocol's
                # One device unless asked for more; Apple's lacks the float64 that the probes need.
                "devices": 1,
                "accelerator": "cuda" if torch.cuda.is_available() else "cpu",
            },
            save_config_kwargs={"overwrite": True},
            parser_kwargs={
                "prog": "python -m lightning_stdim",
                "exit_on_error": False,
                **{command: {**preset} for command in LightningCLI.subcommands()},
            },
            # Lightning warns of arguments beside sys.argv, even if they are the same.
            args=None if list(args) == sys.argv[1:] else list(args),
        )
    except MisconfigurationException as error:
        raise ConfigurationError(str(error)) from error
    except ValueError as error:  # how jsonargparse wraps what a model's __init__ raises
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, LightningStdimError):
            cause = cause.__cause__ or cause.__context__
        raise cause or error from None
    except RuntimeError as error:
        if "loading state_dict" not in str(error):
            raise
        raise EncoderError(
            f"the checkpoint does not fit the model and the data: {error}; use the model and the "
            "--data options that it was trained with"
        ) from error
    except torch.OutOfMemoryError as error:
        raise TrainingError(f"out of memory: {error}; try a smaller --data.batch_size") from error
    except OSError as error:
        raise StoreError(f"cannot read or write: {error}") from error
    return 0
