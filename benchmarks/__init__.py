"""Load generator and measurements: `make bench`."""
