"""Other packages' names and conventions, on top of this package."""
