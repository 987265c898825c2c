"""ChittyCan: one network for all of a person's models."""

from chittycan.version import VERSION

__all__ = ["Network", "__version__"]

__version__ = VERSION

TYPE_CHECKING = False  # `typing` takes its time, and this is the first of all modules
if TYPE_CHECKING:
    from chittycan.app import Network


def __getattr__(name: str) -> object:
    """`Network` is imported on first use: `import chittycan` stays instant for the command line."""
    if name == "Network":
        from chittycan.app import Network

        return Network
    raise AttributeError(f"module 'chittycan' has no attribute {name!r}")
