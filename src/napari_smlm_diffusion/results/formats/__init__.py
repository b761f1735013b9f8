"""Other people's files, one module a format; conventions are converted here and nowhere else."""
