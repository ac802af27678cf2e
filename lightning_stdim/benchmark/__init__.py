"""The benchmark: which runs a grid has, and where and in what order they are made.

Nothing in here imports PyTorch: runs are processes of their own.
"""
