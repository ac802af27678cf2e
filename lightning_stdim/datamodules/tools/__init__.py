"""Tools that describe, show and export collections."""
