"""From samples to answers: records, statistics, verdicts, and where they are kept.

Imports `contract`, `host` and `models`; it measures nothing.
"""
