"""`.mlpackage` files for Core ML."""

__all__: list[str] = []
