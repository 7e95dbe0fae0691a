"""Scoring whole folders: what to score, a journal that survives a kill, rows, and sorting that can be undone."""
