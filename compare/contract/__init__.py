"""What runner and driver, two processes, say to each other: records, and nothing that acts.

Imports no other room.
"""
