"""Reading, aligning, normalising and colouring RAW captures with numpy and rawpy only."""

__all__: list[str] = []
