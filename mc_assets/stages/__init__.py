"""The assets of the graph and their checks, one module per asset."""
