"""The one place where the rooms are joined: files in, work, files out."""
