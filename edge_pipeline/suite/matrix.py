"""The file of a suite: a matrix of networks, phi, backends, precisions and devices."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, model_validator

from edge_pipeline.artifact.manifest import WeightsForm
from edge_pipeline.artifact.schema import Precision
from edge_pipeline.device_profile import DEFAULT_TARGET
from edge_pipeline.errors import InputError, first_fault
from edge_pipeline.harness.bench import Settings
from edge_pipeline.harness.devices.base import Placement
from edge_pipeline.harness.gate import Gate
from edge_pipeline.harness.protocol import Plan
from edge_pipeline.optional import require
from edge_pipeline.registry import BACKENDS

__all__ = ["Case", "Network", "Suite", "load_suite"]

_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Network(_Section):
    """A network of the suite: an artifact that exists, or a source to compile.

    Attributes:
        name: Name in the results.
        artifact: Folder of an artifact, which is measured as it is.
        source: Checkpoint, registered name, or `package.module:factory`, as for `compile`.
        options: Options of a registered network.
        filters: Deployment form.
        size: Height and width of the input.
        phi: Values of phi for this network, instead of those of the suite.
    """

    name: str = Field(pattern=_NAME)
    artifact: Path | None = None
    source: str | None = None
    options: dict[str, str | int | float | bool] = Field(default_factory=dict)
    filters: WeightsForm = "dynamic"
    size: tuple[PositiveInt, PositiveInt] | None = None
    phi: tuple[float, ...] | None = None

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.artifact is None) == (self.source is None):
            raise ValueError(f"{self.name} must have either an artifact or a source")
        return self


class Protocol(_Section):
    """How everything is measured; the fields are the options of `bench`."""

    runs: int = 50
    seconds: float = 5.0
    warmup: int = 10
    sustained_minutes: float = 0.0
    threads: int = 1
    cores: str | None = None
    max_temperature: float | None = None
    min_battery: float = 20.0
    throttled: Literal["mark", "refuse"] = "mark"

    def settings(self) -> Settings:
        """Return the settings of the harness.

        Raises:
            InputError: If a value is out of its range.
        """
        return Settings(
            plan=Plan(self.runs, self.seconds, self.warmup, 60 * self.sustained_minutes),
            gate=Gate(self.max_temperature, self.min_battery, throttled=self.throttled),
            placement=Placement(self.threads, self.cores),
        )


@dataclass(frozen=True)
class Case:
    """One artifact of the suite.

    Attributes:
        name: Name of the artifact's folder.
        network: The network.
        backend: Name of the backend; empty for an artifact that exists.
        precision: Precision of weights and arithmetic.
        phi: Value of phi; None for a network without it.
    """

    name: str
    network: Network
    backend: str = ""
    precision: Precision = "fp32"
    phi: float | None = None


class Suite(_Section):
    """Content of a suite's file.

    Attributes:
        networks: The networks.
        phi: Values of phi for networks that have it; a network without it has its own empty list.
        backends: Backends for networks that are compiled.
        precisions: Precisions for networks that are compiled.
        devices: Names of devices.
        target: Profile whose costs the compiler uses.
        protocol: How everything is measured.
    """

    networks: tuple[Network, ...] = Field(min_length=1)
    phi: tuple[float, ...] = ()
    backends: tuple[str, ...] = ("onnx",)
    precisions: tuple[Precision, ...] = ("fp32",)
    devices: tuple[str, ...] = Field(default=("host",), min_length=1)
    target: str = DEFAULT_TARGET
    protocol: Protocol = Protocol()

    @model_validator(mode="after")
    def _no_duplicates(self) -> Self:
        for kind, names in (
            ("network", [network.name for network in self.networks]),
            ("device", list(self.devices)),
            ("backend", list(self.backends)),
        ):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"the {kind} {twice[0]} occurs twice")
        return self

    def cases(self) -> Iterator[Case]:
        """Yield the artifacts of the suite, those of one network after another."""
        for network in self.networks:
            if network.artifact is not None:
                yield Case(network.name, network)
                continue
            phis: tuple[float | None, ...] = self.phi if network.phi is None else network.phi
            for phi, backend, precision in itertools.product(
                phis or (None,), self.backends, self.precisions
            ):
                parts = [network.name, backend, precision]
                parts += [] if phi is None else [f"phi-{phi:g}"]
                yield Case("-".join(parts), network, backend, precision, phi)


def load_suite(path: Path) -> Suite:
    """Read and check the file of a suite; paths in it are relative to its folder.

    Raises:
        InputError: If the file cannot be read, or if a field, which the message names, is invalid.
        MissingExtraError: If PyYAML is not installed.
    """
    yaml = require("yaml", "devices", "reading a suite")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        suite = Suite.model_validate(content)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not text in UTF-8; a suite is a YAML file") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" from line {mark.line + 1}" if mark else ""
        raise InputError(f"{path} is not YAML{where}; correct its syntax") from error
    except ValidationError as error:
        raise InputError(f"{path}: {': '.join(first_fault(error, 'the suite'))}") from error
    for backend in suite.backends:
        BACKENDS.load(backend)
    suite.protocol.settings()
    networks = tuple(_beside(network, path.parent) for network in suite.networks)
    beside = path.parent / suite.target
    target = str(beside) if suite.target.endswith(".toml") else suite.target
    return suite.model_copy(update={"networks": networks, "target": target})


def _beside(network: Network, folder: Path) -> Network:
    """Return a network whose paths are relative to the working directory."""
    update: dict[str, object] = {}
    if network.artifact is not None:
        update["artifact"] = folder / network.artifact
    if network.source is not None and (folder / network.source).is_file():
        update["source"] = str(folder / network.source)
    return network.model_copy(update=update)
