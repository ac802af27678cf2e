"""Tables as data: what stands in which cell, before anything draws them."""
