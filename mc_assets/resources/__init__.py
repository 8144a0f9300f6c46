"""Thin Dagster resources over the AWS, Azure and HTTP clients."""
