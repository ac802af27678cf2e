"""How the report looks: text, pictures and plots."""
