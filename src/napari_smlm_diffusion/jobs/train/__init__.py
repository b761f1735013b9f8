"""A training in the user's folder, and settings for it from a movie."""
