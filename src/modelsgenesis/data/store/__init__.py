"""The store: scans prepared once, chunked and compressed, read region by region."""
