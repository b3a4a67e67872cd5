"""What draws the charts: Vega-Lite and Vega, as one script, from the package vl-convert."""

from functools import cache
from importlib.util import find_spec

from seqmem.errors import InputError

__all__ = ["drawing_library", "require"]

NEEDED = ("altair", "vl_convert")


def require() -> None:
    """Make sure that what draws is installed.

    Raises:
        InputError: it is not.
    """
    for package in NEEDED:
        if find_spec(package) is None:
            raise InputError(
                f"--format html: the package {package} is not installed; pip install 'seqmem[plot]'"
            )


@cache
def drawing_library() -> str:
    """Give the script that defines `vegaEmbed`, once for all charts of a page."""
    import vl_convert

    script: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return script
