"""From a network to an artifact: passes, lowering, backends."""

__all__: list[str] = []
