"""The command line: one module per verb, which only parses options and prints results."""

__all__: list[str] = []
