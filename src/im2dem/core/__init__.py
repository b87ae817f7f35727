"""Pure values and algorithms: NumPy and SciPy, no file, no network, no clock, no global random state."""
