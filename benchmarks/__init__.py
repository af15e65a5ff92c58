"""Figures as ratios against peers, in one table: ``python -m benchmarks``."""
