"""Timings of all parts beside plain implementations of the same work."""
