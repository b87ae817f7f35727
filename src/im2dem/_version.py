"""The version, read by the build and by the tags that every output carries."""

__version__ = "0.1.0.dev0"
