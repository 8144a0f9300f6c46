"""A Dagster asset graph that trains on Amazon SageMaker, validates ONNX and serves from Azure Functions."""
