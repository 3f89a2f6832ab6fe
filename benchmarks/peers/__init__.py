"""What others make of the same work on the same machine, each run as its users would run it."""
