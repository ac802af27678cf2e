"""The report and the comparison of each game: tables, pictures and text from finished runs."""
