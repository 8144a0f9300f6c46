"""The local AWS: moto for S3, STS, IAM and Logs, with a SageMaker training service in front."""
