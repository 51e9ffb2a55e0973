"""Runs read back, and the HTML page about them, made from records alone."""

from typing import TYPE_CHECKING, Any

from entrostat.observe.report._load import Run as Run
from entrostat.observe.report._load import describe_run as describe_run
from entrostat.observe.report._load import load_runs as load_runs

if TYPE_CHECKING:
    from entrostat.observe.report._write import report_page as report_page
    from entrostat.observe.report._write import write_report as write_report

__all__ = ["Run", "describe_run", "load_runs", "report_page", "write_report"]


def __getattr__(name: str) -> Any:
    # Who only reads runs, such as the diagnosis, needs neither NumPy nor a template.
    if name in ("report_page", "write_report"):
        from entrostat.observe.report import _write

        return getattr(_write, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
