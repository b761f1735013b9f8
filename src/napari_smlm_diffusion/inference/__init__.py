"""From effective photons to a density, its variance, and rows with an uncertainty."""
