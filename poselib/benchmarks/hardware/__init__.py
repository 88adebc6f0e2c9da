"""What a machine, and its GPU if it has one, makes of every system: one command, one figure."""
