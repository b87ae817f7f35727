"""Formats of other programs: arrays in, bytes out. No path, no rasterio."""
