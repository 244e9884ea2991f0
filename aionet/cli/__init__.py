"""What only the commands need, `python -m aionet` and `python -m blocking`: nothing to import."""
