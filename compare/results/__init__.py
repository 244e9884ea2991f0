"""From samples to answers: records, statistics, verdicts, and where they are kept.

Imports `driver`, `host` and `models`; it measures nothing.
"""
