"""Benchmarks: each script measures one claim and prints a table of docs/."""
