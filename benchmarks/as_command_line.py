"""The environment that the command line gives PyTorch.

PyTorch reads it once, when it is imported and when it first allocates, which importing Lightning
does. So scripts import this module before PyTorch.
"""

from lightning_stdim.torch_environment import set_environment

set_environment()
