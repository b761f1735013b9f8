"""What a movie says of its molecules: its own prior, and draws from the posterior of each frame."""
