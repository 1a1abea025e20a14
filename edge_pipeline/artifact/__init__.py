"""The artifact: the folder that the compiler writes and that devices read."""

__all__: list[str] = []
