"""Names of the presets, apart from their settings: a command checks one without loading torch."""

PRESETS = ("smoke", "demo", "small", "paper")
