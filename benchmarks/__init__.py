"""One script a claim; each prints the table that docs/ shows."""
