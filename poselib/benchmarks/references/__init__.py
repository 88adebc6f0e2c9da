"""Plain implementations with loops, like the published code; references of tests, too."""
