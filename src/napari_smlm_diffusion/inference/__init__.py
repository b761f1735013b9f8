"""From effective photons to a density, its variance, and localizations with an uncertainty."""
