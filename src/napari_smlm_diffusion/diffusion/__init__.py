"""Guided diffusion: noise schedules, the one denoiser interface, samplers as pure functions."""
