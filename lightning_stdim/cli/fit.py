"""The commands ``fit``, ``validate``, ``test`` and ``predict``, made of LightningCLI."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI

from lightning_stdim.cli.configuration import (
    YAML,
    default_configuration,
    given_options,
    read_either_package,
    run_options,
)
from lightning_stdim.cli.console import print_scores
from lightning_stdim.cli.messages import as_our_errors, ignore_unhelpful_warnings
from lightning_stdim.datamodules.atari import AtariDataModule
from lightning_stdim.datamodules.labels.games import canonical_game
from lightning_stdim.encoders.pretrained import load_encoder, read_checkpoint
from lightning_stdim.errors import ConfigurationError, EncoderError
from lightning_stdim.methods import SSLMethod
from lightning_stdim.probes import (
    ChallengeSettings,
    ConvergedSettings,
    Evaluation,
    PaperSettings,
    Supervised,
    check_challenge,
    check_protocols,
)
from lightning_stdim.runs.directory import CHECKPOINTS, kept_checkpoint, place_run
from lightning_stdim.runs.features import write_features
from lightning_stdim.runs.finish import evaluate, write_record
from lightning_stdim.runs.lightning import (
    AtomicCheckpointIO,
    batches_stepped,
    run_callbacks,
    run_loggers,
)
from lightning_stdim.runs.naming import make_key, method_name
from lightning_stdim.runs.results import Budget
from lightning_stdim.runs.snapshots import snapshot_steps
from lightning_stdim.utils.counted import counted
from lightning_stdim.utils.files import make_directory
from lightning_stdim.utils.lightning_package import translate


class StdimCLI(LightningCLI):
    """LightningCLI with our defaults. A run has a directory, and ``fit`` ends by probing.

    Args:
        argv: the command and its options.
        program: what comes before them on a command line.
    """

    def __init__(self, argv: Sequence[str], *, program: str) -> None:
        self.argv, self.program = list(argv), program
        self.given = given_options(argv)
        defaults = default_configuration(self.given)
        super().__init__(
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
                "prog": program,
                "exit_on_error": False,
                "parser_mode": YAML,
                **{
                    command: {"default_config_files": defaults}
                    for command in LightningCLI.subcommands()
                },
            },
            args=[translate(word) for word in argv],
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the options of a run beside model, data and trainer."""
        parser.add_function_arguments(run_options)
        parser.add_class_arguments(PaperSettings, "paper")
        parser.add_class_arguments(ConvergedSettings, "converged")
        parser.add_class_arguments(ChallengeSettings, "challenge")
        parser.set_defaults({"model": "lightning_stdim.methods.STDIM"})

    def _parse_ckpt_path(self) -> None:
        """Choose the run's directory, and check a checkpoint before Lightning reads it."""
        self.subcommand = self.config["subcommand"]
        settings = self.config[self.subcommand]
        checkpoint = settings.get("ckpt_path")
        self.resume = self.subcommand == "fit" and checkpoint is not None
        self.resume_step = 0
        game = canonical_game(settings["data"]["game"])
        model = settings["model"]["class_path"].rpartition(".")[2]
        usual = Path("runs") / f"{game}-{model}-seed{settings['seed_everything']}"
        self.folder, checkpoint = place_run(
            Path(settings["out"] or usual),
            checkpoint,
            named=self.given.out is not None,  # the run's configuration may name an old place
            resume=self.resume,
        )
        settings["ckpt_path"] = checkpoint
        if checkpoint is not None:
            found = read_checkpoint(checkpoint)
            if not {"global_step", "hyper_parameters"} <= set(found):
                raise EncoderError(f"{checkpoint} is not a checkpoint of a run of this package")
            if self.resume:
                if "optimizer_states" not in found:
                    raise ConfigurationError(
                        f"{checkpoint} holds weights alone, as snapshots do: training goes on from "
                        f"a checkpoint with the optimiser's state, such as {CHECKPOINTS}/last.ckpt"
                    )
                self.resume_step = batches_stepped(found)
        super()._parse_ckpt_path()

    def before_instantiate_classes(self) -> None:
        """Tell the model the data's pixels, and drop callbacks that are given twice.

        So ``--data.pixels`` is enough to choose the pixels. Callbacks are given twice when a
        command that goes on with a run repeats those of the run's configuration.
        """
        settings = self.config[self.subcommand]
        self.protocols = check_protocols(settings["protocols"])
        callbacks = settings["trainer"]["callbacks"]
        if isinstance(callbacks, list):
            settings["trainer"]["callbacks"] = [
                callback for i, callback in enumerate(callbacks) if callback not in callbacks[:i]
            ]
        arguments = settings["model"].get("init_args", {})
        # Not by a link of jsonargparse's, which would silently overrule a --model.pixels.
        if "pixels" in arguments and settings["data"]["pixels"] == "rgb":
            arguments["pixels"] = "rgb"

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Make the trainer, with the run's directory, loggers and checkpoints."""
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
            kwargs["logger"] = run_loggers(self.folder, resume_step=self.resume_step)
        if self.subcommand == "fit" and not trainer["fast_dev_run"]:
            steps = snapshot_steps(self._get(self.config, "snapshots"))
            make_directory(self.folder)
            given = _as_list(trainer["callbacks"])
            keep = self._get(self.config, "keep")
            own = run_callbacks(self.folder, self.model, given, keep=keep, snapshots=steps)
            kwargs["callbacks"] = [*given, *own]
            kwargs["plugins"] = [*_as_list(trainer["plugins"]), AtomicCheckpointIO()]
        try:
            return super().instantiate_trainer(**kwargs)
        except ValueError as error:  # Lightning's MisconfigurationException is no ValueError
            raise ConfigurationError(f"trainer: {error}") from error

    def before_fit(self) -> None:
        """Refuse what cannot be probed, make the run's key, and start the clock."""
        if "challenge" in self.protocols and hasattr(self.model, "encoder"):
            check_challenge(self.model.encoder, self.datamodule.probe_labels())
        self.key = make_key(
            game=self.datamodule.game,
            method=self._get(self.config, "method") or method_name(self.model),
            seed=self._get(self.config, "seed_everything"),
            run_key=self._get(self.config, "run_key"),
            variant=self._get(self.config, "variant"),
            variation=self.datamodule.variation,
        )
        print(f"run directory: {self.folder}")
        self.started = time.monotonic()

    def fit(self, **arguments: Any) -> None:
        """Train; when interrupted, say how to go on.

        Args:
            **arguments: arguments of ``Trainer.fit``.

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
        """Probe the encoder of the kept checkpoint, and write the run's record."""
        if self.trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        if not kept_checkpoint(self.folder).is_file():  # nothing was trained
            for name in ("last", "best"):
                self.trainer.save_checkpoint(self.folder / CHECKPOINTS / f"{name}.ckpt")
        trained = time.monotonic() - self.started
        if isinstance(self.model, Supervised):  # its own heads, with the best weights in place
            self.trainer.test(self.model, datamodule=self.datamodule, verbose=False)
        if not self.trainer.is_global_zero:
            return
        evaluation = self._evaluate(kept_checkpoint(self.folder))
        pretrained = isinstance(self.model, SSLMethod) and self.model.data_stage == "pretrain"
        budget: Budget = {
            "pretrain_frames": self.datamodule.pretrain_steps if pretrained else 0,
            "probe_frames": self.datamodule.probe_steps,
            "epochs": self.trainer.current_epoch,
            "optimizer_steps": self.trainer.global_step,
            # A resumed run does not know how long its earlier parts took.
            "training_seconds": None if self.resume else round(trained, 1),
            "seconds": None if self.resume else round(time.monotonic() - self.started, 1),
        }
        path = write_record(
            self.folder,
            evaluation,
            self.datamodule.probe_data(),
            key=self.key,
            preset=self._get(self.config, "preset"),
            budget=budget,
            command=f"{self.program} {shlex.join(self.argv)}",
            checkpoint=kept_checkpoint(self.folder) if hasattr(self.model, "encoder") else None,
        )
        print_scores(evaluation)
        print(f"results: {path}")

    def after_test(self) -> None:
        """Probe the checkpoint's encoder and print its scores."""
        if self.trainer.is_global_zero:
            checkpoint = self._get(self.config, "ckpt_path")
            print_scores(self._evaluate(Path(checkpoint) if checkpoint else None))

    def predict(self, **arguments: Any) -> None:
        """Encode the probe frames and write them with their labels to ``features.npz``.

        Args:
            **arguments: arguments of ``Trainer.predict``.
        """
        vectors = torch.cat(cast(list[torch.Tensor], self.trainer.predict(**arguments)))
        if not self.trainer.is_global_zero:
            return
        path = write_features(self.folder, vectors, self.datamodule.probe_data())
        print(f"features of {counted(len(vectors), 'frame')}: {path}")

    def _evaluate(self, checkpoint: Path | None) -> Evaluation:
        encoder = None
        if hasattr(self.model, "encoder"):  # otherwise every variable has an encoder of its own
            encoder = self.model.encoder if checkpoint is None else load_encoder(checkpoint)
            encoder = encoder.to(self.trainer.strategy.root_device)
        return evaluate(
            encoder,
            self.datamodule.probe_data(),
            model=self.model,
            seed=self._get(self.config, "seed_everything"),
            paper=self._get(self.config_init, "paper"),
            converged=self._get(self.config_init, "converged"),
            challenge=self._get(self.config_init, "challenge"),
            protocols=self.protocols,
            controls=self._get(self.config, "controls"),
        )


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def run(argv: Sequence[str], *, program: str) -> int:
    """Run one of LightningCLI's commands.

    Args:
        argv: the command and its options.
        program: what comes before them on a command line.

    Returns:
        The exit status.

    Raises:
        LightningStdimError: with one message for the user.
    """
    ignore_unhelpful_warnings()
    read_either_package()
    with as_our_errors():
        StdimCLI(argv, program=program)
    return 0
