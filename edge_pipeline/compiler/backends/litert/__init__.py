"""`.tflite` files for LiteRT with the XNNPACK delegate."""

__all__: list[str] = []
