"""The networks: what synthesis runs, where it comes from, and how it is loaded."""
