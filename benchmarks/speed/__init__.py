"""The comparison with the walkthrough: one module per thing compared, and the report."""
