"""Tables as data: the content of every cell, before anything draws it."""
