"""The environment that the command line gives PyTorch.

PyTorch looks once, when it is imported and when it allocates for the first time, which importing
Lightning does: so this is imported before.
"""

from lightning_stdim.torch_environment import set_environment

set_environment()
