"""Local clouds that speak the protocols of AWS and Azure and really train, build and serve."""
