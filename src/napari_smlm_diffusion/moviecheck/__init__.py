"""What the frames say of camera, PSF, light and density before anything runs."""
