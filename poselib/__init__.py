"""poselib: multi-person human pose estimation, to run, compare and extend."""

__version__ = "0.1.0"
