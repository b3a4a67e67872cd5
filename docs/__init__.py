"""Programs that write the generated documents from the committed records."""
