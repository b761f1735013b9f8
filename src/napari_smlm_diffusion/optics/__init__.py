"""From molecules to counts and back: camera, point spread function, likelihood, information."""
