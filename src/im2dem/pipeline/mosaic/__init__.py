"""Many scenes, or one picture too large for a machine, as blocks on a fixed grid of the world."""

from .run import MosaicOptions, MosaicReport, predict_mosaic, summary

__all__ = ["MosaicOptions", "MosaicReport", "predict_mosaic", "summary"]
