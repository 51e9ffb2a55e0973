"""Looking at runs: records, curves, diagnosis, calibration, the report, the live view and the monitor."""
