"""Point spread functions: how the light of one molecule falls on the pixels.

`settings` says which kind a microscope has, without torch; `base` is what every kind can do; one
file holds each kind. A new kind is one new file: its settings join the others by being defined.
"""
