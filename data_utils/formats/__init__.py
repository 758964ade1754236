"""Readers, one module per layout of a data set."""
