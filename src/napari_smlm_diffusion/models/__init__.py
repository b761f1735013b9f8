"""What a model is: its card, its file, and the models at hand."""
