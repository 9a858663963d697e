"""Tokenizers and word dropout."""
