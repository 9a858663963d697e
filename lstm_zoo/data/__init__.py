"""Data on disk and in memory: tables, splits, batches and the cache of features."""
