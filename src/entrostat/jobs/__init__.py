"""Making runs: the job file and its settings, the runs of a job, benchmarks, and a check of the installation."""
