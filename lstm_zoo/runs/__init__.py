"""Run directories: what they hold, and how they are loaded and described."""
