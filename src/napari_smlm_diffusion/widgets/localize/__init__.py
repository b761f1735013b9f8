"""The dock that localizes a movie."""
