"""The report on measurements: a page, CSV and Markdown, made from any number of records."""

__all__: list[str] = []
