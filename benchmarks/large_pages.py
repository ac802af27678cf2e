"""Large pages for PyTorch's memory, as the command line has them.

PyTorch looks once, when it allocates for the first time, which importing Lightning does: so this is
imported before.
"""

import os

os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
