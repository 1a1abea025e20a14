"""ONNX models for ONNX Runtime."""

__all__: list[str] = []
