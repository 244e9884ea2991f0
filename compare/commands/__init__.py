"""From words to a request, and from what came of it to an exit status: click, and nothing else.

Imports any other room; no other room imports it.
"""
