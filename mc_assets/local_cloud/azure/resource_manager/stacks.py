"""What Microsoft.Web offers: regions, and the Python versions an app may ask for."""

from starlette.requests import Request
from starlette.responses import Response

from mc_assets.local_cloud.azure.resource_manager.arm import (
    SUBSCRIPTION,
    ArmRoute,
    cloud_of,
    collection,
)
from mc_assets.local_cloud.azure.resource_manager.locations import short_names
from mc_assets.local_cloud.store import Document

# Each with the end of its life, by which tools choose the newest and refuse what is over; source:
# the release calendar of Python. 3.9 has none, though over, because the walkthrough asks for it:
# which interpreter really runs is said in the build log.
PYTHON_VERSIONS = {
    "3.9": None,
    "3.10": "2026-10-31T00:00:00Z",
    "3.11": "2027-10-31T00:00:00Z",
    "3.12": "2028-10-31T00:00:00Z",
    "3.13": "2029-10-31T00:00:00Z",
    "3.14": "2030-10-31T00:00:00Z",
}
DEFAULT_VERSION = "3.12"


async def list_geo_regions(request: Request) -> Response:
    base = f"/subscriptions/{cloud_of(request).credentials.subscription_id}"
    domain = "PUBLIC;DYNAMIC;LINUX;LINUXDYNAMIC;FLEXCONSUMPTION;ELASTICLINUX"
    return collection(
        {
            "id": f"{base}/providers/Microsoft.Web/geoRegions/{name}",
            "name": name,
            "type": "Microsoft.Web/geoRegions",
            "properties": {
                "name": name,
                "displayName": name,
                "description": "",
                "orgDomain": domain,
            },
        }
        for name in short_names().values()
    )


async def list_function_app_stacks(_: Request) -> Response:
    return collection(
        [
            {
                "id": "/providers/Microsoft.Web/functionAppStacks/python",
                "name": "python",
                "type": "Microsoft.Web/functionAppStacks",
                "properties": {
                    "displayText": "Python",
                    "value": "python",
                    "preferredOs": "linux",
                    "majorVersions": [
                        {
                            "displayText": "Python 3",
                            "value": "3",
                            "minorVersions": [_minor(version) for version in PYTHON_VERSIONS],
                        }
                    ],
                },
            }
        ]
    )


def _minor(version: str) -> Document:
    return {
        "displayText": f"Python {version}",
        "value": version,
        "stackSettings": {
            "linuxRuntimeSettings": {
                "runtimeVersion": f"Python|{version}",
                "isHidden": False,
                "isDeprecated": False,
                "isPreview": False,
                "isDefault": version == DEFAULT_VERSION,
                "remoteDebuggingSupported": False,
                "appInsightsSettings": {"isSupported": True},
                "gitHubActionSettings": {"isSupported": True, "supportedVersion": version},
                "appSettingsDictionary": {"FUNCTIONS_WORKER_RUNTIME": "python"},
                "siteConfigPropertiesDictionary": {
                    "use32BitWorkerProcess": False,
                    "linuxFxVersion": f"Python|{version}",
                },
                "supportedFunctionsExtensionVersions": ["~4"],
                "endOfLifeDate": PYTHON_VERSIONS[version],
                "Sku": [_flex_sku(version)],
            }
        },
    }


def _flex_sku(version: str) -> Document:
    return {
        "skuCode": "FC1",
        "instanceMemoryMB": [
            {"size": 512, "isDefault": False},
            {"size": 2048, "isDefault": True},
            {"size": 4096, "isDefault": False},
        ],
        "maximumInstanceCount": {
            "lowestMaximumInstanceCount": 40,
            "highestMaximumInstanceCount": 1000,
            "defaultValue": 100,
        },
        "functionAppConfigProperties": {"runtime": {"name": "python", "version": version}},
    }


WEB = "/providers/Microsoft.Web"

ROUTES = [
    ArmRoute(SUBSCRIPTION + WEB + "/geoRegions", list_geo_regions),
    ArmRoute(WEB + "/functionAppStacks", list_function_app_stacks),
    ArmRoute(WEB + "/locations/{location}/functionAppStacks", list_function_app_stacks),
]
