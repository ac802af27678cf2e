"""The comparison of one game, and the report: tables, pictures and text from finished runs."""
