"""SageMaker training as the graph uses it: the Pipes client and the image to train in."""

import dagster as dg

from mc_assets.resources.artifact_store import CONTEXTS, ArtifactStore
from mc_assets.resources.sagemaker import PipesSageMakerClient
from mc_assets.training_image import training_image


class SageMakerTraining(dg.ConfigurableResource):
    """Makes the Pipes client for a run's store and target."""

    store: dg.ResourceDependency[ArtifactStore]
    forward_termination: bool = True
    max_poll_seconds: float = 15.0

    def pipes_client(self) -> PipesSageMakerClient:
        # It imports all of dagster-aws's components: 0.8 s for who trains, not for every load.
        from dagster_aws.pipes import PipesS3ContextInjector

        return PipesSageMakerClient(
            context_injector=PipesS3ContextInjector(
                bucket=self.store.bucket,
                client=self.store.client,
                key_prefix=f"{self.store.prefix}/{CONTEXTS}/",
            ),
            forward_termination=self.forward_termination,
            max_poll_seconds=self.max_poll_seconds,
            pages=self.store.target.connection.consoles.of_training,
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
