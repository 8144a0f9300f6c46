"""SageMaker training as the graph uses it: the Pipes client and the image to train in."""

import dagster as dg
from dagster_aws.pipes import PipesS3ContextInjector

from mc_assets.resources.artifact_store import CONTEXTS, ArtifactStore
from mc_assets.resources.sagemaker import PipesSageMakerClient

# The newest line whose image is known to hold the classic training toolkit, numpy, onnx and torch.
IMAGE_FRAMEWORK = "pytorch-amzn2023"
IMAGE_VERSION = "2.13"
DEFAULT_IMAGE = f"{IMAGE_FRAMEWORK}:{IMAGE_VERSION}"


class SageMakerTraining(dg.ConfigurableResource):
    """Makes the Pipes client for a run's store and target."""

    store: dg.ResourceDependency[ArtifactStore]
    forward_termination: bool = True
    max_poll_seconds: float = 15.0

    def pipes_client(self) -> PipesSageMakerClient:
        return PipesSageMakerClient(
            context_injector=PipesS3ContextInjector(
                bucket=self.store.bucket,
                client=self.store.client,
                key_prefix=f"{self.store.prefix}/{CONTEXTS}/",
            ),
            forward_termination=self.forward_termination,
            max_poll_seconds=self.max_poll_seconds,
        )

    def image(self, instance_type: str) -> str:
        """AWS's PyTorch training image for the region, from the table in the `sagemaker` package.

        Importing that package takes some seconds, so this is asked only when a job really starts.
        """
        from sagemaker.core import image_uris

        return image_uris.retrieve(
            IMAGE_FRAMEWORK,
            self.store.target.connection.region,
            version=IMAGE_VERSION,
            instance_type=instance_type,
            image_scope="training",
        )
