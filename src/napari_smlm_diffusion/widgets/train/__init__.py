"""The dock that simulates frames like the user's and trains on them."""
