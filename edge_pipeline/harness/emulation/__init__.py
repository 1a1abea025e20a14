"""An AArch64 machine that QEMU emulates on this one: its preparation, and its instructions."""

__all__: list[str] = []
