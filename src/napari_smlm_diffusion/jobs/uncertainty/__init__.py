"""Samples of the posterior as they arrive, and the variance head's sums."""
