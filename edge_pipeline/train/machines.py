"""The machines of a training: the accelerator, the devices of a machine, and the nodes."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch
from lightning_fabric import Fabric

from edge_pipeline.errors import InputError

__all__ = ["Machines", "open_fabric"]


@dataclass(frozen=True)
class Machines:
    """The machines that a training runs on.

    Attributes:
        accelerator: `cpu`, `cuda` or `auto`.
        devices: Number of processes of a machine, each with its own device.
        nodes: Number of machines. On several machines, the command is started once on each of them
            with the environment variables of `torchrun`, or by SLURM.
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
        return all(os.environ.get(name, "0") == "0" for name in ("LOCAL_RANK", "NODE_RANK"))

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
        if self.accelerator == "cuda" and self.devices > found:
            raise InputError(f"{self.devices} devices are requested and torch finds {found} here")
        if batch % self.processes:
            raise InputError(
                f"a batch of {batch} samples cannot be divided among {self.processes} processes; "
                "change optimiser.batch, --devices or --nodes"
            )


def open_fabric(machines: Machines, precision: str) -> Fabric:
    """Return the Fabric of a training; with several processes, all of them return here.

    Args:
        machines: The machines.
        precision: Precision of operators, see `recipe.Optimiser`.
    """
    fabric = Fabric(
        accelerator=machines.accelerator,
        devices=machines.devices,
        num_nodes=machines.nodes,
        strategy="ddp" if machines.processes > 1 else "auto",
        precision=precision,  # type: ignore[arg-type]
    )
    if machines.processes > 1:
        fabric.launch()
    return fabric
