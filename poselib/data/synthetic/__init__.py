"""Synthetic scenes: articulated people rendered from a seed."""
