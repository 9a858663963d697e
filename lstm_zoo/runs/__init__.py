"""Run directories: their files, and loading and describing them."""
