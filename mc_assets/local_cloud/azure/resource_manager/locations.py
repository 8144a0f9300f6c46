"""The regions Resource Manager knows: short names and display names."""

from mc_assets.local_cloud.azure.resource_manager.arm import ArmError

DISPLAY_NAMES = (
    "Australia Central",
    "Australia East",
    "Australia Southeast",
    "Brazil South",
    "Canada Central",
    "Canada East",
    "Central India",
    "Central US",
    "East Asia",
    "East US",
    "East US 2",
    "France Central",
    "Germany West Central",
    "Italy North",
    "Japan East",
    "Japan West",
    "Korea Central",
    "North Central US",
    "North Europe",
    "Norway East",
    "Poland Central",
    "South Africa North",
    "South Central US",
    "South India",
    "Southeast Asia",
    "Spain Central",
    "Sweden Central",
    "Switzerland North",
    "UAE North",
    "UK South",
    "UK West",
    "West Central US",
    "West Europe",
    "West US",
    "West US 2",
    "West US 3",
)
_BY_SHORT_NAME = {name.replace(" ", "").lower(): name for name in DISPLAY_NAMES}


def short_names() -> dict[str, str]:
    """Display name by short name."""
    return dict(_BY_SHORT_NAME)


def short_name(location: object, refusal: str = "LocationNotAvailableForResourceType") -> str:
    """'UK West' or 'ukwest' -> 'ukwest'.

    Raises:
        ArmError: 400, the location is missing or unknown; the latter with the code `refusal`.
    """
    if not isinstance(location, str) or not location:
        raise ArmError(400, "LocationRequired", "The location property is required.")
    short = location.replace(" ", "").lower()
    if short not in _BY_SHORT_NAME:
        message = (
            f"The provided location '{location}' is not available. "
            f"List of available regions is '{','.join(_BY_SHORT_NAME)}'."
        )
        raise ArmError(400, refusal, message)
    return short


def display_name(location: str) -> str:
    return _BY_SHORT_NAME[short_name(location)]
