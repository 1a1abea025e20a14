"""Pages and tables of measurement records."""

__all__: list[str] = []
