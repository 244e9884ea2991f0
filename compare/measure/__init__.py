"""From a load to its samples: start a server, drive it, once or many times.

Imports `results`, `check`, `contract`, `host` and `models`; the driver is a process of its own.
"""
