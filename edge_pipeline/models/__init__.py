"""The networks of the papers, one file each."""

__all__: list[str] = []
