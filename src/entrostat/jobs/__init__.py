"""What makes runs: the job file and its settings, the runs of a job, benchmarks, and what is installed."""
