"""Runs, sweeps, ablation studies and the execution of notebooks."""
