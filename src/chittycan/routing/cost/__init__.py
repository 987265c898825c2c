"""Choosing by cost and quality: who can do it well enough for the least money."""
