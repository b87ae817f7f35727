"""Training and evaluation pairs: finding, sampling and rendering chips."""
