"""`entrostat bench`: time and memory of the entropy operations, side by side, on the machine at hand."""

from entrostat.jobs.bench._bench import main as main
from entrostat.jobs.bench._measure import Result as Result

__all__ = ["Result", "main"]
