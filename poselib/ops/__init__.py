"""Pure tensor functions that networks, encoders, losses and decoders share."""
