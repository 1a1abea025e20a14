"""The runtimes that run compiled programs, one module for each."""

__all__: list[str] = []
