"""Reversible-jump chains over whole frames: draws of all molecules from their posterior."""
