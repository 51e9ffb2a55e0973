"""Exact tabular tools and the claims that are checked with them."""
