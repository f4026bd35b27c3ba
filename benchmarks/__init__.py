"""Benchmarks: the figures that the README quotes, as ratios within one run, because machines are noisy."""
