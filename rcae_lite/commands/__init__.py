"""What the command line does, as functions: runs, reports, predictions, exports."""
