"""What is kept of a run: images, the run folder, and the tables of the formats room."""
