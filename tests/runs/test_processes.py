"""Which processes a run is made of, by the options and by what started it."""

from __future__ import annotations

import os

import pytest
from jsonargparse import Namespace
from lightning_fabric.plugins.environments import SLURMEnvironment
from pytorch_lightning.utilities import rank_zero_only

from lightning_stdim.errors import ConfigurationError
from lightning_stdim.runs.processes import cluster_environment
from tests.trainers import quiet

STARTED_BY = {
    "sbatch": {"SLURM_NTASKS": "16", "SLURM_PROCID": "0"},
    "srun": {"SLURM_NTASKS": "4", "SLURM_PROCID": "3", "SLURM_LOCALID": "3", "SLURM_NODEID": "0"},
    "srun on nodes": {
        "SLURM_NTASKS": "4",
        "SLURM_NTASKS_PER_NODE": "2",
        "SLURM_NNODES": "2",
        "SLURM_PROCID": "3",
        "SLURM_LOCALID": "1",
        "SLURM_NODEID": "1",
    },
    "torchrun": {
        "RANK": "3",
        "LOCAL_RANK": "3",
        "GROUP_RANK": "1",
        "WORLD_SIZE": "4",
        "LOCAL_WORLD_SIZE": "4",
        "TORCHELASTIC_RUN_ID": "none",
        "MASTER_ADDR": "elsewhere",
        "MASTER_PORT": "1",
    },
    "mpirun": {"OMPI_COMM_WORLD_RANK": "3", "OMPI_COMM_WORLD_SIZE": "4", "RANK": "3"},
    "jsrun": {
        "LSB_JOBID": "1",
        "LSB_DJOB_RANKFILE": "/dev/null",
        "JSM_NAMESPACE_RANK": "3",
        "JSM_NAMESPACE_LOCAL_RANK": "3",
        "JSM_NAMESPACE_SIZE": "4",
    },
}
ONE = {"devices": 1, "num_nodes": 1, "accelerator": "cpu", "plugins": None, "strategy": "auto"}


@pytest.fixture
def started_by(request, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", os.environ.copy() | STARTED_BY[request.param])
    # What Lightning makes of it when it is imported.
    monkeypatch.setattr(rank_zero_only, "rank", 0 if request.param == "sbatch" else 3)


@pytest.mark.parametrize("strategy", ["auto", "ddp"])
@pytest.mark.parametrize("started_by", STARTED_BY, indirect=True)
def test_a_run_of_one_process_is_rank_0_whatever_started_it(started_by, strategy) -> None:
    environment = cluster_environment(ONE)
    trainer = quiet(plugins=environment, devices=1, strategy=strategy)
    assert (trainer.world_size, trainer.global_rank, trainer.local_rank) == (1, 0, 0)
    assert rank_zero_only.rank == 0
    assert environment is not None
    assert environment.main_address == "127.0.0.1"


@pytest.mark.parametrize("started_by", ["srun"], indirect=True)
@pytest.mark.parametrize("devices", ["1", [0], "0,", "auto", "-1", -1])
def test_one_device_in_other_words(started_by, devices) -> None:
    assert not isinstance(cluster_environment({**ONE, "devices": devices}), SLURMEnvironment)
    assert rank_zero_only.rank == 0


@pytest.mark.parametrize("started_by", ["srun on nodes"], indirect=True)
@pytest.mark.parametrize("size", [{"devices": 4}, {"devices": 2, "num_nodes": 2}])
def test_a_run_of_as_many_processes_as_the_job_has_tasks_takes_part(started_by, size) -> None:
    environment = cluster_environment({**ONE, **size})
    assert isinstance(environment, SLURMEnvironment)
    assert (environment.world_size(), environment.global_rank()) == (4, 3)
    assert not environment.auto_requeue
    assert rank_zero_only.rank == 3


@pytest.mark.parametrize("started_by", ["sbatch"], indirect=True)
def test_lightning_starts_processes_that_are_no_tasks_of_the_job(started_by) -> None:
    environment = cluster_environment({**ONE, "devices": 2})
    assert not isinstance(environment, SLURMEnvironment)
    assert environment is not None
    assert not environment.creates_processes_externally


@pytest.mark.parametrize("started_by", ["srun"], indirect=True)
def test_a_job_that_lightning_cannot_take_part_in(started_by) -> None:
    with pytest.raises(ConfigurationError, match="Use `--ntasks-per-node=4` instead"):
        cluster_environment({**ONE, "devices": 4})


@pytest.mark.parametrize("started_by", ["torchrun"], indirect=True)
@pytest.mark.parametrize("size", [{"devices": 4}, {"num_nodes": 4}, {"devices": "0,1,2,3"}])
def test_processes_of_torchrun_stay_what_they_are(started_by, size) -> None:
    assert cluster_environment({**ONE, **size}) is None
    assert rank_zero_only.rank == 3
    assert os.environ["RANK"] == "3"


@pytest.mark.parametrize("started_by", ["srun"], indirect=True)
@pytest.mark.parametrize("where", ["plugin", "plugins", "strategy"])
def test_an_environment_that_the_options_name_is_used(started_by, where) -> None:
    named = Namespace(class_path="pytorch_lightning.plugins.environments.SLURMEnvironment")
    other = Namespace(class_path="pytorch_lightning.plugins.AsyncCheckpointIO")
    options = {
        "plugin": {"plugins": named},
        "plugins": {"plugins": ["transformer-engine", other, named]},
        "strategy": {
            "strategy": Namespace(
                class_path="pytorch_lightning.strategies.DDPStrategy",
                init_args=Namespace(cluster_environment=named),
            )
        },
    }[where]
    assert cluster_environment(ONE | options) is None
    assert os.environ["SLURM_PROCID"] == "3"
    assert cluster_environment(ONE | {"plugins": [other]}) is not None
