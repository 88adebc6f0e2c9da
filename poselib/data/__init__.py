"""Datasets: the catalog of names, readers, synthetic scenes, transforms and loaders."""
