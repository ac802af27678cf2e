"""What collections hold, shown and exported."""
