"""The kinds of documents the local Azure keeps; keys are lower-case resource ids unless noted."""

GROUPS = "resource_group"
PROVIDERS = "provider"  # by namespace
ACCOUNTS = "storage_account"
STORAGE_KEYS = "storage_keys"
CONTAINERS = "blob_container"
PLANS = "plan"
SITES = "site"
VOLUMES = "volume"  # by volume name: which deployment of it is active
DEPLOYMENTS = "deployment"  # by volume name and deployment id
ROLE_ASSIGNMENTS = "role_assignment"
OPERATIONS = "operation"  # by a random id
