"""The catalogue of methods: configurations, classes and documentation say the same, and run."""

import importlib
import re
from pathlib import Path

import pytest
import torch
import yaml

from lightning_stdim import AtariDataModule, methods, probes
from lightning_stdim.catalogue import METHODS, WITH_MODEL, method_named, of_class
from lightning_stdim.cli import main
from lightning_stdim.datamodules.batches import SequenceBatch
from lightning_stdim.errors import ConfigurationError
from lightning_stdim.methods.frozen import FrozenMethod
from lightning_stdim.presets import FOLDER, method_path
from tests.trainers import quiet

DOCS = Path(__file__).parents[1] / "docs"
ROW = re.compile(r"^\| `([\w-]+)` \| \[`(\w+)`\]\((methods/[\w-]+\.md)\) \|", re.MULTILINE)
DOCUMENTED = {
    name: (cls, page) for name, cls, page in ROW.findall((DOCS / "methods.md").read_text())
}


def configured(name):
    return yaml.safe_load(method_path(name).read_text())


def test_the_documentation_lists_what_ships():
    assert set(DOCUMENTED) == set(WITH_MODEL)
    assert set(WITH_MODEL) == {path.stem for path in (FOLDER / "methods").glob("*.yaml")}
    assert set(METHODS) - set(WITH_MODEL) == {"majority"}
    pages = {page for _, page in DOCUMENTED.values()}
    assert pages == {f"methods/{path.name}" for path in (DOCS / "methods").glob("*.md")}


def test_every_class_has_a_configuration():
    used = {configured(name)["model"]["class_path"].rpartition(".")[2] for name in WITH_MODEL}
    assert used == {*methods.__all__, "Supervised"} - {"SSLMethod"}


@pytest.mark.parametrize("name", WITH_MODEL)
def test_a_configuration_names_its_method(name):
    contents = configured(name)
    module, _, cls = contents["model"]["class_path"].rpartition(".")
    found = getattr(importlib.import_module(module), cls)
    assert contents["method_name"] == name
    assert DOCUMENTED[name][0] == cls
    if "init_args" not in contents["model"]:
        assert found.name == name  # what results say without the configuration
    assert cls in (DOCS / DOCUMENTED[name][1]).read_text()


@pytest.mark.parametrize("name", WITH_MODEL)
def test_the_catalogue_says_what_the_classes_are(name):
    entry = METHODS[name]
    assert entry.name == name
    assert configured(name)["model"]["class_path"] == entry.class_path
    cls = getattr(
        probes if "probes" in entry.class_path else methods, entry.class_path.split(".")[-1]
    )
    assert entry.pretrains == (cls.data_stage == "pretrain")
    assert (entry.needs == "labels") == (cls is probes.Supervised)
    assert of_class(entry.class_path).class_path == entry.class_path
    assert of_class(cls.__name__) == of_class(entry.class_path)
    assert entry.trains_nothing == issubclass(cls, FrozenMethod)
    if entry.needs == "nothing":
        torch.manual_seed(0)
        first = cls().encoder.state_dict()
        torch.manual_seed(0)
        assert all(torch.equal(first[key], v) for key, v in cls().encoder.state_dict().items())


def test_what_needs_no_model_or_a_file():
    assert [name for name, one in METHODS.items() if not one.has_model] == ["majority"]
    assert [name for name, one in METHODS.items() if one.needs == "file"] == ["pretrained-agent"]
    frozen = [name for name, one in METHODS.items() if one.trains_nothing]
    assert frozen == ["random-cnn", "pretrained-agent"]
    with pytest.raises(ConfigurationError, match=r"--model\.agent"):
        methods.PretrainedAgent()


def test_a_method_of_the_users_is_called_by_its_name():
    mine = method_named("my_module.MyMethod")
    assert (mine.title, mine.has_model, mine.pretrains) == ("my_module.MyMethod", True, True)
    assert of_class("my_module.STDIM") is None
    assert of_class("MyMethod") is None


def pretraining():
    """Name by name the class and its arguments, where there is a loss over frames."""
    for name in WITH_MODEL:
        settings = configured(name)["model"]
        cls = getattr(methods, settings["class_path"].rpartition(".")[2], None)
        if cls is not None and cls.data_stage == "pretrain":
            yield pytest.param(cls, settings.get("init_args", {}), DOCUMENTED[name][1], id=name)


@pytest.mark.parametrize(("cls", "args", "page"), pretraining())
def test_the_page_names_what_is_logged(cls, args, page):
    method = cls(**args)
    frames = torch.randint(0, 256, (method.sequence_length, 2, 1, 210, 160)).byte()
    terms = method.loss(SequenceBatch(frames, torch.arange(2), frames[0].flip(-1)))
    _, _, section = (DOCS / page).read_text().partition("## Logged\n")
    spans = re.findall(r"`([^`]+)`", section.partition("\n## ")[0])
    assert terms.keys() <= {span.rpartition("/")[2] for span in spans}


@pytest.mark.parametrize("name", [name for name in WITH_MODEL if METHODS[name].needs != "file"])
def test_a_configuration_runs(name, small, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    data = [f"--data.{key}={value}" for key, value in small.items()]
    configs = [f"--config={path}" for path in (FOLDER / "laptop.yaml", method_path(name))]
    run = ["--trainer.fast_dev_run=true", "--trainer.accelerator=cpu", "--out=run"]
    assert main(["fit", *configs, *data, "--data.batch_size=2", *run]) == 0


@pytest.fixture(scope="module")
def agent(tmp_path_factory):
    """The file of a Nature actor."""
    cnn = torch.nn.Sequential(
        *(torch.nn.Conv2d(4, 32, 8), torch.nn.ReLU()),
        *(torch.nn.Conv2d(32, 64, 4), torch.nn.ReLU(), torch.nn.Conv2d(64, 64, 3)),
    )
    features = torch.nn.ModuleDict(
        {"cnn": cnn, "linear": torch.nn.Sequential(torch.nn.Linear(3136, 8))}
    )
    path = tmp_path_factory.mktemp("agent") / "actor.pt"
    actor = {"features_extractor": features, "action_net": torch.nn.Linear(8, 6)}
    torch.save(torch.nn.ModuleDict(actor).state_dict(), path)
    return str(path)


@pytest.mark.parametrize("name", WITH_MODEL)
def test_lightning_s_own_way_of_loading(name, small, agent, tmp_path):
    settings = configured(name)["model"]
    module, _, cls = settings["class_path"].rpartition(".")
    found = getattr(importlib.import_module(module), cls)
    needed = {"agent": agent} if name == "pretrained-agent" else {}
    torch.manual_seed(0)
    model = found(**settings.get("init_args", {}) | needed)
    trainer = quiet(max_steps=1, limit_val_batches=0, num_sanity_val_steps=0)
    trainer.fit(model, datamodule=AtariDataModule("pong", **small, batch_size=4))
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    torch.manual_seed(1)
    loaded = found.load_from_checkpoint(tmp_path / "model.ckpt").eval()
    for key, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], value), key
    frames = torch.randint(0, 256, (2, model.frame_stack, 210, 160)).byte()
    assert torch.equal(loaded(frames), model.eval()(frames))
