"""What the LiteRT backend consists of: writing, placing on the delegate, quantising."""

__all__: list[str] = []
