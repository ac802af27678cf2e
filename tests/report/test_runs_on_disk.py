"""Which runs a report reads, and which it refuses to take for two."""

from __future__ import annotations

from pathlib import Path

import pytest

from lightning_stdim.errors import ConfigurationError
from lightning_stdim.report.names import Entry
from lightning_stdim.report.runs_on_disk import collected_by, read_record
from lightning_stdim.runs.key import RunKey
from lightning_stdim.runs.results import write_results

RESULTS = Path(__file__).parents[2] / "results"


def with_key(make_result, method: str = "st-dim", options=(), seed: int = 0, **changes):
    key = RunKey("pong", method, seed, options)
    return make_result(method, seed, variant=key.variant, key=key.to_dict(), **changes)


def test_two_records_of_one_run_are_refused(tmp_path: Path, make_result) -> None:
    write_results(tmp_path / "st-dim" / "seed0", make_result())
    write_results(tmp_path / "better" / "seed0", make_result(values=(0.9, 0.9, 0.9)))
    with pytest.raises(ConfigurationError) as refused:
        read_record(tmp_path)
    assert str(tmp_path / "st-dim" / "seed0") in str(refused.value)
    assert str(tmp_path / "better" / "seed0") in str(refused.value)
    assert "pong st-dim seed 0" in str(refused.value)


@pytest.mark.parametrize(
    "options",
    [
        ((("policy", "b/ppo.zip"),), (("policy", "a/ppo.zip"),)),  # one column of a table
        ((("steps", "3000"),), (("steps", "3000"),)),
    ],
)
def test_what_a_table_cannot_tell_apart_is_refused(tmp_path: Path, make_result, options) -> None:
    for k, option in enumerate(options):
        write_results(tmp_path / str(k), with_key(make_result, options=option))
    with pytest.raises(ConfigurationError, match="two seeds"):
        read_record(tmp_path)


def test_a_record_with_a_key_is_the_run_of_one_without(tmp_path: Path, make_result) -> None:
    write_results(tmp_path / "old", make_result(variant="steps=3000"))
    write_results(tmp_path / "new", with_key(make_result, options=(("steps", "3000"),)))
    with pytest.raises(ConfigurationError, match="two seeds"):
        read_record(tmp_path)


def test_runs_that_differ_are_read(tmp_path: Path, make_result) -> None:
    labelled = make_result()
    labelled["scores"]["label_set"] = "upstream"  # for --mixed_label_sets to allow or refuse
    runs = [
        make_result(),
        labelled,
        make_result(seed=1),
        make_result(game="boxing"),
        make_result("a.Mine"),
        make_result("b.Mine"),
        with_key(make_result, options=(("steps", "3000"),)),
        with_key(make_result, options=(("mode", "1"),)),
    ]
    for k, run in enumerate(runs):
        write_results(tmp_path / str(k), run)
    assert len(read_record(tmp_path).runs) == len(runs)


def test_a_key_counts_and_not_the_words_beside_it(tmp_path: Path, make_result) -> None:
    run = with_key(make_result, options=(("policy", "agents/ppo.zip"),))
    write_results(tmp_path, run | {"variant": "in other words"})
    (found,) = read_record(tmp_path).runs
    assert found.entry == Entry("st-dim", "policy=ppo")


def directories() -> list[Path]:
    return sorted({path.parent for path in RESULTS.rglob("benchmark.json")})


@pytest.mark.parametrize("folder", directories(), ids=lambda path: str(path.relative_to(RESULTS)))
def test_every_benchmark_of_ours_can_be_read(folder: Path) -> None:
    record = read_record(folder)
    names = {(run.key.game, run.key.name, run.key.seed) for run in record.runs}
    assert len(names) == len(record.runs)
    for run in record.runs:  # where a benchmark looks for it
        assert run.folder == run.key.folder(folder)


def test_several_benchmarks_together_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="one benchmark at a time"):
        read_record(RESULTS)


@pytest.mark.parametrize(
    ("collection", "agent"),
    [
        ({}, "random"),
        ({"policy": "random"}, "random"),
        ({"policy": "sticky-random"}, "random"),
        ({"policy": "module:play"}, "random"),
        ({"policy": "ppo.zip", "epsilon": 0.2}, "ppo"),
        ({"policy": "agent.safetensors"}, "ppo"),
    ],
)
def test_who_collected_the_frames(make_result, collection, agent: str) -> None:
    run = make_result()
    run["scores"]["provenance"] = {"collection": collection}
    assert collected_by(run) == agent
