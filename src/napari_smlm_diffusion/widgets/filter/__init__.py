"""The dock that filters and exports."""
