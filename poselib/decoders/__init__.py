"""Decoders: from network outputs to poses."""
