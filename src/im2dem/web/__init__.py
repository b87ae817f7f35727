"""The one-file 3D page."""
