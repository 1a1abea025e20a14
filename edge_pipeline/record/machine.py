"""Schema of the machine that was measured, its sensors and its check of the outputs."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from edge_pipeline.record.schema import Schema

__all__ = ["Environment", "Peaks", "Sensors", "Verification"]


class Environment(Schema):
    """The machine and its settings; None for a value that the system does not report.

    Attributes:
        system_name: Maker and model of the machine, such as `Google Pixel 8`; the name of the
            processor if the machine has no name.
        host_processor_model_name: Name of the processor or of the system on a chip.
        host_processor_core_count: Number of logical processors.
        host_memory_bytes: Main memory in bytes.
        operating_system: Name and version of the operating system, and the architecture.
        accelerator_model_name: Name of the GPU or the like that computed; None for the processor.
        pinned_cpus: Processors on which the program ran; None if it was not pinned.
        governor: Frequency governors of these processors.
        turbo: Whether the clock may exceed its nominal rate.
        load_average_1min: Load of the machine before the measurement.

    Source: The names with `host`, `accelerator`, `system` and `operating` are those of MLPerf
        Inference's system descriptions; there, the memory is a text without a fixed unit.
    """

    system_name: str
    host_processor_model_name: str
    host_processor_core_count: PositiveInt
    host_memory_bytes: PositiveInt
    operating_system: str
    accelerator_model_name: str | None = None
    pinned_cpus: tuple[NonNegativeInt, ...] | None = None
    governor: str | None = None
    turbo: bool | None = None
    load_average_1min: float | None = None


class Peaks(Schema):
    """Peak speed of a device, from its profile.

    Attributes:
        gflops: Fastest arithmetic in fp32, in 1e9 operations per second; a multiplication and an
            addition count as two operations.
        copy_gb_s: Copied bytes per second, in 1e9; each byte is read and written.
        how: How it was measured.
    """

    gflops: PositiveFloat
    copy_gb_s: PositiveFloat
    how: str


class Sensors(Schema):
    """Readings of a device at one time; empty or None for a sensor that cannot be read.

    Attributes:
        temperatures_c: Temperature of each thermal zone in degrees Celsius, by name.
        battery_percent: Charge of the battery.
        charging: Whether the battery is charging.
        thermal_status: Severity of throttling in Android's words: `none`, `light`, `moderate`,
            `severe`, `critical`, `emergency` or `shutdown`.
        throttled: Whether the device lowers its clock rates because of its temperature.
        clocks_mhz: Clock rate of each processor in MHz.
        power_w: Power drawn from the battery in watts.
    """

    temperatures_c: dict[str, float] = Field(default_factory=dict)
    battery_percent: float | None = None
    charging: bool | None = None
    thermal_status: str | None = None
    throttled: bool | None = None
    clocks_mhz: dict[NonNegativeInt, float] = Field(default_factory=dict)
    power_w: float | None = None

    @property
    def hottest_c(self) -> float | None:
        """Highest temperature; None if no temperature can be read."""
        return max(self.temperatures_c.values(), default=None)


class Verification(Schema):
    """Comparison of a program's outputs on the device with the artifact's reference outputs.

    Attributes:
        result: `passed`, `failed`, or `not_run` if the runner returns no outputs, or the artifact's
            reference is not eager's.
        max_abs: Largest absolute difference over all outputs; None if not run.
        max_rel: Largest difference divided by the reference's largest magnitude; None if not run.
        psnr_db: Lowest PSNR of an output in dB; None if not run, or if nothing differs.
        complaint: Clause that names the exceeded limit; None if none is exceeded.
    """

    result: Literal["passed", "failed", "not_run"]
    max_abs: float | None = None
    max_rel: float | None = None
    psnr_db: float | None = None
    complaint: str | None = None
