"""Why did the challenge report's supervised training collapse?

    python studies/supervised_collapse.py --out results/supervised-collapse

Trains one encoder on Pong's labels with the report's settings: PyTorch's initialisation, Adam with
learning rate 3e-4 and epsilon 1e-8, batches of 64, no schedule, no early stopping, last weights.
The arms change one thing at a time, on the same frames and batches and from the same weights:

    optimisers   one Adam per variable, each of which steps the shared encoder (the report's), or
                 one Adam over the mean of the losses
    frames       0 to 255 as they are (the report's), or divided by 255
    one-adam     steps for one variable after the other, as with one Adam per variable, but with a
                 single Adam and so a single set of moment estimates

A training has collapsed at an epoch if from then on it predicts one and the same label for all
validation frames, for every variable. It is stopped after a few such epochs, once a layer is dead.

Writes a JSON file per arm and seed, ``collapse.md`` with a row for each, and ``collapse.png`` with
the first seed's curves beside the report's own. An arm whose file is there is not trained again,
and an interrupted one goes on after its last epoch. The report's network has 255 outputs per
variable and this one 256, the last of which no label uses.
"""

from __future__ import annotations

import csv
import json
import logging
import shutil
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning import Callback, LightningModule, Trainer, seed_everything
from record import markdown_table, script_parser, write_record
from torch import Tensor, nn

from lightning_stdim.callbacks import DeadUnits
from lightning_stdim.cli.messages import ignore_unhelpful_warnings
from lightning_stdim.datamodules.atari import AtariDataModule
from lightning_stdim.datamodules.batches import ProbeData
from lightning_stdim.presets import read_preset
from lightning_stdim.probes import Supervised
from lightning_stdim.probes.metrics import report_f1
from lightning_stdim.probes.scores import score_predictions
from lightning_stdim.runs.lightning import AtomicCheckpointIO, LastCheckpoint
from lightning_stdim.utils.files import atomically

LR, EPS, BATCH = 3e-4, 1e-8, 64
DEAD_EPOCHS = 3
"""A training is stopped after this many epochs without a varying prediction or a live layer."""
Curves = dict[int, dict[str, float]]
"""By epoch, the value of each curve."""
LAYERS = ("convolution 1", "convolution 2", "convolution 3", "convolution 4", "linear")


class OneAdam(Supervised):
    """Steps for one variable after the other, all by one Adam with one set of moment estimates."""

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Make the Adam of the shared way of training."""
        return self._adam(self.units)


@dataclass(frozen=True)
class Arm:
    """One way of training."""

    name: str
    title: str
    optimizers: str
    scale_frames: bool
    model: type[Supervised] = Supervised


ARMS = (
    Arm("per-variable-255", "one Adam per variable, frames 0 to 255", "per_variable", False),
    Arm("shared-255", "one Adam, mean of the losses, frames 0 to 255", "shared", False),
    Arm("per-variable-1", "one Adam per variable, frames 0 to 1", "per_variable", True),
    Arm("shared-1", "one Adam, mean of the losses, frames 0 to 1", "shared", True),
    Arm(
        "one-adam-255",
        "one Adam, a step per variable, frames 0 to 255",
        "per_variable",
        False,
        OneAdam,
    ),
)


def layers_of(model: Supervised, kind: type[nn.Module] | tuple[type[nn.Module], ...]) -> list[str]:
    """Name the encoder's layers of some kind, from the frames on."""
    return [name for name, layer in model.encoder.named_modules() if isinstance(layer, kind)]


class StepSizes(Callback):
    """Measure how far each optimiser's steps move each layer of the encoder.

    A step's size is the Euclidean norm of the change of a layer's weights and biases. Beside the
    mean and the largest of an epoch stands the mean norm of the gradients that caused them.
    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Watch the optimisers."""
        assert isinstance(pl_module, Supervised)
        names = layers_of(pl_module, (nn.Conv2d, nn.Linear))
        layers = [list(pl_module.encoder.get_submodule(name).parameters()) for name in names]
        self.sizes: dict[int, list[Tensor]] = defaultdict(list)
        before: list[Tensor] = []

        for number, optimizer in enumerate(trainer.optimizers):

            def remember(*_: Any) -> None:
                before[:] = [parameter.detach().clone() for layer in layers for parameter in layer]

            def measure(*_: Any, number: int = number) -> None:
                old = iter(before)
                measured = [
                    torch.stack(
                        [
                            norm([p.detach() - next(old) for p in layer]),
                            norm([p.grad for p in layer if p.grad is not None]),
                        ]
                    )
                    for layer in layers
                ]
                self.sizes[number].append(torch.stack(measured))

            optimizer.register_step_pre_hook(remember)
            optimizer.register_step_post_hook(measure)

    def take(self) -> list[dict[str, dict[str, float]]]:
        """Give an epoch's sizes, by optimiser and layer, and start again."""
        found = []
        for number in sorted(self.sizes):
            sizes = torch.stack(self.sizes[number])  # [steps, layers, size and gradient]
            mean, largest = sizes.mean(0).tolist(), sizes.amax(0).tolist()
            found.append(
                {
                    layer: {"mean": mean[i][0], "largest": largest[i][0], "gradient": mean[i][1]}
                    for i, layer in enumerate(LAYERS)
                }
            )
        self.sizes.clear()
        return found


def norm(tensors: Sequence[Tensor]) -> Tensor:
    norms = torch.stack([torch.linalg.vector_norm(tensor) for tensor in tensors])
    total: Tensor = torch.linalg.vector_norm(norms)
    return total


class Record(Callback):
    """Keep what each epoch shows, in checkpoints too, and end a training that cannot recover."""

    def __init__(self, steps: StepSizes) -> None:
        self.steps = steps
        self.epochs: list[dict[str, Any]] = []

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self.started = time.monotonic()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add an epoch, print it, and stop after a collapse."""
        assert isinstance(pl_module, Supervised)
        self.add(trainer, pl_module, {"seconds": round(time.monotonic() - self.started, 1)})
        last = self.epochs[-DEAD_EPOCHS:]
        if len(last) == DEAD_EPOCHS and all(is_over(epoch) for epoch in last):
            trainer.should_stop = True

    def add(self, trainer: Trainer, model: Supervised, more: dict[str, Any]) -> None:
        """Add the state after an epoch, or before the first."""
        epoch = {
            "optimizer_steps": trainer.global_step,
            **more,
            **validation_scores(model),
            "train_loss": values(trainer, "train/loss/"),
            "dead_units": dict(
                zip(LAYERS, values(trainer, "health/dead_units/").values(), strict=False)
            ),
            "steps": self.steps.take() if self.epochs else [],
        }
        self.epochs.append(epoch)
        dead = ", ".join(f"{share:.0%}" for share in epoch["dead_units"].values())
        print(
            f"  epoch {len(self.epochs) - 1}: F1 {epoch['mean_f1']:.3f}, dead units {dead}",
            flush=True,
        )

    def state_dict(self) -> dict[str, Any]:
        """Keep the epochs in checkpoints."""
        return {"epochs": self.epochs}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on after the epochs of a checkpoint."""
        self.epochs = state_dict["epochs"]


def values(trainer: Trainer, prefix: str) -> dict[str, float]:
    """Read the logged values whose names begin with a prefix."""
    logged = trainer.callback_metrics.items()
    return {n.removeprefix(prefix): v.item() for n, v in logged if n.startswith(prefix)}


def validation_scores(model: Supervised) -> dict[str, Any]:
    """Score the validation frames: by the F1 of this package, and by the report's."""
    data: ProbeData = model.trainer.datamodule.probe_data()  # type: ignore[attr-defined]
    predictions = model.predict_labels("val")
    labels = data.labels[data.splits["val"]].cpu()
    f1 = score_predictions(predictions, labels, data)["f1"]
    theirs = report_f1(predictions, labels, batch_size=BATCH)
    return {
        "mean_f1": f1["mean_over_categories"],
        "f1": f1["variables"],
        "report_f1": dict(zip(data.variables, theirs.tolist(), strict=True)),
        "labels_predicted": {
            name: len(column.unique())
            for name, column in zip(data.variables, predictions.T, strict=True)
        },
    }


def is_constant(epoch: dict[str, Any]) -> bool:
    """Tell whether every variable's prediction is the same for all validation frames."""
    return all(count == 1 for count in epoch["labels_predicted"].values())


def is_over(epoch: dict[str, Any]) -> bool:
    """Tell whether nothing can come back: a dead layer passes on no gradient."""
    return is_constant(epoch) and max(epoch["dead_units"].values()) == 1


def collapsed_at(epochs: Sequence[dict[str, Any]]) -> int | None:
    """Find the epoch from which on all predictions are constant; epochs start with number 0."""
    varied = max((i for i, epoch in enumerate(epochs) if not is_constant(epoch)), default=-1)
    return varied + 1 if varied + 1 < len(epochs) else None


def train(
    arm: Arm, seed: int, *, epochs: int, precision: str, folder: Path, data_settings: dict[str, Any]
) -> list[dict[str, Any]]:
    """Train an arm, and give the state before training and after every epoch."""
    seed_everything(seed)
    model = arm.model(
        encoder_args={"initialization": "pytorch", "scale_frames": arm.scale_frames},
        lr=LR,
        eps=EPS,
        patience=None,
        optimizers=arm.optimizers,  # type: ignore[arg-type]
    )
    data = AtariDataModule(seed=seed, stage="probe", batch_size=BATCH, **data_settings)
    steps = StepSizes()
    record = Record(steps)
    settings: dict[str, Any] = {
        "accelerator": "cuda" if torch.cuda.is_available() else "cpu",
        "devices": 1,
        "precision": precision,
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
    }
    last = folder / "checkpoints" / "last.ckpt"
    if not last.is_file():
        trainer = Trainer(
            **settings,
            enable_checkpointing=False,
            inference_mode=False,  # the model goes on to be trained
            callbacks=[DeadUnits()],
            plugins=[LightningEnvironment()],  # also where a scheduler started this process
        )
        trainer.validate(model, datamodule=data, verbose=False)
        record.add(trainer, model, {})
    trainer = Trainer(
        **settings,
        max_epochs=epochs,
        callbacks=[DeadUnits(), steps, record, LastCheckpoint(folder)],
        plugins=[AtomicCheckpointIO(), LightningEnvironment()],
    )
    trainer.fit(
        model,
        datamodule=data,
        ckpt_path=last if last.is_file() else None,
        weights_only=True,
    )
    return record.epochs


def table(records: Sequence[dict[str, Any]]) -> str:
    """Lay out a row for every arm and seed."""
    headings = ["training", "seed", "epochs", "collapsed at epoch", "best F1", "last F1"]
    rows = []
    for record in records:
        epochs = record["epochs"]
        collapsed = collapsed_at(epochs)
        dead = epochs[-1]["dead_units"]
        rows.append(
            [
                record["title"],
                str(record["seed"]),
                str(len(epochs) - 1),
                "no" if collapsed is None else str(collapsed),
                f"{max(epoch['mean_f1'] for epoch in epochs):.3f}",
                f"{epochs[-1]['mean_f1']:.3f}",
                *(f"{dead[layer]:.0%}" for layer in LAYERS[:-1]),
            ]
        )
    return markdown_table([*headings, *(f"dead, {layer}" for layer in LAYERS[:-1])], rows)


def read_report(folder: Path, run: str, kind: str) -> list[dict[str, float]]:
    """Read a log of the report, a row for every epoch."""
    with (folder / f"{run}_{kind}_arr.csv").open(newline="") as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]


def draw(records: Sequence[dict[str, Any]], report: Path, picture: Path) -> None:
    """Draw F1, training loss and dead units by epoch: the report's two runs, then the arms.

    The report's curves are cut where the longest of ours ends: they stay flat to their last epoch.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = ("validation F1, as the report's", "training loss", "share of dead units")
    columns: list[tuple[str, list[Curves]]] = []
    for number, run in enumerate(("pong-sup", "pong-sup-run-2"), start=1):
        logs = [read_report(report, run, kind) for kind in ("val_f1", "train_loss")]
        title = f"the report, run {number}\nof {len(logs[0])} epochs"
        columns.append((title, [*({1 + i: row for i, row in enumerate(log)} for log in logs), {}]))
    for record in records:
        epochs = dict(enumerate(record["epochs"]))
        keys = ("report_f1", "train_loss", "dead_units")
        curves = [{i: e[key] for i, e in epochs.items() if e[key]} for key in keys]
        columns.append((record["title"].replace(", ", "\n"), curves))
    figure = Figure(figsize=(2.9 * len(columns), 7.5), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(rows), len(columns), squeeze=False, sharey="row", sharex=True)
    panels[0, 0].set_xlim(0, max([len(record["epochs"]) for record in records], default=20))
    panels[2, 0].set_ylim(-0.03, 1.03)
    for column, (title, curves) in zip(panels.T, columns, strict=True):
        column[0].set_title(title, fontsize=9)
        column[-1].set_xlabel("epoch")
        for axes, by_epoch in zip(column, curves, strict=True):
            axes.grid(alpha=0.3)
            for name in next(iter(by_epoch.values()), {}):
                values = [row[name] for row in by_epoch.values()]
                axes.plot(list(by_epoch), values, label=name, linewidth=1.2)
            if not by_epoch:
                axes.text(0.5, 0.5, "not logged", ha="center", transform=axes.transAxes)
    for axes, name in zip(panels[:, 0], rows, strict=True):
        axes.set_ylabel(name)
    panels[0, 0].legend(fontsize=7)
    panels[2, -1].legend(fontsize=7)
    with atomically(picture) as temporary:
        figure.savefig(temporary, format="png", dpi=110)


def main() -> None:
    parser = script_parser(__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for records and table")
    parser.add_argument("--seeds", default="0,1", help="seeds, separated by commas")
    parser.add_argument("--arms", default=",".join(arm.name for arm in ARMS), help="as above")
    parser.add_argument("--epochs", type=int, default=20, help="epochs of every training")
    parser.add_argument("--steps", type=int, default=50_000, help="frames to collect")
    parser.add_argument("--precision", default="bf16-mixed", help="Lightning's precision")
    parser.add_argument("--root", default="data", help="folder of the collections")
    parser.add_argument("--workers", type=int, help="processes that collect")
    parser.add_argument(
        "--report", type=Path, default=Path("results/report-2019"), help="the report's logs"
    )
    arguments = parser.parse_args()
    ignore_unhelpful_warnings()
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    arms = {arm.name: arm for arm in ARMS}
    chosen = arguments.arms.split(",")
    if unknown := [name for name in chosen if name not in arms]:
        parser.error(f"no arm is named {', '.join(unknown)}: choose from {', '.join(arms)}")
    seeds = [int(word) for word in arguments.seeds.split(",")]
    data_settings = read_preset("challenge")["data"] | {
        "probe_steps": arguments.steps,
        "root": arguments.root,
        "workers": arguments.workers,
    }
    records: list[dict[str, Any]] = []
    for seed in seeds:
        for arm in (arms[name] for name in chosen):
            path = arguments.out / f"{arm.name}-seed{seed}.json"
            unfinished = arguments.out / f"{arm.name}-seed{seed}.unfinished"
            if not path.exists():
                print(f"{arm.title}, seed {seed}", flush=True)
                epochs = train(
                    arm,
                    seed,
                    epochs=arguments.epochs,
                    precision=arguments.precision,
                    folder=unfinished,
                    data_settings=data_settings,
                )
                record = {"arm": arm.name, "title": arm.title, "seed": seed, "epochs": epochs}
                write_record(str(path), record)
                shutil.rmtree(unfinished)
            records.append(json.loads(path.read_text()))
            (arguments.out / "collapse.md").write_text(table(records), "utf-8")
            first = [record for record in records if record["seed"] == seeds[0]]
            draw(first, arguments.report, arguments.out / "collapse.png")
    print(table(records))


if __name__ == "__main__":
    main()
