"""The client: remote files by URL, blocking."""
