"""Running compiled programs: one small file a runtime."""

__all__: list[str] = []
