"""Data on disk and in memory: tables, splits, batches, prepared examples."""
