"""A local Azure Functions host: a function app's own code, run in worker processes and served."""

from mc_assets.local_cloud.azure.function_host.host import FunctionHost
from mc_assets.local_cloud.azure.function_host.records import (
    AppContent,
    AppKeys,
    FunctionInfo,
    HostLimits,
    IndexResult,
)

__all__ = ["AppContent", "AppKeys", "FunctionHost", "FunctionInfo", "HostLimits", "IndexResult"]
