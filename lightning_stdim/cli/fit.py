"""The commands ``fit``, ``validate``, ``test`` and ``predict``, made of LightningCLI."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import torch
import yaml
from jsonargparse import Namespace
from lightning_fabric.utilities.seed import max_seed_value
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI
from pytorch_lightning.utilities import rank_zero_only

from lightning_stdim.cli.configuration import (
    YAML,
    SaveRunConfiguration,
    as_default_files,
    default_configuration,
    given_options,
    read_any_spelling,
    run_options,
)
from lightning_stdim.cli.console import print_scores
from lightning_stdim.cli.messages import as_our_errors, ignore_unhelpful_warnings, interrupted_with
from lightning_stdim.cli.spellings import for_model_command
from lightning_stdim.datamodules.atari import AtariDataModule
from lightning_stdim.datamodules.labels.games import canonical_game
from lightning_stdim.encoders.pretrained import load_encoder, read_checkpoint
from lightning_stdim.errors import ConfigurationError, EncoderError
from lightning_stdim.methods import SSLMethod
from lightning_stdim.presets import preset_name
from lightning_stdim.probes import (
    ChallengeSettings,
    ConvergedSettings,
    Evaluation,
    PaperSettings,
    Supervised,
    check_challenge,
    check_protocols,
)
from lightning_stdim.runs.continuation import check_same_model, check_same_settings, same
from lightning_stdim.runs.directory import (
    CHECKPOINTS,
    CONFIGURATION,
    claim_run,
    configuration_of,
    hold_run,
    kept_checkpoint,
    place_run,
    run_of,
)
from lightning_stdim.runs.features import write_features
from lightning_stdim.runs.finish import evaluate, write_record
from lightning_stdim.runs.lightning import (
    AtomicCheckpointIO,
    run_callbacks,
    run_loggers,
)
from lightning_stdim.runs.naming import check_method_name, make_key, method_name
from lightning_stdim.runs.processes import cluster_environment
from lightning_stdim.runs.results import Budget
from lightning_stdim.runs.snapshots import snapshot_steps
from lightning_stdim.runs.trial import try_out
from lightning_stdim.utils.checks import integer, not_empty
from lightning_stdim.utils.counted import counted
from lightning_stdim.utils.hardware import slow_bfloat16
from lightning_stdim.utils.lightning_package import translate
from lightning_stdim.utils.signals import terminated_as_interrupted

SEARCHES = ("LearningRateFinder", "BatchSizeFinder")
"""Callbacks of Lightning's that choose a setting before the training starts."""


class StdimCLI(LightningCLI):
    """LightningCLI with our defaults. A run has a directory, and ``fit`` ends by probing.

    Args:
        argv: the command and its options.
        program: what comes before them on a command line.
        held: keeps hold of the run's directory until it is closed.
    """

    def __init__(self, argv: Sequence[str], *, program: str, held: ExitStack) -> None:
        self.argv, self.program, self.held = list(argv), program, held
        self.given = given_options(argv)
        defaults = as_default_files(default_configuration(self.given))
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
            save_config_callback=SaveRunConfiguration,
            save_config_kwargs={"save_to_log_dir": False},
            parser_kwargs={
                "prog": program,
                "exit_on_error": False,
                "parser_mode": YAML,
                **{
                    command: {"default_config_files": defaults}
                    for command in LightningCLI.subcommands()
                },
            },
            args=for_model_command([translate(word) for word in argv], self.given.preset),
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the options of a run beside model, data and trainer."""
        parser.add_function_arguments(run_options)
        parser.add_class_arguments(PaperSettings, "paper")
        parser.add_class_arguments(ConvergedSettings, "converged")
        parser.add_class_arguments(ChallengeSettings, "challenge")
        parser.set_defaults({"model": "lightning_stdim.methods.STDIM"})

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse the command line; it may have to be parsed again with other defaults."""
        self.words = args
        super().parse_arguments(parser, args)

    def _set_seed(self) -> None:
        """Check the seed, and choose the processes of the run, before Lightning speaks of both."""
        settings = self.config[self.subcommand]
        seed = settings["seed_everything"]
        if isinstance(seed, bool):  # Lightning's words for a random seed, and for none
            raise ConfigurationError(
                f"seed_everything={str(seed).lower()}: a run has a seed, which its frames, weights "
                "and probes depend on: give a number, or leave it out for 0"
            )
        integer("seed_everything", seed, at_most=max_seed_value)
        self.cluster_environment = cluster_environment(settings["trainer"])
        super()._set_seed()

    def _parse_ckpt_path(self) -> None:
        """Choose the run's directory, and check a checkpoint before Lightning reads it."""
        not_empty("out", self.given.out)
        self.subcommand = self.config["subcommand"]
        settings = self.config[self.subcommand]
        checkpoint = settings.get("ckpt_path")
        self.resume = self.subcommand == "fit" and checkpoint is not None
        self.found: dict[str, Any] = {}
        game = canonical_game(settings["data"]["game"])
        model = settings["model"]["class_path"].rpartition(".")[2]
        usual = Path("runs") / f"{game}-{model}-seed{settings['seed_everything']}"
        self.folder, checkpoint, self.existing = place_run(
            Path(settings["out"] or usual),
            checkpoint,
            named=self.given.out is not None,  # the run's configuration may name an old place
            resume=self.resume,
        )
        settings["ckpt_path"] = checkpoint
        if checkpoint is None and self.subcommand != "fit":
            raise ConfigurationError(
                f"{self.subcommand} needs a checkpoint: give --ckpt_path with its file, such as "
                f"{self.folder / CHECKPOINTS / 'best.ckpt'}, or --out with a run's directory and "
                "--ckpt_path best"
            )
        if checkpoint is not None:
            found = read_checkpoint(checkpoint)
            if not {"global_step", "hyper_parameters"} <= set(found):
                raise EncoderError(f"{checkpoint} is not a checkpoint of a run of this package")
            self._take_configuration(Path(checkpoint))
            self._go_on_with(Path(checkpoint), found["hyper_parameters"])
            if self.resume and "optimizer_states" not in found:
                raise ConfigurationError(
                    f"{checkpoint} holds weights alone, as snapshots do: training goes on from "
                    f"a checkpoint with the optimiser's state, such as {CHECKPOINTS}/last.ckpt"
                )
            large = ("state_dict", "optimizer_states")
            self.found = {name: part for name, part in found.items() if name not in large}

    def _go_on_with(self, checkpoint: Path, arguments: Mapping[str, Any]) -> None:
        """Take the model's arguments from the checkpoint, and refuse another preset or seed.

        Lightning would replace all arguments, without a word about those that were typed. These
        stay here, and are compared once the model is there.
        """
        configuration = run_of(checkpoint) / CONFIGURATION
        if not configuration.is_file():
            return
        settings = self.config[self.subcommand]
        run = translate(yaml.safe_load(configuration.read_text(encoding="utf-8")))
        had = run.get("preset") and preset_name(run["preset"])
        asked = {"preset": had if self.given.preset is None else preset_name(self.given.preset)}
        if self.resume:
            asked |= {"seed_everything": settings["seed_everything"]}
        check_same_settings({**run, "preset": had}, asked)
        if settings["model"]["class_path"] == run["model"]["class_path"]:
            chosen, before = settings["model"]["init_args"], run["model"].get("init_args", {})
            for name, value in arguments.items():
                if name in chosen and same(_plain(chosen[name]), before.get(name)):
                    chosen[name] = value

    def _take_configuration(self, checkpoint: Path) -> None:
        """Start from the settings of the checkpoint's run."""
        path = run_of(checkpoint) / CONFIGURATION
        if not path.is_file():
            if self.given.config:
                return
            raise ConfigurationError(
                f"there is no {path}, and without it the settings of the checkpoint's run are not "
                "known: give --config with a file of them"
            )
        if configuration_of(self.given.out, self.given.ckpt_path) is None:
            # The run was found by what was read at first: its game, model and seed.
            self._parser(self.subcommand).default_config_files = as_default_files([path])
            self.parse_arguments(self.parser, self.words)
            self.config[self.subcommand]["ckpt_path"] = str(checkpoint)

    def before_instantiate_classes(self) -> None:
        """Tell the model the data's pixels, and drop callbacks that have been there already.

        So ``--data.pixels`` is enough to choose the pixels. Callbacks are given twice when a
        command that goes on with a run repeats those of the run's configuration. A search is not
        repeated then: it would begin the training anew.
        """
        settings = self.config[self.subcommand]
        self.protocols = check_protocols(settings["protocols"])
        callbacks = settings["trainer"]["callbacks"]
        if isinstance(callbacks, list):
            settings["trainer"]["callbacks"] = [
                callback
                for i, callback in enumerate(callbacks)
                if callback not in callbacks[:i]
                and not (self.resume and callback["class_path"].endswith(SEARCHES))
            ]
        arguments = settings["model"].get("init_args", {})
        # Not by a link of jsonargparse's, which would silently overrule a --model.pixels.
        if "pixels" in arguments and settings["data"]["pixels"] == "rgb":
            arguments["pixels"] = "rgb"

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Make the trainer, and take hold of the run's directory.

        Only the trainer knows whether this process is the first of the run's, which does that for
        all. If the directory gets a number, the trainer is made again.
        """
        self._check()
        trainer = self._make_trainer(**kwargs)
        on_cpu = trainer.strategy.root_device.type == "cpu"
        affected = trainer.precision.startswith("bf16") and on_cpu and trainer.is_global_zero
        if affected and (advice := slow_bfloat16("--trainer.precision 32-true")):
            print(f"warning: {advice}", file=sys.stderr)
        wanted = self.folder
        if trainer.is_global_zero and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            self._claim()
        return trainer if self.folder == wanted else self._make_trainer(**kwargs)

    def _check(self) -> None:
        """Refuse what cannot work, before anything is written."""
        if name := self._get(self.config, "method_name"):
            check_method_name(name, self.model)
        check_same_model(self.found, self.model)
        if self.resume:  # for the user, before anything is written; old checkpoints lack the state
            had = self.found.get("datamodule_hyper_parameters", {})
            self.datamodule.check_same({k: v for k, v in had.items() if v is not None})
        trainer = self._get(self.config_init, "trainer")
        if trainer["overfit_batches"]:
            raise ConfigurationError(
                "trainer.overfit_batches takes the batches from another sampler than ours, which "
                "keeps neighbours in time apart; use a small --data.steps"
            )
        if self.subcommand == "fit" and not trainer["fast_dev_run"]:
            for name, wanted in (("enable_checkpointing", False), ("barebones", True)):
                if trainer[name] is wanted:
                    raise ConfigurationError(
                        f"trainer.{name}={str(wanted).lower()} keeps no checkpoint, and fit probes "
                        "the one that it has kept: leave it out (--keep last keeps one alone), or "
                        "use a Trainer in Python"
                    )
            if not self.resume:
                self._try_out(trainer)

    def _claim(self) -> None:
        """Keep other processes from using the directory that this one writes to."""
        if not self.existing and self.subcommand in ("fit", "predict"):
            claim = claim_run(self.folder, number=self.given.out is None)
            self.folder = self.held.enter_context(claim)
        elif self.subcommand == "fit":
            self.held.enter_context(hold_run(self.folder))

    def _make_trainer(self, **kwargs: Any) -> Trainer:
        """Make the trainer, with the run's directory, loggers and checkpoints."""
        trainer = self._get(self.config_init, "trainer")
        kwargs.setdefault("default_root_dir", str(self.folder))
        kwargs["plugins"] = _as_list(trainer["plugins"]) + _as_list(self.cluster_environment)
        if self.subcommand != "fit":
            kwargs["logger"] = False
            self.save_config_callback = None
        elif trainer["logger"] in (None, True):
            earlier = self.found if self.resume else None
            kwargs["logger"] = run_loggers(self.folder, resumed_from=earlier)
        if self.subcommand == "fit" and not trainer["fast_dev_run"]:
            steps = snapshot_steps(self._get(self.config, "snapshots"))
            given = _as_list(trainer["callbacks"])
            keep = self._get(self.config, "keep")
            own = run_callbacks(self.folder, self.model, given, keep=keep, snapshots=steps)
            kwargs["callbacks"] = [*given, *own]
            kwargs["plugins"].append(AtomicCheckpointIO())
        try:
            return super().instantiate_trainer(**kwargs)
        except ValueError as error:  # Lightning's MisconfigurationException is no ValueError
            raise ConfigurationError(f"trainer: {error}") from error

    @rank_zero_only
    def _try_out(self, trainer: Any) -> None:
        """Refuse a model that fails on frames."""
        devices = trainer["devices"]
        try_out(
            self.model,
            data=self.datamodule,
            batch_size=self._get(self.config, "data.batch_size"),
            accelerator=trainer["accelerator"],
            devices=devices[:1] if isinstance(devices, list) else 1,
            precision=trainer["precision"],
        )

    def before_fit(self) -> None:
        """Refuse what cannot be probed, make the run's key, and start the clock."""
        if "challenge" in self.protocols and hasattr(self.model, "encoder"):
            check_challenge(self.model.encoder, self.datamodule.probe_labels())
        preset = self._get(self.config, "preset")
        self.preset = preset_name(preset) if preset else None
        self.key = make_key(
            game=self.datamodule.game,
            method=self._get(self.config, "method_name") or method_name(self.model),
            seed=self._get(self.config, "seed_everything"),
            run_key=self._get(self.config, "run_key"),
            variant=self._get(self.config, "variant"),
            variation=self.datamodule.variation,
        )
        if self.trainer.is_global_zero:  # the others do not know its number yet
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
            # While it trains, Lightning's own handler ends it after the batch, with a checkpoint.
            with terminated_as_interrupted(unless=lambda: self.trainer.received_sigterm):
                self.trainer.fit(**arguments)
        except SystemExit:
            last = self.folder / CHECKPOINTS / "last.ckpt"
            words = (
                f"{last} is kept; to go on: {self._going_on()}"
                if last.is_file()
                else f"there is no checkpoint yet; to start again: {self.program} "
                + shlex.join(self.argv)
            )
            raise KeyboardInterrupt(f"interrupted; {words}") from None

    def _going_on(self) -> str:
        """Write the command that goes on with this run, or with its probes."""
        place = ["--out", str(self.folder), "--ckpt_path", "last"]
        argv = self.argv if self.argv[-len(place) :] == place else [*self.argv, *place]
        return f"{self.program} {shlex.join(argv)}"

    def after_fit(self) -> None:
        """Probe the encoder of the kept checkpoint, and write the run's record.

        Raises:
            KeyboardInterrupt: when interrupted, also by a scheduler. It says how to go on.
        """
        if self.trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        with interrupted_with(
            f"the training is done and kept in {self.folder}; to probe it: {self._going_on()}"
        ):
            self._probe_and_record()

    def _probe_and_record(self) -> None:
        self.folder = self.trainer.strategy.broadcast(self.folder)  # the others' has no number
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
            preset=self.preset,
            budget=budget,
            command=f"{self.program} {shlex.join(self.argv)}",
            checkpoint=kept_checkpoint(self.folder) if hasattr(self.model, "encoder") else None,
        )
        print_scores(evaluation)
        print(f"results: {path}")

    def after_test(self) -> None:
        """Probe the checkpoint's encoder and print its scores."""
        if self.trainer.is_global_zero:
            print_scores(self._evaluate(Path(self._get(self.config, "ckpt_path"))))

    def predict(self, **arguments: Any) -> None:
        """Encode the probe frames and write them with their labels to ``features.npz``.

        Args:
            **arguments: arguments of ``Trainer.predict``.

        Raises:
            ConfigurationError: no batch is to be encoded.
        """
        batches = cast(list[torch.Tensor], self.trainer.predict(**arguments))
        if not batches:
            raise ConfigurationError(
                "trainer.limit_predict_batches leaves no frame to encode: leave it out"
            )
        vectors = torch.cat(batches)
        if not self.trainer.is_global_zero:
            return
        if self.trainer.fast_dev_run:  # type: ignore[attr-defined]
            print(f"features of {len(vectors)} frames: not written, because of fast_dev_run")
            return
        path = write_features(self.folder, vectors, self.datamodule.probe_data())
        print(f"features of {counted(len(vectors), 'frame')}: {path}")

    def _evaluate(self, checkpoint: Path) -> Evaluation:
        encoder = None
        if hasattr(self.model, "encoder"):  # otherwise every variable has an encoder of its own
            encoder = load_encoder(checkpoint).to(self.trainer.strategy.root_device)
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


def _plain(value: Any) -> Any:
    return value.as_dict() if isinstance(value, Namespace) else value


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def run(argv: Sequence[str], *, program: str, cli: type[StdimCLI] = StdimCLI) -> int:
    """Run one of LightningCLI's commands.

    Args:
        argv: the command and its options.
        program: what comes before them on a command line.
        cli: the class that runs it.

    Returns:
        The exit status.

    Raises:
        LightningStdimError: with one message for the user.
        KeyboardInterrupt: when interrupted. It says what is kept, and how to go on.
    """
    ignore_unhelpful_warnings()
    read_any_spelling(given_options(argv).preset)
    again = f"to start again: {program} {shlex.join(argv)}"
    with as_our_errors(), interrupted_with(again), ExitStack() as held:
        cli(argv, program=program, held=held)
    return 0
