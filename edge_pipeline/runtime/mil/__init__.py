"""An evaluator of Core ML programs, for systems without Core ML."""

__all__: list[str] = []
