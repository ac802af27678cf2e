"""The benchmark: a grid of runs, their results files, and the comparison with published tables.

Nothing in here imports PyTorch: runs are processes of their own.
"""
