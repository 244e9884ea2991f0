"""A course from socket() to asyncio: lessons, and what watches who works through them.

A lesson is a folder in `lessons/`; `lesson` reads it, `program` makes what can be run of a
learner's file or of ours.
"""
