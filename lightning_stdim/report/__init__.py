"""What finished runs say, as tables, pictures and words: one game compared, and the report."""
