"""The outside world: files and everything that can fail for reasons not ours."""
