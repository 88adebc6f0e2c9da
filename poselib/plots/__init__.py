"""Figures: every function returns a matplotlib Figure and saves nothing."""
