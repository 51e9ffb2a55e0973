"""Hydra's search path for the group `entrostat`."""
