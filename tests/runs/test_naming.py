import json
import sys
from pathlib import Path

import pytest

from lightning_stdim.errors import ConfigurationError
from lightning_stdim.methods import STDIM, RandomCNN
from lightning_stdim.probes import PaperSettings, Supervised
from lightning_stdim.runs.key import RunKey
from lightning_stdim.runs.naming import (
    make_key,
    make_probe_key,
    method_name,
    probe_folder,
    probe_options,
)
from lightning_stdim.runs.results import write_results

RUN = {"game": "pong", "method": "st-dim", "seed": 2}


@pytest.mark.parametrize(
    ("model", "name"), [(STDIM, "st-dim"), (RandomCNN, "random-cnn"), (Supervised, "supervised")]
)
def test_a_shipped_method_goes_by_its_name(model, name):
    assert method_name(model()) == name


def test_only_a_class_s_own_name_counts(tmp_path, monkeypatch):
    """An extension of ST-DIM is not ST-DIM, and two classes of one last name are two methods."""
    monkeypatch.syspath_prepend(tmp_path)
    for module in ("first", "second"):
        (tmp_path / f"{module}.py").write_text(
            "from lightning_stdim.methods import STDIM\n"
            "class Mine(STDIM):\n    pass\n"
            "class Named(STDIM):\n    name = 'named'\n"
            "class Nameless(STDIM):\n    name = None\n"
        )
        monkeypatch.delitem(sys.modules, module, raising=False)
    import first
    import second

    assert method_name(first.Mine()) == "first.Mine"
    assert method_name(second.Mine()) == "second.Mine"
    assert method_name(first.Named()) == "named"
    assert method_name(first.Nameless()) == "first.Nameless"


def test_a_key_without_a_benchmark():
    assert make_key(**RUN) == RunKey("pong", "st-dim", 2)
    assert make_key(**RUN, variation=[("mode", "12")]).options == (("mode", "12"),)
    mine = make_key(**RUN, variation=[("mode", "12")], variant="wide, slow")
    assert mine.options == (("", "wide, slow"),)
    assert mine.variant == "wide, slow"


def test_a_benchmark_s_key_comes_back():
    source = RunKey("breakout", "st-dim", 2, (("steps", "3000"),))
    key = RunKey("pong", "st-dim", 2, (("hidden", "256"), ("policy", "a,b=c.zip")), source)
    given = {name: key.to_dict()[name] for name in ("options", "source")}
    # What differs in the data is among the benchmark's options, if it is the benchmark's doing.
    assert make_key(**RUN, run_key=json.dumps(given), variation=[("mode", "12")]) == key
    assert make_key(**RUN, run_key='{"options": []}') == RunKey("pong", "st-dim", 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{options}", "is not JSON"),
        ("[]", "it is a list, not an object"),
        ("{}", "it has no 'options'"),
        ('{"options": [], "seed": 3}', "it has 'seed', which no key has"),
        ('{"options": "steps=3"}', "the options of it are not a list"),
        ('{"options": [["steps", 3]]}', r"\['steps', 3\] of it is not a list of two strings"),
        ('{"options": ["ab"]}', "'ab' of it is not a list of two strings"),
        ('{"options": [], "source": {"game": "pong", "method": "x"}}', "source has no 'seed'"),
        (
            '{"options": [], "source": {"game": "pong", "method": 1, "seed": 0}}',
            "method 1 of source is not a string",
        ),
        (
            '{"options": [], "source": {"game": "pong", "method": "x", "seed": true}}',
            "seed True of source is not a whole number",
        ),
    ],
)
def test_a_wrong_key_is_named(text, message):
    with pytest.raises(ConfigurationError, match=message) as caught:
        make_key(**RUN, run_key=text)
    assert "give an object such as" in str(caught.value)


PROBE = {"game": "pong", "seed": 0}
MODE = ("mode", "1")


@pytest.fixture
def finished(tmp_path, monkeypatch, make_result):
    """Make finished runs in a benchmark's directory, as they lie there."""
    monkeypatch.chdir(tmp_path)

    def make(key):
        folder = key.folder(Path("out"))
        for name in ("encoder/config.json", "checkpoints/best.ckpt", "checkpoints/last.ckpt"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).touch()
        about = {"game": key.game, "method": key.method, "seed": key.seed}
        write_results(folder, make_result(**about, key=key.to_dict()))
        return folder

    return make


def test_an_encoder_of_a_run_is_that_run_s(finished, monkeypatch):
    keys = [
        RunKey(game, "st-dim", seed, options)
        for game in ("pong", "boxing")
        for seed in (0, 1)
        for options in ((), (("steps", "3000"),), (MODE,))
    ]
    found = []
    for key in keys:
        folder = finished(key)
        by_folder = make_probe_key(f"{folder}/encoder/", **PROBE)
        assert make_probe_key(str(folder), **PROBE) == by_folder  # the run's directory
        assert make_probe_key(f"{folder}/checkpoints/best.ckpt", **PROBE) == by_folder
        last = make_probe_key(f"{folder}/checkpoints/last.ckpt", **PROBE)  # other weights
        assert last.options[-1] == ("checkpoint", "last")
        assert (by_folder.method, by_folder.source) == ("st-dim", key)
        found += [by_folder, last]
    assert len({key.name for key in found}) == len(found)  # what tables tell runs apart by
    assert len({probe_folder(key) for key in found}) == len(found)
    monkeypatch.chdir(folder)
    assert make_probe_key("encoder", **PROBE).source == key
    monkeypatch.chdir("encoder")
    assert make_probe_key(".", **PROBE).source == key


@pytest.mark.parametrize(
    ("trained", "variation", "probes", "variant"),
    [
        # A run's own probes once more: what the run itself is called.
        ((), (), (), ""),
        ((MODE,), (MODE,), (), "mode=1"),
        ((("steps", "3000"),), (), (), "steps=3000"),
        # Everything else as a benchmark says it.
        ((), (MODE,), (), "probe.mode=1"),
        ((MODE,), (), (), "mode=1,probe.mode=default"),
        ((MODE,), (MODE,), (("hidden", "256"),), "mode=1,probe.mode=1,probe.hidden=256"),
        ((("policy", "x.zip"),), (), (), "policy=x,probe.policy=random"),
        ((("policy", "x.zip"),), (MODE,), (), "policy=x,probe.mode=1,probe.policy=random"),
    ],
)
def test_a_probe_of_a_run_says_what_differs_from_the_run(
    finished, trained, variation, probes, variant
):
    source = RunKey("pong", "st-dim", 0, trained)
    encoder = f"{finished(source)}/encoder"
    key = make_probe_key(encoder, **PROBE, variation=variation, probes=probes)
    assert (key.method, key.variant, key.source) == ("st-dim", variant, source)
    elsewhere = make_probe_key(encoder, game="boxing", seed=0, variation=(MODE,))
    assert elsewhere.options[0] == MODE
    assert "from=pong" in elsewhere.variant


def test_what_the_user_says_of_an_encoder_holds(finished):
    source = RunKey("pong", "st-dim", 0)
    encoder = f"{finished(source)}/encoder"
    assert make_probe_key(encoder, **PROBE, method="mine").method == "mine"
    assert make_probe_key(encoder, **PROBE, variant="in words").variant == "in words"
    given = '{"options": [["hidden", "64"]]}'
    key = make_probe_key(encoder, **PROBE, method="vae", run_key=given, variation=[MODE])
    assert key == RunKey("pong", "vae", 0, (("hidden", "64"),))


@pytest.mark.parametrize(
    ("encoder", "method"),
    [
        ("random", "random-cnn"),
        ("majority", "majority"),
        ("a.x:Make", "a.x.Make"),
        ("a.y:Make", "a.y.Make"),
        ("a:Make", "a.Make"),
        ("files/one.v2.ckpt", "one.v2"),
        ("files/my encoder.v2", "my-encoder.v2"),
        ("files/first/encoder", "first"),
        ("files/second/encoder", "second"),
        ("files/first/checkpoints/best.ckpt", "first"),
        ("out/pong/st-dim/seed0/checkpoints/last.ckpt", "pong-st-dim-seed0"),
        ("out/pong/vae,steps=3000/seed0/checkpoints/last.ckpt", "pong-vae-steps-3000-seed0"),
    ],
)
def test_an_encoder_of_no_finished_run_has_a_name_of_its_own(
    encoder, method, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    if encoder.endswith(".ckpt"):
        Path(encoder).parent.mkdir(parents=True)
        Path(encoder).touch()
    elif "/" in encoder:
        Path(encoder).mkdir(parents=True)
    key = make_probe_key(encoder, **PROBE)
    assert key == RunKey("pong", method, 0)
    assert probe_folder(key) == f"pong-probe-{method}-seed0"


def test_the_default_directory_s_name_is_safe():
    key = RunKey("pong", "a.Mine", 0, (("policy", "a/b:c"), ("", "words, " * 100)))
    name = probe_folder(key)
    assert name.startswith("pong-probe-a.Mine-policy-a-b-c-words-")
    assert name.endswith("-seed0")
    assert len(name) < 255
    assert "/" not in name


def test_probe_options_are_a_benchmark_s():
    usual = PaperSettings()
    assert probe_options(usual, usual) == ()
    assert probe_options(PaperSettings(hidden=256, standardize=True), usual) == (("hidden", "256"),)
    raw = probe_options(PaperSettings(hidden=256, classes="observed"), usual)
    assert set(raw) == {("hidden", "256"), ("standardize", "false"), ("classes", "observed")}
    assert probe_options(PaperSettings(standardize=True), usual) == (("standardize", "true"),)
