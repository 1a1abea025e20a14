"""Verification, agreement between runtimes, and respecialisation of artifacts."""

__all__: list[str] = []
