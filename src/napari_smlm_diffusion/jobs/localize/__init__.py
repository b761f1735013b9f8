"""Localizing a movie: settings, plan, chunks, what is found, and the record of it."""
