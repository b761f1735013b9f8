"""One file for each table format; the only place that knows other programs' conventions."""
