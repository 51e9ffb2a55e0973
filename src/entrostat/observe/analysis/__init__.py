"""Curves and their analysis: findings such as a collapse, the entropy-performance law, statistics over seeds. No torch.

The report, the diagnosis and the monitor all read from here, so that a finding means the same in each of them.
"""
