"""Artificial pictures and landscapes: pure functions of (grid, parameters, rng)."""
