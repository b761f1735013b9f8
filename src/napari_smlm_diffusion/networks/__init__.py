"""The networks; the file that keeps weights and card; the models that are at hand by name."""
