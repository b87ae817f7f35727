"""Apply a tile model to a reader; knows only `core`."""
