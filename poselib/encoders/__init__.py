"""Encoders: from annotated people to dense targets; the inverse of decoders."""
