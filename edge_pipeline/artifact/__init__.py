"""The artifact: the one thing that crosses from the training side to the device side."""

__all__: list[str] = []
