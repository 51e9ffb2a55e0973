"""The HTML page about runs, made from records alone."""

from entrostat.observe.report._write import write_report as write_report

__all__ = ["write_report"]
