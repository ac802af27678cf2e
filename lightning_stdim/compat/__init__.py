"""The interfaces of other packages, implemented with this one."""
