"""The machines of a training: the accelerator, the devices of a machine, and the nodes."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from edge_pipeline.errors import InputError, JobError

__all__ = ["Machines", "open_fabric"]

# The variables with which nodes find each other, unless torchrun or SLURM starts the processes.
_ADDRESS = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK")


@dataclass(frozen=True)
class Machines:
    """The machines that a training runs on.

    Attributes:
        accelerator: `cpu`, `cuda` or `auto`.
        devices: Number of processes of a machine, each with its own device. If neither torchrun nor
            SLURM starts them, the first process starts the program again for each of the others.
        nodes: Number of machines. On several machines, there are three ways to start the program:
            once on each machine with the environment variables MASTER_ADDR and MASTER_PORT (address
            and free port of the first machine) and NODE_RANK (0, 1, ...); with `torchrun`, which
            starts one process for each device; or with SLURM's `srun`.
    """

    accelerator: str = "auto"
    devices: int = 1
    nodes: int = 1

    @property
    def processes(self) -> int:
        """Number of all processes."""
        return self.devices * self.nodes

    @property
    def is_first(self) -> bool:
        """Whether this process is, or will start, the first process."""
        ranks = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")
        return self.processes == 1 or all(os.environ.get(name, "0") == "0" for name in ranks)

    def check(self, batch: int) -> None:
        """Check that the accelerator exists and that a batch can be divided.

        Args:
            batch: Samples per step.

        Raises:
            InputError: If this is not so.
        """
        found = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if self.accelerator == "cuda" and not found:
            raise InputError("torch finds no CUDA device here; give --accelerator cpu")
        if self.accelerator != "cpu" and found and self.devices > found:
            raise InputError(
                f"{self.devices} devices are requested and torch finds {found} here; give at most "
                f"--devices {found}, or --accelerator cpu"
            )
        if batch % self.processes:
            raise InputError(
                f"a batch of {batch} samples cannot be divided among {self.processes} processes; "
                "change optimiser.batch, --devices or --nodes"
            )
        self._check_environment()

    def check_network(self, name: str, network: nn.Module) -> None:
        """Check that the losses of a network do not depend on the number of processes.

        Args:
            name: Name of the network, for the message.
            network: The network.

        Raises:
            InputError: If several processes would train batch normalisation, each with the
                statistics of its own part of a batch.
        """
        if self.processes > 1 and any(isinstance(layer, _BatchNorm) for layer in network.modules()):
            raise InputError(
                f"{name} has batch normalisation, whose statistics each of the {self.processes} "
                "processes would compute from its own part of a batch; train it in one process"
            )

    def _check_environment(self) -> None:
        """Check the environment variables by which the processes find each other."""
        if torch.distributed.is_torchelastic_launched():
            started = int(os.environ["WORLD_SIZE"])
            if started != self.processes:
                raise InputError(
                    f"torchrun started {started} processes, and {self.devices} devices on "
                    f"{self.nodes} nodes are requested; give --devices and --nodes as to torchrun"
                )
            return
        if self.nodes == 1 or SLURMEnvironment.detect():
            return
        missing = [name for name in _ADDRESS if name not in os.environ]
        if missing:
            raise InputError(
                f"--nodes {self.nodes} requires the environment variable {missing[0]}; set "
                f"{', '.join(_ADDRESS)}, or start the command with torchrun or srun"
            )
        rank, port = os.environ["NODE_RANK"], os.environ["MASTER_PORT"]
        if rank not in map(str, range(self.nodes)):
            raise InputError(
                f"NODE_RANK is {rank!r}; it must be a number from 0 to {self.nodes - 1}"
            )
        if not (port.isascii() and port.isdigit() and 0 < int(port) < 1 << 16):
            raise InputError(f"MASTER_PORT is {port!r}; it must be a number from 1 to 65535")


def open_fabric(machines: Machines, precision: str) -> Fabric:
    """Return the Fabric of a training; with several processes, all of them return here.

    Args:
        machines: The machines.
        precision: Precision of operators, see `recipe.Optimiser`.

    Raises:
        JobError: If the processes cannot connect.
    """
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # announces each process
    several = machines.processes > 1
    accelerator = machines.accelerator
    if several and accelerator == "auto" and not torch.cuda.is_available():
        accelerator = "cpu"  # Metal has no exchange between processes
    fabric = Fabric(
        accelerator=accelerator,
        devices=machines.devices,
        num_nodes=machines.nodes,
        strategy="ddp" if several else "auto",
        precision=precision,  # type: ignore[arg-type]
    )
    if several:
        try:
            fabric.launch()
        except RuntimeError as error:
            raise JobError(
                f"the {machines.processes} processes of the training cannot connect; check "
                "MASTER_ADDR, that MASTER_PORT is free, and that all of them are started"
            ) from error
    return fabric
