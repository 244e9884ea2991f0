"""Servers that are only there to be compared with, each one self-contained."""
