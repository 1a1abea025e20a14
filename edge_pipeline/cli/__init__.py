"""The command line: one file a verb, no logic of its own."""

__all__: list[str] = []
