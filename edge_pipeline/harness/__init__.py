"""The harness, which measures artifacts on devices."""

__all__: list[str] = []
