"""Asyncio servers good enough to import."""
