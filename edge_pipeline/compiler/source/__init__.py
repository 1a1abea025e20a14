"""Source networks: opening and tracing a network, and cutting it into programs."""

__all__: list[str] = []
