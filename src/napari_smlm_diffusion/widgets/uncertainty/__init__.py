"""The dock that samples the frames in view."""
