"""Playing games and recording them into one file."""
