"""Training, prediction, evaluation and checkpoints of any system."""
