"""The stages of a training, one file for each and named as it; a new stage is a new file here."""
