"""SageMaker training as the graph uses it: the Pipes client and the image to train in."""

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
from dagster_pipes import PipesContextData, PipesParams

from mc_assets.resources.artifact_store import CONTEXTS, ArtifactStore
from mc_assets.resources.aws_failures import aws_failures_named
from mc_assets.resources.sagemaker import PipesSageMakerClient
from mc_assets.training_image import training_image


class S3ContextInjector(dg.PipesContextInjector):
    """Leaves the step's context in S3, where `dagster_pipes.PipesS3ContextLoader` finds it.

    It stays where the step fails or is interrupted: the job may go on and read it.
    """

    def __init__(self, store: ArtifactStore) -> None:
        self._store = store

    @contextmanager
    def inject_context(self, context_data: PipesContextData) -> Iterator[PipesParams]:
        bucket, prefix = self._store.bucket, self._store.prefix
        place = {
            "Bucket": bucket,
            "Key": f"{prefix}/{CONTEXTS}/{secrets.token_hex(16)}/context.json",
        }
        with aws_failures_named("the step's context for the training script"):
            self._store.client.put_object(**place, Body=json.dumps(context_data).encode())
        yield {"bucket": bucket, "key": place["Key"]}
        with aws_failures_named("the end of the training script's context"):
            self._store.client.delete_object(**place)

    def no_messages_debug_text(self) -> str:
        return "Left the context in S3, for dagster_pipes.PipesS3ContextLoader."


class SageMakerTraining(dg.ConfigurableResource):
    """Makes the Pipes client for a run's store and target."""

    store: dg.ResourceDependency[ArtifactStore]
    forward_termination: bool = True
    max_poll_seconds: float = 15.0

    def pipes_client(self) -> PipesSageMakerClient:
        return PipesSageMakerClient(
            context_injector=S3ContextInjector(self.store),
            forward_termination=self.forward_termination,
            max_poll_seconds=self.max_poll_seconds,
        )

    def image(self, instance_type: str) -> str:
        """AWS's PyTorch training image for the region.

        Raises:
            dagster.Failure: AWS has none there, or none for such an instance.
        """
        try:
            return training_image(self.store.target.connection.region, instance_type)
        except ValueError as error:
            raise dg.Failure(str(error), allow_retries=False) from error
