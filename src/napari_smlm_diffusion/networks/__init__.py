"""The networks, and the checkpoint that keeps weights and model card in one safe file."""
