"""A comparison as a table, as Markdown, as JSON and as a page."""
