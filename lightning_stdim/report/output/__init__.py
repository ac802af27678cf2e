"""The appearance of the report: text, pictures and plots."""
