"""Does the instrument find what was planted?

Imports `measure` and what that imports.
"""
