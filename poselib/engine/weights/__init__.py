"""Published weights: downloaded, verified, recognized and loaded by name."""
