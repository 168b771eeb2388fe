"""Metrics of a node, as Prometheus reads them: what is counted (`failures`), told (`figures`) and written (`page`)."""
