"""What is compared: models, workloads, servers of the user's own, and the Pythons that run them.

Imports no other room.
"""
