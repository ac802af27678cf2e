"""The benchmark: the runs of a grid, and where and in which order they are executed.

No module here imports PyTorch: runs are processes of their own.
"""
