"""Calibrating a model by simulation, and what its card says of that."""
