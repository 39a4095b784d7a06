"""Reports: one page of HTML with everything in it, the same numbers as JSON, figures as files."""
