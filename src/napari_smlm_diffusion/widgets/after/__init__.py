"""The dock for drift, links and resolution."""
