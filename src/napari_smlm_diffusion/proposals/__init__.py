"""Localizers: what proposes molecules for a frame."""
