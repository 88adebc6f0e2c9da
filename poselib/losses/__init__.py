"""Losses: heatmap, associative, offset and local-global."""
