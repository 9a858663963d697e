"""Tokenizers, and what goes with them."""
