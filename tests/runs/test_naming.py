import json
import sys

import pytest

from lightning_stdim.errors import ConfigurationError
from lightning_stdim.methods import STDIM, RandomCNN
from lightning_stdim.probes import Supervised
from lightning_stdim.runs.key import RunKey
from lightning_stdim.runs.naming import make_key, method_name

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
