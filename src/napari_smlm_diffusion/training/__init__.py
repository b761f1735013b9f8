"""From simulated pairs to weights, as a generator of Progress."""
