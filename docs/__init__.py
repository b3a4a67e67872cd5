"""Programs that write the generated pages, from the committed records alone."""
