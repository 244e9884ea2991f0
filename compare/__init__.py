"""The instrument: starts servers as processes, drives them, measures what they cost."""
