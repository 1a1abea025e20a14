"""A device end of the ADB protocol on loopback, whose shell runs AArch64 programs.

Real adb clients connect to it as to a phone; docs/decisions/0037-adb-test-bed.md has the reasons.
`fixtures.py` offers it to tests, `python -m tests.adb_bed.prepare` fetches what it needs.
"""

__all__: list[str] = []
