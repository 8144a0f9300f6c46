"""A Dagster asset graph: train on Amazon SageMaker, validate ONNX, serve from Azure Functions."""
