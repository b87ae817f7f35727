"""Every door through which a file comes in, and damaged files to send through it."""
