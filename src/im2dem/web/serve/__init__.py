"""The local web server: jobs over HTTP, each in a process of its own, and a page for people without a terminal."""
