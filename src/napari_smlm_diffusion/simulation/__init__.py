"""Movies whose truth is known: where molecules are, when they shine, what the camera sees."""
