"""Metrics: AP, PCK, localization and association errors, oracle search and diagnosis."""
