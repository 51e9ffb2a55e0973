"""`entrostat bench`: time and memory of the entropy operations, side by side, on the machine at hand."""

from entrostat.jobs.bench._bench import machine as machine
from entrostat.jobs.bench._bench import main as main
from entrostat.jobs.bench._bench import write_table as write_table
from entrostat.jobs.bench._ways import Result as Result

__all__ = ["Result", "machine", "main", "write_table"]
