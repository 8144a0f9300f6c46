"""The local Azure: Entra, Resource Manager, SCM and a function host."""
