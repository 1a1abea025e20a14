"""Pages and tables made from measurement records."""

__all__: list[str] = []
