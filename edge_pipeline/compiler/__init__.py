"""The compiler, from a network to an artifact: passes, lowerings and backends."""

__all__: list[str] = []
