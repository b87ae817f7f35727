"""Colours from heights: ``albedo(relief, climate, season, variety) x light(sun, relief) + haze``, learned against
a judge of patches at three scales.

Everything the net knows is local: heights in metres at their true pixel size, no statistics of a tile. Two tiles that
overlap by the reach of the net therefore agree.

Sources
-------
Isola et al. (2017), arXiv:1611.07004. Wang et al. (2018), pix2pixHD, arXiv:1711.11585. Zhu et al. (2017), BicycleGAN,
arXiv:1711.11586, for the variety. Miyato et al. (2018), arXiv:1802.05957 and 1802.05637, for the judge.
"""
