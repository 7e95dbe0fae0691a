"""Compact CLIP towers of our own: configuration, model, tokenizer. Importing this package imports no torch."""
