"""How good a table of localizations is, given the truth: matching, metrics, calibration."""
