"""Azure Resource Manager: one module per kind of resource, each ending in its route table."""
