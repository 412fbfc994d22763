"""`report.html`: one file to share, for a job or a sweep, that needs nothing beside it."""
