"""Many cells: a request is planned, and its cells run in processes here or on a Ray cluster."""
