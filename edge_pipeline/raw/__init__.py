"""RAW captures: read, align, normalise, colour; numpy and rawpy only."""

__all__: list[str] = []
