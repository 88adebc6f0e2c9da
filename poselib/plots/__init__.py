"""Figures: every function returns a matplotlib Figure and saves nothing.

In all of them ``title`` is the heading of the figure, ``columns`` is the number of panels in a row,
and ``skeleton`` gives names and limbs of the keypoints.
"""
