"""The machine that computes: device, memory, tiles, worker processes."""
