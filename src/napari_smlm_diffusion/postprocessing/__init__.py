"""What is done with a table after localization: drift, linking, resolution."""
